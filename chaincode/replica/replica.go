// Package replica keeps agreements by which a member holds what is approved in another's datanet, to hand it on when its
// origin is away.
//
//	offer (a curator of the owner) ──► offered ──accept (an operator of the keeper)──► agreed ──end (either)──► ended
//
// Two keys make an agreement. The offer is guarded as what belongs to the datanet's owner, the consent as what belongs to
// the keeper: neither says anything for the other, and an agreement is in force while both stand and neither side has
// ended it. Under it contents are released to the keeper for the reason "replica" (package access), approved ones only;
// so the keeper is a holder of each and has to acknowledge its erasure. What was released before the end stays with the
// keeper until it is erased.
package replica

import (
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// State of an agreement.
type State string

const (
	Offered State = "offered"
	Agreed  State = "agreed"
	Ended   State = "ended"
)

// Named is a request that names an agreement of a datanet.
type Named struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(n), consentKey(n)} }

// Offer is the request that asks a member to hold replicas.
type Offer struct {
	Named
	Keeper string `json:"keeper"` // the member's MSP ID
}

func (o Offer) Validate() error {
	if err := o.Named.Validate(); err != nil {
		return err
	}
	if err := ledger.ValidMSP(o.Keeper); err != nil {
		return ledger.AsFault(err).At("keeper")
	}
	if o.Keeper == ledger.Owner(o.Datanet) {
		return ledger.Invalid("keeper", "%s owns the datanet and holds it without an agreement", o.Keeper)
	}
	return nil
}

func (o Offer) Reads(ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(o.Named), datanet.Key(o.Datanet)}
}

// Side is what one side has said: who began it, and who has ended it.
type Side struct {
	By      ledger.Account `json:"by"` // "" until the keeper has accepted
	Tx      string         `json:"tx,omitzero"`
	EndedBy ledger.Account `json:"endedBy,omitzero"`
	EndTx   string         `json:"endTx,omitzero"`
}

// Agreement is the owner's side.
type Agreement struct {
	Offer
	Slots []string `json:"slots"` // the members when it was offered; both guards are over them
	Side
}

// Consent is the keeper's side.
type Consent struct {
	Named
	MSP string `json:"msp"` // the keeper
	Side
}

// Detail is an agreement with both sides.
type Detail struct {
	Agreement
	Consent Consent `json:"consent"`
	State   State   `json:"state"`
}

func (d Detail) state() State {
	switch {
	case d.EndedBy != "" || d.Consent.EndedBy != "":
		return Ended
	case d.Consent.By != "":
		return Agreed
	}
	return Offered
}

// load reads both sides and checks their guards. A missing agreement is a fault at the given field.
func load(r ledger.Reader, field string, n Named) (d Detail, err error) {
	var found bool
	if d.Agreement, found, err = ledger.Load[Agreement](r, Key(n)); err != nil {
		return d, err
	}
	if !found {
		return d, ledger.Refuse(ledger.CodeNotFound, "datanet %s has no replica agreement %s", n.Datanet, n.ID).At(field)
	}
	if err := ledger.MustBeGuarded(r, Key(n), ledger.Owner(n.Datanet), d.Slots); err != nil {
		return d, err
	}
	if d.Consent, found, err = ledger.Load[Consent](r, consentKey(n)); err != nil {
		return d, err
	}
	if !found || d.Consent.MSP != d.Keeper {
		return d, ledger.Refuse(ledger.CodeState, "replica agreement %s has no place for the consent of %s", n.ID, d.Keeper).At(field)
	}
	d.State = d.state()
	return d, ledger.MustBeGuarded(r, consentKey(n), d.Keeper, d.Slots)
}

// InForce reads an agreement that both sides stand by. It reads what ending writes, so what relies on it and is held back
// loses against the end.
func InForce(r ledger.Reader, field string, n Named) (Detail, error) {
	d, err := load(r, field, n)
	if err == nil && d.State != Agreed {
		err = ledger.Refuse(ledger.CodeState, "replica agreement %s is %s", n.ID, d.State).At(field)
	}
	return d, err
}

