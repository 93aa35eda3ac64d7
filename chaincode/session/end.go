package session

import (
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// expire ends a session whose expiry and grace have passed. It writes what every settlement reads.
func expire(tx ledger.Tx, n Named) (Session, error) {
	s, err := Load(tx, n)
	switch {
	case err != nil || s.State == Ended:
		return s, err
	case tx.Time().Before(s.Ends()):
		return Session{}, ledger.Refuse(ledger.CodeState, "its host may settle until %s", s.Ends().Format(time.RFC3339))
	}
	s.State, s.EndTx = Ended, tx.TxID()
	tx.Emit("session.ended/1", s)
	return s, ledger.Save(tx, key(n), s)
}

// Reclaim is the request that returns what an ended session still holds: the rest of the tab, unless it has gone back
// already, and top-ups that no settlement has counted.
type Reclaim struct {
	Named
	Funds []string `json:"funds,omitzero"`
}

func (r Reclaim) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	return ValidFunds(r.Funds)
}

func (r Reclaim) Reads(c ledger.Caller) []ledger.Key {
	return append(r.Named.Reads(c), fundKeys(r.Named, r.Funds)...)
}

// ValidFunds reports top-ups that are malformed, too many or named twice.
func ValidFunds(funds []string) error {
	if len(funds) > MaxFunds {
		return ledger.Invalid("funds", "%d top-ups exceed the limit of %d", len(funds), MaxFunds)
	}
	seen := make(map[string]bool, len(funds))
	for _, id := range funds {
		if err := ledger.ValidID("funds", id); err != nil {
			return err
		}
		if seen[id] {
			return ledger.Invalid("funds", "top-up %s is named twice", id)
		}
		seen[id] = true
	}
	return nil
}

func fundKeys(n Named, funds []string) []ledger.Key {
	keys := make([]ledger.Key, len(funds))
	for i, id := range funds {
		keys[i] = fundKey(n, id)
	}
	return keys
}

// Returned is the event of a return, and its answer.
type Returned struct {
	Named
	Amount money.Amount `json:"amount"` // 0 when all of it had gone back before
	Funds  []string     `json:"funds"`  // top-ups that went back whole
	Tab    Tab          `json:"tab"`
}

func reclaim(tx ledger.Tx, req Reclaim) (Returned, error) {
	s, err := Load(tx, req.Named)
	if err != nil {
		return Returned{}, err
	}
	if s.State != Ended {
		return Returned{}, ledger.Refuse(ledger.CodeState, "session %s is %s: after %s anyone may end it, then the rest goes back",
			s.Name, s.State, s.Ends().Format(time.RFC3339)).At("name")
	}
	tab, err := loadTab(tx, req.Named)
	if err != nil {
		return Returned{}, err
	}
	back := Returned{Named: req.Named, Funds: []string{}}
	for _, id := range req.Funds {
		f, err := loadFund(tx, req.Named, id)
		if err != nil {
			return Returned{}, err
		}
		if f.Used {
			continue
		}
		f.Used = true
		if back.Amount, err = back.Amount.Add(f.Amount); err != nil {
			return Returned{}, err
		}
		back.Funds = append(back.Funds, id)
		if err := ledger.Save(tx, fundKey(req.Named, id), f); err != nil {
			return Returned{}, err
		}
	}
	changed := len(back.Funds) > 0
	if !tab.Closed {
		rest, err := tab.Funded.Sub(tab.Amount)
		if err != nil {
			return Returned{}, err
		}
		if back.Amount, err = back.Amount.Add(rest); err != nil {
			return Returned{}, err
		}
		tab.Closed, changed = true, true
		if err := ledger.Save(tx, tabKey(req.Named), tab); err != nil {
			return Returned{}, err
		}
	}
	back.Tab = tab
	if !changed {
		return back, nil
	}
	if back.Amount > 0 {
		if err := token.Pay(tx, s.Account, back.Amount, "session", s.Name); err != nil {
			return Returned{}, err
		}
	}
	slices.Sort(back.Funds)
	tx.Emit("session.reclaimed/1", back)
	return back, nil
}
