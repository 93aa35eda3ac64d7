// Package account keeps which accounts exist. A person opens the own account once; credits can be sent only to open
// accounts, so a mistyped name cannot swallow them.
package account

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Account is an open account and the roles its certificate showed then.
type Account struct {
	Account ledger.Account `json:"account"`
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

// Functions are the account functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("account:Open", "Opens the caller's own account.", ledger.For(ledger.Roles...), open),
		ledger.Query("account:Get", "Tells whether an account is open, and with which roles it was opened.", ledger.Anyone, get),
		ledger.Query("account:List", "Lists the open accounts of an organisation.", ledger.Anyone, list),
	}
}

func open(tx ledger.Tx, _ ledger.Nothing) (Account, error) {
	me := tx.Caller().Account()
	a, exists, err := ledger.Load[Account](tx, key(me))
	if err != nil || exists {
		return a, err
	}
	a = Account{Account: me, Roles: tx.Caller().Roles, Tx: tx.TxID()}
	tx.Emit("account.opened/1", a)
	return a, ledger.Save(tx, key(me), a)
}

func get(r ledger.Lister, req Named) (Account, error) {
	a, found, err := ledger.Load[Account](r, key(req.Account))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "account %s is not open", req.Account).At("account")
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
