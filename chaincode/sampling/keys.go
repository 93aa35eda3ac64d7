package sampling

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"sampling"}

func key(n Named) ledger.Key { return ledger.NewKey("sampling", n.MSP, n.ID) }

func secretsOf(msp string) ledger.Key { return ledger.NewKey("sampling", msp) }
