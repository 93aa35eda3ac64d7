package approval

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"vote"}

// slotKey is vote/datanet/id/revision/MSP: each revision has slots of its own, and those of earlier ones stay.
func slotKey(n contribution.Named, revision int, msp string) ledger.Key {
	return ledger.NewKey("vote", n.Datanet, n.ID, fmt.Sprintf("%06d", revision), msp)
}

func slotsOf(n contribution.Named) ledger.Key { return ledger.NewKey("vote", n.Datanet, n.ID) }

func slotKeys(c contribution.Contribution) []ledger.Key {
	keys := make([]ledger.Key, len(c.Eligible))
	for i, msp := range c.Eligible {
		keys[i] = slotKey(c.Name(), c.Revision, msp)
	}
	return keys
}
