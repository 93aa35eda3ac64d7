// Package disbursement pays out what is held for many by an agreed table, page by page, one transaction each
// (docs/usage.md). Each page shows the digest of the next, so the digest of the first, which was agreed on, binds them
// all, and they can only be paid in order and once.
package disbursement

import (
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// MaxPages bounds the pages of what is paid out.
const MaxPages = 1000

// Due is what is still to be paid out.
type Due struct {
	Left money.Amount  `json:"left"`
	Next merkle.Hash   `json:"next,omitzero"` // digest of the page that comes next
	Paid []merkle.Hash `json:"paid"`          // of the pages that were paid
}

// Page is a page of the table, as the request that has it paid shows it.
type Page struct {
	Number   int             `json:"page"` // from 1
	Due      money.Amount    `json:"due"`  // what is to be paid before this page
	Payments []token.Payment `json:"payments"`
	Rest     merkle.Hash     `json:"rest,omitzero"` // digest of the next page, none on the last
}

// Check reports a page that no table has.
func (p Page) Check() error {
	if p.Number < 1 || p.Number > MaxPages {
		return ledger.Invalid("page", "pages are numbered from 1 to %d", MaxPages)
	}
	if _, err := p.Digest(); err != nil {
		return ledger.Invalid("payments", "%v", err)
	}
	for i, payment := range p.Payments {
		field := fmt.Sprintf("payments.%d.to", i)
		if payment.To.IsPool() {
			if err := ledger.ValidName(field, payment.To.Pool()); err != nil {
				return err
			}
		} else if err := payment.To.Validate(field); err != nil {
			return err
		}
	}
	return nil
}

// Reads names the accounts that are paid.
func (p Page) Reads() []ledger.Key {
	var keys []ledger.Key
	for _, payment := range p.Payments {
		if !payment.To.IsPool() {
			keys = append(keys, account.Key(payment.To))
		}
	}
	return keys
}

// Digest is the page's digest.
func (p Page) Digest() (merkle.Hash, error) {
	page := payout.Page{Due: int64(p.Due), Rest: p.Rest}
	for _, payment := range p.Payments {
		page.Payments = append(page.Payments, payout.Payment{Payee: string(payment.To), Amount: int64(payment.Amount)})
	}
	return page.Digest()
}

// Pay pays a page with credits of the given kind and source. fresh is false when it was paid before. Payees are open
// accounts, or pools that mayPay admits by their datanets. It emits no event.
func (d Due) Pay(tx ledger.Tx, p Page, mayPay func(datanet string) bool, kind, from string) (left Due, fresh bool, err error) {
	digest, err := p.Digest()
	if err != nil {
		return d, false, ledger.Invalid("payments", "%v", err)
	}
	switch paid := len(d.Paid); {
	case p.Number <= paid && d.Paid[p.Number-1] == digest:
		return d, false, nil
	case p.Number <= paid:
		return d, false, ledger.Refuse(ledger.CodeExists, "page %d has been paid and says something else", p.Number).At("page")
	case p.Number != paid+1:
		return d, false, ledger.Refuse(ledger.CodeState, "pages are paid in order: the next is %d", paid+1).At("page")
	case p.Due != d.Left:
		return d, false, ledger.Refuse(ledger.CodeState, "%v are left to be paid", d.Left).At("due")
	case digest != d.Next:
		return d, false, ledger.Refuse(ledger.CodeState, "the digest of the page that was agreed on is %s, this one's %s", d.Next, digest).At("payments")
	}
	d.Paid = append(append([]merkle.Hash{}, d.Paid...), digest)
	d.Next = p.Rest
	for i, payment := range p.Payments {
		field := fmt.Sprintf("payments.%d.to", i)
		if payment.To.IsPool() {
			if !mayPay(payment.To.Pool()) {
				return d, false, ledger.Invalid(field, "%s has no part in this", payment.To)
			}
		} else if err := account.MustBeOpen(tx, field, payment.To); err != nil {
			return d, false, err
		}
		if d.Left, err = d.Left.Sub(payment.Amount); err != nil {
			return d, false, err
		}
		if err := token.Pay(tx, payment.To, payment.Amount, kind, from); err != nil {
			return d, false, err
		}
	}
	return d, true, nil
}
