package ticket

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"ticket"}

// Key is where a ticket stands. The id must be valid.
func Key(id string) ledger.Key { return ledger.NewKey("ticket", id) }

var prefix = ledger.NewKey("ticket")
