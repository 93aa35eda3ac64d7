package access

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"grant"}

func grantKey(n Named) ledger.Key { return ledger.NewKey("grant", n.Datanet, n.ID) }

func grantsOf(datanet string) ledger.Key { return ledger.NewKey("grant", datanet) }
