// Package token moves credits.
//
// # No hot keys
//
// A payment writes a credit under a key of its own, (payee, transaction); it never touches the payee's balance, so
// any number of payments to one payee commit in one block. A balance is written only by its owner's own spends. A
// spend takes from the balance, which folds in the credits it names, or from named credits alone, whose change
// becomes a new credit; the second way lets one payer spend in parallel.
//
//	mint (by proposal) ──► credit(payee, tx)
//	spend: balance + named credits ──► balance' , credit(payee₁, tx), credit(payee₂, tx) …
//	spend: named credits alone     ──► credit(payer, tx) for the change, credit(payee₁, tx) …
//	redeem: spend into escrow ──acknowledged by the issuer──► paid out
//	                          └─returned──► credit(owner, tx)
//
// There is no supply key. Issued − redeemed is the sum of balances, credits and what is held in escrow, in sessions, for
// claims and for pools' pay-outs, which anyone derives from the state: see [Tally].
//
// # Repetition
//
// The payer names each spend with a random id. The record of a spend stays on the ledger: the same request again is
// answered as done, another one under the same id is refused.
package token

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Bounds of one transaction.
const (
	MaxPayees  = 3000 // payees of a batch
	MaxCredits = 1000 // credits that one spend consumes
)

// Balance is what an account's owner has folded together.
type Balance struct {
	Amount money.Amount `json:"amount"`
}

// Credit is an amount that an account received and has not spent yet. Its id is the transaction that made it; an
// account gets at most one credit from a transaction.
type Credit struct {
	// ID and Owner are the key's, so the stored value does without them.
	ID     string         `json:"id,omitzero"`
	Owner  ledger.Account `json:"owner,omitzero"`
	Amount money.Amount   `json:"amount"`
	Kind   string         `json:"kind"` // transfer, change, mint, returned, …
	From   string         `json:"from"` // the payer's account, or what else it came from
}

// Payment is an amount for a payee.
type Payment struct {
	To     ledger.Account `json:"to"`
	Amount money.Amount   `json:"amount"`
}

// Source says what a spend takes from. By default the balance pays, and the named credits are folded into it. With
// Apart, the named credits alone pay, and the change becomes a new credit.
type Source struct {
	Credits []string `json:"credits,omitzero"`
	Apart   bool     `json:"apart,omitzero"`
}

// Validate reports credits that are malformed, too many or named twice.
func (s Source) Validate() error {
	if len(s.Credits) > MaxCredits {
		return ledger.Invalid("credits", "%d credits exceed the limit of %d", len(s.Credits), MaxCredits)
	}
	seen := make(map[string]bool, len(s.Credits))
	for _, id := range s.Credits {
		if err := ledger.ValidDigest("credits", id); err != nil {
			return ledger.Invalid("credits", "%q is not the id of a credit: expected a transaction id", ledger.Clip(id))
		}
		if seen[id] {
			return ledger.Invalid("credits", "credit %s is named twice", id)
		}
		seen[id] = true
	}
	if s.Apart && len(s.Credits) == 0 {
		return ledger.Invalid("credits", "a spend apart from the balance names its credits")
	}
	return nil
}

// Consumed is a credit that a spend took.
type Consumed struct {
	ID     string       `json:"id"`
	Amount money.Amount `json:"amount"`
}

// Spend is the record of what left an account, kept for ever under (account, id): with the credits it names, an
// account's whole history can be followed.
type Spend struct {
	// ID and Account are the key's, so the stored value does without them.
	ID       string         `json:"id,omitzero"`
	Account  ledger.Account `json:"account,omitzero"`
	Kind     string         `json:"kind"`   // transfer, batch, fold, redeem, …
	Digest   string         `json:"digest"` // of the request
	Amount   money.Amount   `json:"amount"` // that left the account
	Payees   int            `json:"payees"`
	Consumed []Consumed     `json:"consumed"`
	Apart    bool           `json:"apart,omitzero"`
	Left     money.Amount   `json:"left"` // the balance after the spend; apart: the change
	Tx       string         `json:"tx"`
}
