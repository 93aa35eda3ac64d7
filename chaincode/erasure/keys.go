package erasure

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"erasure", "erasure-slot"}

func headKey(n contribution.Named) ledger.Key { return ledger.NewKey("erasure", n.Datanet, n.ID) }

func headsOf(datanet string) ledger.Key { return ledger.NewKey("erasure", datanet) }

func slotKey(n contribution.Named, msp string) ledger.Key {
	return ledger.NewKey("erasure-slot", n.Datanet, n.ID, msp)
}
