package pool

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"pool-payout"}

func key(n Named) ledger.Key { return ledger.NewKey("pool-payout", n.Datanet, n.ID) }

func payoutsOf(datanet string) ledger.Key { return ledger.NewKey("pool-payout", datanet) }