func offer(tx ledger.Tx, req Offer) (Detail, error) {
	if caller, owner := tx.Caller().MSP, ledger.Owner(req.Datanet); caller != owner {
		return Detail{}, ledger.Refuse(ledger.CodeForbidden, "%s belongs to %s: %s cannot have it replicated", req.Datanet, owner, caller)
	}
	existing, found, err := ledger.Load[Agreement](tx, Key(req.Named))
	if err != nil {
		return Detail{}, err
	}
	if found {
		if existing.Offer != req {
			return Detail{}, ledger.Refuse(ledger.CodeExists, "replica agreement %s says something else: choose a new id", req.ID).At("id")
		}
		return load(tx, "id", req.Named)
	}
	if _, err := datanet.Load(tx, "datanet", req.Datanet); err != nil {
		return Detail{}, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Detail{}, err
	}
	if !members.Has(req.Keeper) {
		return Detail{}, ledger.Invalid("keeper", "%s is not a member", req.Keeper)
	}
	d := Detail{Agreement: Agreement{Offer: req, Slots: members.Members, Side: Side{By: tx.Caller().Account(), Tx: tx.TxID()}},
		Consent: Consent{Named: req.Named, MSP: req.Keeper}, State: Offered}
	tx.Guard(Key(req.Named), ledger.SlotPolicy(ledger.Owner(req.Datanet), d.Slots))
	tx.Guard(consentKey(req.Named), ledger.SlotPolicy(req.Keeper, d.Slots))
	tx.Emit("replica.offered/1", d)
	if err := ledger.Save(tx, consentKey(req.Named), d.Consent); err != nil {
		return Detail{}, err
	}
	return d, ledger.Save(tx, Key(req.Named), d.Agreement)
}

// accept consents for the caller's organisation. It reads what the owner's end writes, so one that is held back loses.
func accept(tx ledger.Tx, req Named) (Detail, error) {
	d, err := load(tx, "id", req)
	if err != nil {
		return Detail{}, err
	}
	caller := tx.Caller()
	switch {
	case caller.MSP != d.Keeper:
		return Detail{}, ledger.Refuse(ledger.CodeForbidden, "replica agreement %s is offered to %s: %s cannot consent for it", d.ID, d.Keeper, caller.MSP)
	case d.State == Ended:
		return Detail{}, ledger.Refuse(ledger.CodeState, "replica agreement %s is ended", d.ID)
	case d.State == Agreed:
		return d, nil
	}
	d.Consent.By, d.Consent.Tx, d.State = caller.Account(), tx.TxID(), Agreed
	tx.Emit("replica.agreed/1", d)
	return d, ledger.Save(tx, consentKey(req), d.Consent)
}

// end ends an agreement for the caller's side, also one that was only offered.
func end(tx ledger.Tx, req Named) (Detail, error) {
	d, err := load(tx, "id", req)
	if err != nil {
		return Detail{}, err
	}
	caller := tx.Caller()
	switch {
	case caller.MSP != ledger.Owner(d.Datanet) && caller.MSP != d.Keeper:
		return Detail{}, ledger.Refuse(ledger.CodeForbidden, "replica agreement %s is between %s and %s", d.ID, ledger.Owner(d.Datanet), d.Keeper)
	case d.State == Ended:
		return d, nil
	}
	d.State = Ended
	if caller.MSP == d.Keeper {
		d.Consent.EndedBy, d.Consent.EndTx = caller.Account(), tx.TxID()
		err = ledger.Save(tx, consentKey(req), d.Consent)
	} else {
		d.EndedBy, d.EndTx = caller.Account(), tx.TxID()
		err = ledger.Save(tx, Key(req), d.Agreement)
	}
	tx.Emit("replica.ended/1", d)
	return d, err
}
