package claim

import (
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
)

// Vote is what an attesting organisation has found.
type Vote struct {
	Scope     merkle.Hash `json:"scope"`           // of the settlement whose leaves it has checked
	Revisions []int       `json:"revisions"`       // of the claim's snapshots, on which it has recomputed receipts
	Table     merkle.Hash `json:"table"`           // digest of the pay-out table that follows
	Rate      int         `json:"rate"`            // how many of a million uses it has recomputed
	Secret    string      `json:"secret,omitzero"` // the id of the sampling secret that drew them; none when it was all
}

func (v Vote) validate() error {
	if v.Rate < 1 || v.Rate > use.All {
		return ledger.Invalid("rate", "must be from 1 to %d", use.All)
	}
	if v.Secret != "" {
		return ledger.ValidID("secret", v.Secret)
	}
	if v.Rate < use.All {
		return ledger.Invalid("secret", "a sample is drawn with a registered secret")
	}
	return nil
}

func (v Vote) equal(w Vote) bool {
	return v.Scope == w.Scope && slices.Equal(v.Revisions, w.Revisions) && v.Table == w.Table && v.Rate == w.Rate && v.Secret == w.Secret
}

// Attest is the request that votes for the caller's organisation. It may vote again, as it must when a snapshot has been
// revised; the latest vote counts.
type Attest struct {
	Named
	Vote
}

func (a Attest) Validate() error {
	if err := a.Named.Validate(); err != nil {
		return err
	}
	return a.Vote.validate()
}

func (a Attest) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{key(a.Named), slotKey(a.Named, c.MSP)}
}

// Slot is an attesting organisation's place for its vote; By is "" until there is one.
type Slot struct {
	Named
	MSP string         `json:"msp"`
	By  ledger.Account `json:"by"`
	Vote
	Tx string `json:"tx,omitzero"`
}

func openSlots(tx ledger.Tx, c Claim) error {
	for _, msp := range c.Attestors {
		slot := slotKey(c.Named, msp)
		if err := ledger.Save(tx, slot, Slot{Named: c.Named, MSP: msp, Vote: Vote{Revisions: []int{}}}); err != nil {
			return err
		}
		tx.Guard(slot, ledger.SlotPolicy(msp, c.Slots))
	}
	return nil
}

func slotsOf(r ledger.Reader, c Claim) ([]Slot, error) {
	slots := []Slot{}
	if c.Data == 0 {
		return slots, nil
	}
	keys := make([]ledger.Key, len(c.Attestors))
	for i, msp := range c.Attestors {
		keys[i] = slotKey(c.Named, msp)
	}
	if err := r.Prefetch(keys...); err != nil {
		return nil, err
	}
	for i, slotKey := range keys {
		slot, found, err := ledger.Load[Slot](r, slotKey)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, ledger.Refuse(ledger.CodeState, "the slot of %s is missing", c.Attestors[i])
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// attestor reads the claim and the slot of the caller's organisation.
func attestor(tx ledger.Tx, n Named) (Claim, Slot, error) {
	c, err := load(tx, n)
	if err != nil {
		return c, Slot{}, err
	}
	msp := tx.Caller().MSP
	slot, found, err := ledger.Load[Slot](tx, slotKey(n, msp))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeForbidden, "%s is none of the attestors of settlement %s", msp, n.ID)
	}
	return c, slot, err
}

func attest(tx ledger.Tx, req Attest) (Slot, error) {
	c, slot, err := attestor(tx, req.Named)
	switch {
	case err != nil:
		return Slot{}, err
	case slot.By == tx.Caller().Account() && slot.Vote.equal(req.Vote):
		return slot, nil
	case c.State != Open:
		return Slot{}, ledger.Refuse(ledger.CodeState, "the claim is %s", c.State)
	case req.Scope != c.Scope:
		return Slot{}, ledger.Invalid("scope", "the scope of settlement %s is %s", c.ID, c.Scope)
	}
	latest, err := revisions(tx, c.Revisions)
	if err != nil {
		return Slot{}, err
	}
	if now := numbersOf(latest); !slices.Equal(req.Revisions, now) {
		return Slot{}, ledger.Refuse(ledger.CodeState, "the latest revisions are %v: recompute the receipts on them", now).At("revisions")
	}
	if req.Secret != "" {
		if err := sampling.MustBeSealed(tx, "secret", sampling.Named{MSP: slot.MSP, ID: req.Secret}); err != nil {
			return Slot{}, err
		}
	}
	slot.By, slot.Vote, slot.Tx = tx.Caller().Account(), req.Vote, tx.TxID()
	tx.Emit("claim.attested/1", slot)
	return slot, ledger.Save(tx, slotKey(req.Named, slot.MSP), slot)
}

