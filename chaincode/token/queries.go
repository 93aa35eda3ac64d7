package token

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Owned names an account, a person's or a pool's.
type Owned struct {
	Account ledger.Account `json:"account"`
}

func (o Owned) Validate() error { return validOwner(o.Account) }

func validOwner(a ledger.Account) error {
	if a.IsPool() {
		return ledger.ValidName("account", a.Pool())
	}
	return a.Validate("account")
}

// Listing asks for a page of what an account has.
type Listing struct {
	Account ledger.Account `json:"account"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return validOwner(l.Account) }

// RedemptionListing asks for a page of redemptions, of one account or ("") of all.
type RedemptionListing struct {
	Account ledger.Account `json:"account,omitzero"`
	ledger.PageRequest
}

func (l RedemptionListing) Validate() error {
	if l.Account == "" {
		return nil
	}
	return l.Account.Validate("account")
}

// Holding is what an account has: its balance and its unspent credits. When an account has more credits than one
// page holds, Credits and Count cover the first page and More is true.
type Holding struct {
	Account ledger.Account `json:"account"`
	Balance money.Amount   `json:"balance"`
	Credits money.Amount   `json:"credits"`
	Count   int            `json:"count"`
	More    bool           `json:"more"`
}

// Functions are the token functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("token:Transfer", "Pays an account.", anyRole, transfer),
		ledger.Command("token:TransferBatch", "Pays many accounts in one transaction, each once.", anyRole, batch),
		ledger.Command("token:Fold", "Puts received credits into the caller's balance.", anyRole, fold),
		ledger.Command("token:Redeem", "Puts credits into escrow, to be paid out by the issuer.", anyRole, redeem),
		ledger.Command("token:Acknowledge", "The issuer's word that a redemption was paid.", anyRole, acknowledge),
		ledger.Command("token:Return", "Returns a redemption's credits: the issuer at any time, the owner after its term.", anyRole, returnRedemption),
		ledger.Query("token:Balance", "Shows what an account has.", ledger.Anyone, holding),
		ledger.Query("token:Credits", "Lists an account's unspent credits.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Credit], error) {
				return ledger.List(r, creditsOf(req.Account), req.PageRequest, creditAt)
			}),
		ledger.Query("token:Statement", "Lists what left an account, by the spends' ids.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Spend], error) {
				return ledger.List(r, spendsOf(req.Account), req.PageRequest, spendAt)
			}),
		ledger.Query("token:Redemptions", "Lists redemptions, of one account or of all.", ledger.Anyone,
			func(r ledger.Lister, req RedemptionListing) (ledger.Page[Redemption], error) {
				prefix := redemptions
				if req.Account != "" {
					prefix = redemptionsOf(req.Account)
				}
				return ledger.List(r, prefix, req.PageRequest, ledger.Value[Redemption])
			}),
		ledger.Query("token:Mints", "Lists what was issued, by the proposals' ids.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Minted], error) {
				return ledger.List(r, mints, req, ledger.Value[Minted])
			}),
	}
}

// anyRole: credits belong to whoever holds them; a certificate without any role moves nothing.
var anyRole = ledger.For(ledger.Roles...)

func holding(r ledger.Lister, req Owned) (Holding, error) {
	balance, _, err := ledger.Load[Balance](r, balanceKey(req.Account))
	if err != nil {
		return Holding{}, err
	}
	page, err := ledger.List(r, creditsOf(req.Account), ledger.PageRequest{Limit: ledger.MaxPage}, creditAt)
	if err != nil {
		return Holding{}, err
	}
	h := Holding{Account: req.Account, Balance: balance.Amount, Count: len(page.Items), More: page.Next != ""}
	for _, credit := range page.Items {
		if h.Credits, err = h.Credits.Add(credit.Amount); err != nil {
			return Holding{}, err
		}
	}
	return h, nil
}
