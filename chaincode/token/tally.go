package token

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Tally sums a ledger's state, entry by entry, into the equation that must hold at every block:
//
//	issued − redeemed = Σ balances + Σ credits + Σ escrow + Σ sessions + Σ claims + Σ payouts
//
// Credits include those of the pools. The last three are held by other domains, under the kinds of key and the members
// that [Tally.Add] names.
type Tally struct {
	Issued   money.Amount `json:"issued"`   // by executed mints
	Redeemed money.Amount `json:"redeemed"` // paid out by the issuer
	Balances money.Amount `json:"balances"`
	Credits  money.Amount `json:"credits"`
	Escrow   money.Amount `json:"escrow"`   // of redemptions that are neither paid nor returned
	Sessions money.Amount `json:"sessions"` // funded and not settled, of sessions that are not closed; top-ups that are not used
	Claims   money.Amount `json:"claims"`   // settled data parts that are not paid out yet
	Payouts  money.Amount `json:"payouts"`  // of pools, approved and not paid out yet
}

// held are the members of other domains' values that say what they hold.
type held struct {
	Funded money.Amount `json:"funded"` // tab
	Amount money.Amount `json:"amount"` // tab: settled; fund: paid in
	Closed bool         `json:"closed"` // tab
	Used   bool         `json:"used"`   // fund
	Left   money.Amount `json:"left"`   // claim, pool-payout
}

// Add counts one entry of the world state; keys that hold no credits are passed over.
func (t *Tally) Add(key ledger.Key, value []byte) error {
	kind := key.Kind()
	if kind == "" {
		return fmt.Errorf("key %q is not one of ours", string(key))
	}
	switch kind {
	case "mint":
		m, err := ledger.Value[Minted](key, value)
		return count(&t.Issued, m.Amount, err)
	case "balance":
		b, err := ledger.Value[Balance](key, value)
		return count(&t.Balances, b.Amount, err)
	case "credit":
		c, err := ledger.Value[Credit](key, value)
		return count(&t.Credits, c.Amount, err)
	case "redemption":
		r, err := ledger.Value[Redemption](key, value)
		switch {
		case err != nil:
			return err
		case r.State == Escrowed:
			return count(&t.Escrow, r.Amount, nil)
		case r.State == Paid:
			return count(&t.Redeemed, r.Amount, nil)
		}
	case "tab", "fund", "claim", "pool-payout":
		return t.addHeld(kind, value)
	}
	return nil
}

func (t *Tally) addHeld(kind string, value []byte) error {
	var h held
	if err := ledger.DecodeAnswer(value, &h); err != nil {
		return err
	}
	switch {
	case kind == "tab" && !h.Closed:
		rest, err := h.Funded.Sub(h.Amount)
		return count(&t.Sessions, rest, err)
	case kind == "fund" && !h.Used:
		return count(&t.Sessions, h.Amount, nil)
	case kind == "claim":
		return count(&t.Claims, h.Left, nil)
	case kind == "pool-payout":
		return count(&t.Payouts, h.Left, nil)
	}
	return nil
}

func count(sum *money.Amount, amount money.Amount, err error) error {
	if err != nil {
		return err
	}
	*sum, err = sum.Add(amount)
	return err
}

// Check reports credits that were created or lost.
func (t *Tally) Check() error {
	held, err := money.Sum(t.Balances, t.Credits, t.Escrow, t.Sessions, t.Claims, t.Payouts)
	if err != nil {
		return err
	}
	outstanding, err := t.Issued.Sub(t.Redeemed)
	if err != nil {
		return fmt.Errorf("redeemed %v exceed the issued %v", t.Redeemed, t.Issued)
	}
	if held != outstanding {
		return fmt.Errorf("credits are not conserved: issued %v − redeemed %v = %v, but balances %v + credits %v + escrow %v + sessions %v + claims %v + pay-outs %v = %v",
			t.Issued, t.Redeemed, outstanding, t.Balances, t.Credits, t.Escrow, t.Sessions, t.Claims, t.Payouts, held)
	}
	return nil
}
