package datanet

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"datanet"}

var prefix = ledger.NewKey("datanet")

// Key is where a datanet stands. The name must be valid.
func Key(name string) ledger.Key { return ledger.NewKey("datanet", name) }
