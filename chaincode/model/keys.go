package model

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"model"}

var prefix = ledger.NewKey("model")

// Key is where a model version stands. The name must be valid.
func Key(n Named) ledger.Key { return ledger.NewKey("model", n.Name, n.Version) }
