package session

import (
	"encoding/hex"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Presented is what a host presents of one session: its latest voucher, the top-ups that it counts, and whether it closes
// the session. With closing the voucher may be left out, when nothing has been used since the last settlement.
type Presented struct {
	Named
	N         int64        `json:"n,omitzero"`
	Amount    money.Amount `json:"amount,omitzero"`
	Root      merkle.Hash  `json:"root,omitzero"`
	Request   merkle.Hash  `json:"request,omitzero"` // digest of the request that came with the voucher
	Signature string       `json:"signature,omitzero"`
	Funds     []string     `json:"funds,omitzero"`
	Close     bool         `json:"close,omitzero"`
}

// Validate checks the form of what is presented.
func (p Presented) Validate() error {
	if err := p.Named.Validate(); err != nil {
		return err
	}
	if err := ValidFunds(p.Funds); err != nil {
		return err
	}
	if !p.vouched() {
		if !p.Close {
			return ledger.Invalid("signature", "a session that goes on is settled by a voucher")
		}
		if p.N != 0 || p.Amount != 0 || p.Root != (merkle.Hash{}) || p.Request != (merkle.Hash{}) {
			return ledger.Invalid("signature", "a voucher has a signature")
		}
		return nil
	}
	if p.N < 1 {
		return ledger.Invalid("n", "a voucher is for at least one use")
	}
	if raw, err := hex.DecodeString(p.Signature); err != nil || len(raw) != use.SignatureSize {
		return ledger.Invalid("signature", "expected %d bytes in hex", use.SignatureSize)
	}
	return nil
}

// vouched tells whether there is a voucher.
func (p Presented) vouched() bool { return p.Signature != "" }

// Reads names what [Settle] reads.
func (p Presented) Reads() []ledger.Key {
	return append([]ledger.Key{key(p.Named), tabKey(p.Named)}, fundKeys(p.Named, p.Funds)...)
}

// Settled is what settling does to a session.
type Settled struct {
	use.Move              // no move when it is only closed
	Uses     int64        // since the last settlement
	Fees     money.Amount // of these
	Rest     money.Amount // that goes back to the account with closing
}

// Settle moves a session's tab to the voucher that its host presents, and closes it if asked. The fees and the rest leave
// the session: where they go is for the caller. It emits no event.
func Settle(tx ledger.Tx, host ledger.Account, card merkle.Hash, p Presented) (Settled, error) {
	s, err := Load(tx, p.Named)
	if err != nil {
		return Settled{}, err
	}
	switch {
	case s.Host != host:
		return Settled{}, ledger.Refuse(ledger.CodeForbidden, "session %s of %s is with %s", s.Name, s.Account, s.Host).At("name")
	case s.Card != card:
		return Settled{}, ledger.Refuse(ledger.CodeState, "session %s of %s is under the rate card %s", s.Name, s.Account, s.Card).At("name")
	}
	if err := mustBeOpen(s); err != nil {
		return Settled{}, err
	}
	tab, err := loadTab(tx, p.Named)
	if err != nil {
		return Settled{}, err
	}
	done := Settled{Move: use.Move{Session: s.ID, Before: tab.mark()}}
	if tab.Funded, err = count(tx, p, tab.Funded); err != nil {
		return Settled{}, err
	}
	if p.vouched() {
		if err := p.check(s, tab); err != nil {
			return Settled{}, err
		}
		done.Uses, done.Fees = p.N-tab.N, p.Amount-tab.Amount
		tab.N, tab.Amount, tab.Root = p.N, p.Amount, p.Root
	}
	done.After = tab.mark()
	if p.Close {
		done.Rest = tab.Funded - tab.Amount
		tab.Closed = true
		s.State, s.EndTx = Ended, tx.TxID()
		if err := ledger.Save(tx, key(p.Named), s); err != nil {
			return Settled{}, err
		}
	}
	return done, ledger.Save(tx, tabKey(p.Named), tab)
}

// check reports a voucher that is not the session's, that says no more than the tab, or more than is there.
func (p Presented) check(s Session, tab Tab) error {
	v := use.Voucher{Session: s.ID, Card: s.Card, N: uint64(p.N), Amount: uint64(p.Amount), Root: p.Root, Request: p.Request}
	signature, err := hex.DecodeString(p.Signature)
	if err != nil {
		return ledger.Invalid("signature", "not hex")
	}
	if err := s.Key.Verify(v, signature); err != nil {
		return ledger.Invalid("signature", "%v", err)
	}
	switch {
	case p.N <= tab.N:
		return ledger.Refuse(ledger.CodeState, "%d uses of session %s are settled, the voucher is for %d", tab.N, s.Name, p.N).At("n")
	case p.Amount < tab.Amount:
		return ledger.Refuse(ledger.CodeState, "%v of session %s are settled, the voucher is for %v", tab.Amount, s.Name, p.Amount).At("amount")
	case p.Amount > tab.Funded:
		return ledger.Refuse(ledger.CodeInsufficient, "session %s has %v, the voucher is for %v: name its top-ups", s.Name, tab.Funded, p.Amount).At("amount")
	}
	return nil
}

// count adds the top-ups that are named and marks them.
func count(tx ledger.Tx, p Presented, funded money.Amount) (money.Amount, error) {
	for _, id := range p.Funds {
		f, err := loadFund(tx, p.Named, id)
		if err != nil {
			return 0, err
		}
		if f.Used {
			return 0, ledger.Refuse(ledger.CodeState, "top-up %s has been counted", id).At("funds")
		}
		f.Used = true
		if funded, err = funded.Add(f.Amount); err != nil {
			return 0, ledger.Invalid("funds", "%v", err)
		}
		if err := ledger.Save(tx, fundKey(p.Named, id), f); err != nil {
			return 0, err
		}
	}
	return funded, nil
}

func (t Tab) mark() use.Mark { return use.Mark{N: uint64(t.N), Amount: uint64(t.Amount), Root: t.Root} }
