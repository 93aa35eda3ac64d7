// Package account keeps which accounts exist, and which roles their certificates have shown. A person opens the own
// account once; credits can be sent only to open accounts, so a mistyped name cannot swallow them.
//
// Roles are signed by the organisation's CA and decided anew at every call. What is kept here is their history as the
// ledger has seen it: it grows when an account is opened, and when its owner opens or refreshes it with other roles. The
// certificates in the blocks tell the rest.
package account

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Account is an open account and the roles that its certificate showed last.
type Account struct {
	Account ledger.Account `json:"account"`
	Roles   []ledger.Role  `json:"roles"`
	Seen    int            `json:"seen"` // how many times the roles were recorded
	Tx      string         `json:"tx"`   // that opened it
}

// Seen is an entry of an account's history: the roles that its certificate showed from this transaction on.
type Seen struct {
	Account ledger.Account `json:"account"`
	Number  int            `json:"number"` // from 1
	Roles   []ledger.Role  `json:"roles"`
	Tx      string         `json:"tx"`
}

// Named is a request that names an account.
type Named struct {
	Account ledger.Account `json:"account"`
}

func (n Named) Validate() error { return n.Account.Validate("account") }

// Listing asks for a page of the accounts of one organisation.
type Listing struct {
	MSP string `json:"msp"`
	ledger.PageRequest
}

func (l Listing) Validate() error {
	if err := ledger.ValidMSP(l.MSP); err != nil {
		return ledger.AsFault(err).At("msp")
	}
	return nil
}

// History asks for a page of the roles of one account.
type History struct {
	Account ledger.Account `json:"account"`
	ledger.PageRequest
}

func (h History) Validate() error { return h.Account.Validate("account") }

// Functions are the account functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("account:Open", "Opens the caller's own account; of an open one, records roles that have changed.", ledger.For(ledger.Roles...), open),
		ledger.Command("account:Refresh", "Records the roles of the caller's own account when they have changed.", ledger.For(ledger.Roles...), refresh),
		ledger.Query("account:Get", "Tells whether an account is open, and which roles were seen last.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Account, error) { return Load(r, "account", req.Account) }),
		ledger.Query("account:List", "Lists the open accounts of an organisation.", ledger.Anyone, list),
		ledger.Query("account:Roles", "Lists the roles that an account has shown, the first ones first.", ledger.Anyone,
			func(r ledger.Lister, req History) (ledger.Page[Seen], error) {
				return ledger.List(r, seenBy(req.Account), req.PageRequest, ledger.Value[Seen])
			}),
	}
}

func open(tx ledger.Tx, _ ledger.Nothing) (Account, error) {
	me := tx.Caller().Account()
	a, exists, err := ledger.Load[Account](tx, key(me))
	if err != nil {
		return a, err
	}
	if exists {
		return record(tx, a, "account.refreshed/1")
	}
	return record(tx, Account{Account: me, Tx: tx.TxID()}, "account.opened/1")
}

func refresh(tx ledger.Tx, _ ledger.Nothing) (Account, error) {
	a, err := Load(tx, "", tx.Caller().Account())
	if err != nil {
		return a, err
	}
	return record(tx, a, "account.refreshed/1")
}

// record appends the caller's roles to its account's history, unless they stand there last.
func record(tx ledger.Tx, a Account, event string) (Account, error) {
	roles := tx.Caller().Roles
	if a.Seen > 0 && slices.Equal(a.Roles, roles) {
		return a, nil
	}
	a.Roles, a.Seen = append([]ledger.Role{}, roles...), a.Seen+1
	seen := Seen{Account: a.Account, Number: a.Seen, Roles: a.Roles, Tx: tx.TxID()}
	if err := ledger.Save(tx, seenKey(a.Account, a.Seen), seen); err != nil {
		return a, err
	}
	tx.Emit(event, a)
	return a, ledger.Save(tx, key(a.Account), a)
}

// Load reads an open account; field is the request's field that names it.
func Load(r ledger.Reader, field string, account ledger.Account) (Account, error) {
	a, found, err := ledger.Load[Account](r, key(account))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "account %s is not open", account).At(field)
	}
	return a, err
}

func list(r ledger.Lister, req Listing) (ledger.Page[Account], error) {
	return ledger.List(r, organisationKey(req.MSP), req.PageRequest, ledger.Value[Account])
}

// MustBeOpen reports an account that is malformed or not open as a fault at the given field.
func MustBeOpen(r ledger.Reader, field string, a ledger.Account) error {
	if err := a.Validate(field); err != nil {
		return err
	}
	value, err := r.Get(key(a))
	if err == nil && value == nil {
		err = ledger.Refuse(ledger.CodeNotFound, "account %s is not open", a).At(field)
	}
	return err
}
