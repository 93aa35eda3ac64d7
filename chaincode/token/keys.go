package token

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"balance", "credit", "spend", "mint", "redemption"}

func balanceKey(a ledger.Account) ledger.Key { return ledger.NewKey("balance", string(a)) }

// creditKey is (payee, transaction): a key of its own for every payment.
func creditKey(owner ledger.Account, tx string) ledger.Key {
	return ledger.NewKey("credit", string(owner), tx)
}

func creditsOf(owner ledger.Account) ledger.Key { return ledger.NewKey("credit", string(owner)) }

func spendKey(a ledger.Account, id string) ledger.Key { return ledger.NewKey("spend", string(a), id) }

func spendsOf(a ledger.Account) ledger.Key { return ledger.NewKey("spend", string(a)) }

// mintKey is named by the proposal, which executes once.
func mintKey(proposal string) ledger.Key { return ledger.NewKey("mint", proposal) }

var mints = ledger.NewKey("mint")

func redemptionKey(a ledger.Account, id string) ledger.Key {
	return ledger.NewKey("redemption", string(a), id)
}

func redemptionsOf(a ledger.Account) ledger.Key { return ledger.NewKey("redemption", string(a)) }

var redemptions = ledger.NewKey("redemption")
