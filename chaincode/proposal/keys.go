package proposal

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"proposal", "proposal-slot"}

var headPrefix = ledger.NewKey("proposal")

func headKey(id string) ledger.Key { return ledger.NewKey("proposal", id) }

func slotKey(id, msp string) ledger.Key { return ledger.NewKey("proposal-slot", id, msp) }
