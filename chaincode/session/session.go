// Package session holds what a consumer prepays for the use of a model, and lets the host settle it by vouchers
// (docs/usage.md). Requests and answers touch no ledger.
//
//	open ──► open ──close (the host, with a settlement)──► ended, tab closed: the rest is back
//	          └────expire (anyone, from expiry + grace)──► ended ──reclaim (anyone)──► tab closed: the rest is back
//
// A session's terms never change, and it keeps its rate card: new prices need a new session. Terms and state are under one
// key, what is settled of it under another, the tab, and each top-up under a key of its own.
//
// Settling reads the state and writes the tab. Expiring writes the state, so a settlement held back loses against it;
// reclaiming writes the tab and comes after expiring, so no series of settlements delays it. Until expiry and grace have
// passed, nothing that the consumer sends touches a key that a settlement reads: a settlement names the top-ups that it
// counts, and they must be committed.
package session

import (
	"encoding/hex"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// Bounds of a session.
const (
	MinTerm   = time.Hour            // from opening to expiry
	MaxTerm   = 400 * 24 * time.Hour // the same
	MaxGrace  = 30 * 24              // hours; the least is [use.MinGrace]
	MaxWindow = 1024
	// MaxFunds bounds the top-ups that one transaction names.
	MaxFunds = 1000
)

// State of a session.
type State string

const (
	Opened State = "open"
	Ended  State = "ended"
)

// Named names a session by the consumer's account and a random id.
type Named struct {
	Account ledger.Account `json:"account"`
	Name    string         `json:"name"`
}

func (n Named) Validate() error {
	if err := n.Account.Validate("account"); err != nil {
		return err
	}
	return ledger.ValidID("name", n.Name)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{key(n), tabKey(n)} }

// Terms are what the consumer agrees to.
type Terms struct {
	Model      model.CardName `json:"model"`      // the rate card by its name and number
	Card       merkle.Hash    `json:"card"`       // its digest
	Host       ledger.Account `json:"host"`       // that of the card
	Key        use.Key        `json:"key"`        // signs vouchers; ed25519:HEX or p256:HEX
	Window     int            `json:"window"`     // how many uses may be unvouched
	Expires    time.Time      `json:"expires"`    // UTC, whole seconds; the host answers nothing after it
	Grace      int            `json:"grace"`      // hours after expiry in which the host may settle
	Disclosure use.Disclosure `json:"disclosure"` // which texts attestors may see: none, sample or all
	Escrow     money.Amount   `json:"escrow"`     // that is paid in on opening
}

func (t Terms) validate() error {
	if err := t.Model.Validate(); err != nil {
		f := ledger.AsFault(err)
		return f.At("model." + f.Field)
	}
	if t.Model.Card == 0 {
		return ledger.Invalid("model.card", "a session names its rate card by the number")
	}
	if err := t.Host.Validate("host"); err != nil {
		return err
	}
	if err := t.Key.Check(); err != nil {
		return ledger.Invalid("key", "%v", err)
	}
	switch {
	case t.Window < 1 || t.Window > MaxWindow:
		return ledger.Invalid("window", "must be from 1 to %d", MaxWindow)
	case t.Expires.Nanosecond() != 0 || t.Expires.Location() != time.UTC || t.Expires.Unix() < 0:
		return ledger.Invalid("expires", "expected UTC and whole seconds, like 2030-01-31T12:00:00Z")
	case t.Grace < use.MinGrace || t.Grace > MaxGrace:
		return ledger.Invalid("grace", "must be from %d to %d hours", use.MinGrace, MaxGrace)
	}
	return nil
}

// signed are the terms of a session in the form of which the session's id is the digest.
func (t Terms) signed(n Named) (terms use.Terms, err error) {
	terms = use.Terms{Account: string(n.Account), Host: string(t.Host), Card: t.Card, Key: t.Key, Window: uint16(t.Window),
		Expires: uint64(t.Expires.Unix()), Grace: uint16(t.Grace), Disclosure: t.Disclosure, Escrow: uint64(t.Escrow)}
	_, err = hex.Decode(terms.Name[:], []byte(n.Name))
	return terms, err
}

// Ends is when anyone may end the session: its expiry and grace have passed.
func (t Terms) Ends() time.Time { return t.Expires.Add(time.Duration(t.Grace) * time.Hour) }

// Session is a session's terms and state.
type Session struct {
	Named
	Terms
	ID    merkle.Hash `json:"id"` // sid, the digest of its terms on this channel
	State State       `json:"state"`
	Tx    string      `json:"tx"`
	EndTx string      `json:"endTx,omitzero"` // that ended it
}

// Signed are the session's terms in the form of which its id is the digest.
func (s Session) Signed() (use.Terms, error) { return s.Terms.signed(s.Named) }

// Tab is what has been paid into a session and settled of it. Until it is closed, funded − amount is held.
type Tab struct {
	Funded money.Amount `json:"funded"` // escrow and the top-ups that a settlement has named
	N      int64        `json:"n"`      // uses that are settled
	Amount money.Amount `json:"amount"` // the sum of their fees
	Root   merkle.Hash  `json:"root"`   // of the tree over them
	Closed bool         `json:"closed"` // the rest has gone back
}

// Fund is a top-up. It is never deleted: once a settlement or a return has counted it, it is marked.
type Fund struct {
	ID     string       `json:"id"`
	Amount money.Amount `json:"amount"`
	Used   bool         `json:"used"`
	Tx     string       `json:"tx"`
}

// Open is the request that opens a session of the caller.
type Open struct {
	Name string `json:"name"` // random
	Terms
	token.Source
}

func (o Open) Validate() error {
	if err := ledger.ValidID("name", o.Name); err != nil {
		return err
	}
	if err := o.Terms.validate(); err != nil {
		return err
	}
	return o.Source.Validate()
}

func (o Open) named(c ledger.Caller) Named { return Named{Account: c.Account(), Name: o.Name} }

func (o Open) Reads(c ledger.Caller) []ledger.Key {
	return append(token.SpendReads(c, o.Name, o.Source), key(o.named(c)), model.Key(o.Model.Named), model.CardKey(o.Model))
}

// TopUp is the request that pays more into a session of the caller.
type TopUp struct {
	Name   string       `json:"name"` // of the session
	ID     string       `json:"id"`   // of the top-up, random
	Amount money.Amount `json:"amount"`
	token.Source
}

func (u TopUp) Validate() error {
	if err := ledger.ValidID("name", u.Name); err != nil {
		return err
	}
	if err := ledger.ValidID("id", u.ID); err != nil {
		return err
	}
	if u.Amount == 0 {
		return ledger.Invalid("amount", "must be positive")
	}
	return u.Source.Validate()
}

func (u TopUp) Reads(c ledger.Caller) []ledger.Key {
	n := Named{Account: c.Account(), Name: u.Name}
	return append(token.SpendReads(c, u.ID, u.Source), key(n), fundKey(n, u.ID))
}

// Load reads a session.
func Load(r ledger.Reader, n Named) (Session, error) {
	s, found, err := ledger.Load[Session](r, key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "%s has no session %s", n.Account, n.Name).At("name")
	}
	return s, err
}

func loadTab(r ledger.Reader, n Named) (Tab, error) {
	t, found, err := ledger.Load[Tab](r, tabKey(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "session %s of %s has no tab", n.Name, n.Account).At("name")
	}
	return t, err
}

func mustBeOpen(s Session) error {
	if s.State != Opened {
		return ledger.Refuse(ledger.CodeState, "session %s of %s is %s", s.Name, s.Account, s.State).At("name")
	}
	return nil
}
