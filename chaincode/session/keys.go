package session

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"session", "tab", "fund"}

// key is where a session's terms and state stand.
func key(n Named) ledger.Key { return ledger.NewKey("session", string(n.Account), n.Name) }

func sessionsOf(a ledger.Account) ledger.Key { return ledger.NewKey("session", string(a)) }

// tabKey is where stands what has been settled of a session. Terms and tab are apart, since every settlement writes the tab.
func tabKey(n Named) ledger.Key { return ledger.NewKey("tab", string(n.Account), n.Name) }

// fundKey is (account, session, top-up): top-ups never touch what a settlement reads.
func fundKey(n Named, id string) ledger.Key {
	return ledger.NewKey("fund", string(n.Account), n.Name, id)
}

func fundsOf(n Named) ledger.Key { return ledger.NewKey("fund", string(n.Account), n.Name) }
