package session

import (
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// open takes the escrow out of the caller's account. The rate card must be in force, and its host's organisation have
// consented to it.
func open(tx ledger.Tx, req Open) (Session, error) {
	n := req.named(tx.Caller())
	_, done, err := token.Repeated(tx, req.Name, "session", req)
	if err != nil {
		return Session{}, ledger.AsFault(err).At("name")
	}
	if done {
		return Load(tx, n)
	}
	if taken, err := tx.Get(key(n)); err != nil || taken != nil {
		if err == nil {
			err = ledger.Refuse(ledger.CodeExists, "a session %s exists: choose a new name", n.Name).At("name")
		}
		return Session{}, err
	}
	if term := req.Expires.Sub(tx.Time()); term < MinTerm || term > MaxTerm {
		return Session{}, ledger.Invalid("expires", "must be from %v to %v after the transaction's time", MinTerm, MaxTerm)
	}
	if err := mustBeOffered(tx, req.Terms); err != nil {
		return Session{}, err
	}
	terms, err := req.Terms.signed(n)
	if err != nil {
		return Session{}, err
	}
	id, err := terms.Session(tx.Channel())
	if err != nil {
		return Session{}, err
	}
	if _, err := token.Take(tx, req.Name, "session", req, req.Escrow, 0, req.Source); err != nil {
		return Session{}, err
	}
	s := Session{Named: n, Terms: req.Terms, ID: id, State: Opened, Tx: tx.TxID()}
	if err := ledger.Save(tx, tabKey(n), Tab{Funded: req.Escrow, Root: merkle.Root(nil)}); err != nil {
		return Session{}, err
	}
	tx.Emit("session.opened/1", s)
	return s, ledger.Save(tx, key(n), s)
}

func mustBeOffered(r ledger.Reader, t Terms) error {
	m, err := model.Load(r, "model.name", t.Model.Named)
	if err != nil {
		return err
	}
	if m.State != model.Registered {
		return ledger.Refuse(ledger.CodeState, "model %s is %s: it takes no new sessions", m.Named, m.State).At("model.name")
	}
	card, err := model.Offered(r, m)
	switch {
	case err != nil:
		return ledger.AsFault(err).At("model.card")
	case card.Card != t.Model.Card:
		return ledger.Refuse(ledger.CodeState, "the rate card of %s in force is number %d", m.Named, card.Card).At("model.card")
	case card.Free():
		return ledger.Refuse(ledger.CodeState, "rate card %d of %s costs nothing: its use needs no session", card.Card, m.Named).At("model.card")
	case card.Digest != t.Card:
		return ledger.Invalid("card", "the digest of rate card %d is %s", card.Card, card.Digest)
	case card.Host != t.Host:
		return ledger.Invalid("host", "the host of rate card %d is %s", card.Card, card.Host)
	}
	return nil
}

// Funded is the event of a top-up.
type Funded struct {
	Named
	Fund
}

func topUp(tx ledger.Tx, req TopUp) (Fund, error) {
	n := Named{Account: tx.Caller().Account(), Name: req.Name}
	_, done, err := token.Repeated(tx, req.ID, "top-up", req)
	if err != nil {
		return Fund{}, err
	}
	if done {
		return loadFund(tx, n, req.ID)
	}
	s, err := Load(tx, n)
	if err != nil {
		return Fund{}, err
	}
	if err := mustBeOpen(s); err != nil {
		return Fund{}, err
	}
	if taken, err := tx.Get(fundKey(n, req.ID)); err != nil || taken != nil {
		if err == nil {
			err = ledger.Refuse(ledger.CodeExists, "a top-up %s exists: choose a new id", req.ID).At("id")
		}
		return Fund{}, err
	}
	if _, err := token.Take(tx, req.ID, "top-up", req, req.Amount, 0, req.Source); err != nil {
		return Fund{}, err
	}
	f := Fund{ID: req.ID, Amount: req.Amount, Tx: tx.TxID()}
	tx.Emit("session.funded/1", Funded{n, f})
	return f, ledger.Save(tx, fundKey(n, req.ID), f)
}

func loadFund(r ledger.Reader, n Named, id string) (Fund, error) {
	f, found, err := ledger.Load[Fund](r, fundKey(n, id))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "session %s has no top-up %s", n.Name, id).At("funds")
	}
	return f, err
}
