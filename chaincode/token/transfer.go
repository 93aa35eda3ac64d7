package token

import (
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Transfer pays one account.
type Transfer struct {
	ID string `json:"id"`
	Payment
	Source
}

func (t Transfer) Validate() error {
	if err := ledger.ValidID("id", t.ID); err != nil {
		return err
	}
	if err := t.Payment.validate(""); err != nil {
		return err
	}
	return t.Source.Validate()
}

func (t Transfer) Reads(c ledger.Caller) []ledger.Key {
	return append(SpendReads(c, t.ID, t.Source), account.Key(t.To))
}

func (p Payment) validate(prefix string) error {
	if err := p.To.Validate(prefix + "to"); err != nil {
		return err
	}
	if p.Amount == 0 {
		return ledger.Invalid(prefix+"amount", "must be positive")
	}
	return nil
}

// Batch pays many accounts, each once.
type Batch struct {
	ID       string    `json:"id"`
	Payments []Payment `json:"payments"`
	Source
}

func (b Batch) Validate() error {
	if err := ledger.ValidID("id", b.ID); err != nil {
		return err
	}
	if len(b.Payments) == 0 || len(b.Payments) > MaxPayees {
		return ledger.Invalid("payments", "a batch has from 1 to %d payments", MaxPayees)
	}
	seen := make(map[ledger.Account]bool, len(b.Payments))
	for _, p := range b.Payments {
		if err := p.validate("payments."); err != nil {
			return err
		}
		if seen[p.To] {
			return ledger.Invalid("payments.to", "%s is paid twice", p.To)
		}
		seen[p.To] = true
	}
	return b.Source.Validate()
}

func (b Batch) Reads(c ledger.Caller) []ledger.Key {
	keys := SpendReads(c, b.ID, b.Source)
	for _, p := range b.Payments {
		keys = append(keys, account.Key(p.To))
	}
	return keys
}

// Fold puts credits into the caller's balance.
type Fold struct {
	ID      string   `json:"id"`
	Credits []string `json:"credits"`
}

func (f Fold) Validate() error {
	if err := ledger.ValidID("id", f.ID); err != nil {
		return err
	}
	if len(f.Credits) == 0 {
		return ledger.Invalid("credits", "name the credits to fold")
	}
	return f.source().Validate()
}

func (f Fold) source() Source { return Source{Credits: f.Credits} }

func (f Fold) Reads(c ledger.Caller) []ledger.Key { return SpendReads(c, f.ID, f.source()) }

// Transferred is the event of a transfer or a batch. It names the record of the spend, which says the rest: bytes of an
// event go through every node.
type Transferred struct {
	Account  ledger.Account `json:"account"`
	ID       string         `json:"id"`
	Payments []Payment      `json:"payments"`
}

func transfer(tx ledger.Tx, req Transfer) (Spend, error) {
	return pay(tx, req.ID, "transfer", req, []Payment{req.Payment}, req.Source)
}

func batch(tx ledger.Tx, req Batch) (Spend, error) {
	return pay(tx, req.ID, "batch", req, req.Payments, req.Source)
}

func pay(tx ledger.Tx, id, kind string, request any, payments []Payment, source Source) (Spend, error) {
	if spend, done, err := Repeated(tx, id, kind, request); done || err != nil {
		return spend, err
	}
	me := tx.Caller().Account()
	var total money.Amount
	for _, p := range payments {
		if p.To == me {
			return Spend{}, ledger.Invalid("to", "an account cannot pay itself")
		}
		if err := account.MustBeOpen(tx, "to", p.To); err != nil {
			return Spend{}, err
		}
		var err error
		if total, err = total.Add(p.Amount); err != nil {
			return Spend{}, ledger.Invalid("payments.amount", "%v", err)
		}
	}
	spend, err := Take(tx, id, kind, request, total, len(payments), source)
	if err != nil {
		return Spend{}, err
	}
	for _, p := range payments {
		if err := Pay(tx, p.To, p.Amount, "transfer", string(me)); err != nil {
			return Spend{}, err
		}
	}
	tx.Emit("token.transferred/1", Transferred{Account: me, ID: id, Payments: payments})
	return spend, nil
}

func fold(tx ledger.Tx, req Fold) (Spend, error) {
	if spend, done, err := Repeated(tx, req.ID, "fold", req); done || err != nil {
		return spend, err
	}
	spend, err := Take(tx, req.ID, "fold", req, 0, 0, req.source())
	if err != nil {
		return Spend{}, err
	}
	tx.Emit("token.folded/1", spend)
	return spend, nil
}
