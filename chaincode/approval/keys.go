package approval

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"vote"}

func slotKey(n contribution.Named, msp string) ledger.Key {
	return ledger.NewKey("vote", n.Datanet, n.ID, msp)
}
