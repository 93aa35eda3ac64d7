package settlement

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"settlement"}

func key(n Named) ledger.Key { return ledger.NewKey("settlement", string(n.Payer), n.ID) }
