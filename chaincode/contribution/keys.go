package contribution

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"contribution"}

// Key is where a contribution stands. Datanet and id must be valid.
func Key(datanet, id string) ledger.Key { return ledger.NewKey("contribution", datanet, id) }

func keysOf(datanet string) ledger.Key { return ledger.NewKey("contribution", datanet) }
