package claim

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"claim", "claim-slot"}

// key is (host, id): every settlement has a claim of its own.
func key(n Named) ledger.Key { return ledger.NewKey("claim", string(n.Host), n.ID) }

func claimsOf(host ledger.Account) ledger.Key { return ledger.NewKey("claim", string(host)) }

func slotKey(n Named, msp string) ledger.Key {
	return ledger.NewKey("claim-slot", string(n.Host), n.ID, msp)
}
