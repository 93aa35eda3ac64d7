package snapshot

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"snapshot", "snapshot-revision"}

// Key is where a snapshot stands in its latest revision. The name must be valid.
func Key(n Named) ledger.Key {
	return ledger.NewKey("snapshot", n.Datanet, fmt.Sprintf("%010d", n.Number))
}

func keysOf(datanet string) ledger.Key { return ledger.NewKey("snapshot", datanet) }

func revisionKey(n Named, revision int) ledger.Key {
	return ledger.NewKey("snapshot-revision", n.Datanet, fmt.Sprintf("%010d", n.Number), fmt.Sprintf("%06d", revision))
}

func revisionsOf(n Named) ledger.Key {
	return ledger.NewKey("snapshot-revision", n.Datanet, fmt.Sprintf("%010d", n.Number))
}
