package snapshot

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"snapshot"}

func key(n Named) ledger.Key {
	return ledger.NewKey("snapshot", n.Datanet, fmt.Sprintf("%010d", n.Number))
}

// Key is what [Load] reads, for prefetching. The name must be valid.
func Key(n Named) ledger.Key { return key(n) }
