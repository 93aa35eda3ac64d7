package replica

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"replica", "replica-consent"}

// Key is where an agreement stands.
func Key(n Named) ledger.Key { return ledger.NewKey("replica", n.Datanet, n.ID) }

func agreementsOf(datanet string) ledger.Key { return ledger.NewKey("replica", datanet) }

// consentKey is where the keeper's consent stands.
func consentKey(n Named) ledger.Key { return ledger.NewKey("replica-consent", n.Datanet, n.ID) }