func numbersOf(revisions []Revision) []int {
	numbers := make([]int, len(revisions))
	for i, v := range revisions {
		numbers[i] = v.Revision
	}
	return numbers
}

// Finding says what is wrong with a settlement, as a code.
type Finding string

// Findings lists the codes: leaves that do not lead from the old root to the new one or repeat a request; a sum, a fee, a
// count of units or a receipt that is another one when recomputed; a receipt of another corpus, model or text; leaves,
// texts or receipts that the host does not show.
var Findings = []Finding{"leaves", "sum", "fee", "units", "receipt", "subject", "withheld"}

// Object is the request that objects for the caller's organisation.
type Object struct {
	Named
	Difference
}

// Difference is the first one that an attestor has found.
type Difference struct {
	Finding  Finding     `json:"finding"`
	Session  merkle.Hash `json:"session,omitzero"`  // in which it stands; none when it is in no single one
	Place    int64       `json:"place,omitzero"`    // of the leaf in the session, from 0
	Evidence merkle.Hash `json:"evidence,omitzero"` // SHA-256 of the attestor's report
}

// Objection is a difference and who found it.
type Objection struct {
	Difference
	By ledger.Account `json:"by"`
	Tx string         `json:"tx"`
}

func (o Object) Validate() error {
	if err := o.Named.Validate(); err != nil {
		return err
	}
	switch {
	case !slices.Contains(Findings, o.Finding):
		return ledger.Invalid("finding", "must be one of %v", Findings)
	case o.Place < 0:
		return ledger.Invalid("place", "places are counted from 0")
	}
	return nil
}

func (o Object) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{key(o.Named), slotKey(o.Named, c.MSP)}
}

// Objected is the event of an objection.
type Objected struct {
	Named
	Objection
}

func object(tx ledger.Tx, req Object) (Claim, error) {
	c, _, err := attestor(tx, req.Named)
	if err != nil {
		return Claim{}, err
	}
	raised := Objection{Difference: req.Difference, By: tx.Caller().Account(), Tx: tx.TxID()}
	if c.Objection != nil && c.Objection.Difference == raised.Difference && c.Objection.By == raised.By {
		return c, nil
	}
	if c.State != Open {
		return Claim{}, ledger.Refuse(ledger.CodeState, "the claim is %s", c.State)
	}
	c.State, c.Objection = Frozen, &raised
	tx.Emit("claim.objected/1", Objected{c.Named, raised})
	return c, ledger.Save(tx, key(c.Named), c)
}

// Decision is the parameter of a "claim.decide" proposal: the digest of the pay-out table for all that a claim has left.
type Decision struct {
	Named
	Table merkle.Hash `json:"table"`
}

// CheckDecision reports why the members cannot decide on a claim: its attestors have their term, and what is paid is paid.
func CheckDecision(r ledger.Reader, d Decision) error {
	if err := d.Named.Validate(); err != nil {
		f := ledger.AsFault(err)
		return f.At("params." + f.Field)
	}
	if d.Table == (merkle.Hash{}) {
		return ledger.Invalid("params.table", "is missing")
	}
	c, err := load(r, d.Named)
	switch {
	case err != nil:
		return ledger.AsFault(err).At("params.id")
	case c.State == Released:
		return ledger.Refuse(ledger.CodeState, "all of settlement %s is paid", c.ID)
	case c.State != Frozen && c.State != Decided && !c.overdue(r.Time()):
		return ledger.Refuse(ledger.CodeState, "the claim is %s: its attestors have until %s", c.State, c.Settled.Add(Term).Format("2006-01-02T15:04:05Z"))
	}
	return nil
}

// Decide names the table of a claim, for a proposal that the members approved.
func Decide(tx ledger.Tx, proposal string, d Decision) error {
	c, err := load(tx, d.Named)
	if err != nil {
		return fmt.Errorf("decide on a claim: %w", err)
	}
	c.State, c.Next, c.Decision = Decided, d.Table, proposal
	return ledger.Save(tx, key(c.Named), c)
}
