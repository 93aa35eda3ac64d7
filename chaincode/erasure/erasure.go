// Package erasure has the content of a contribution destroyed, with evidence.
//
//	request (contributor, or its organisation) ──► erasing ──acknowledge × every holder──► complete (anyone) ──► erased
//
// From the request on, nobody gets the content any more and the fingerprint is free. The holders are the member
// organisations that the releases name, the contributor's and the datanet's owner. Each has a slot that only its own
// peer, together with enough others for a majority of the members, can write: nobody says for another that content and
// wrapping key are destroyed. Acknowledging is a duty, also of a suspended member. That it is true, no ledger can see;
// what it says is signed and stays.
//
// Organisations that are no members, as the regulator, may have got the content for an audit. They write nothing, so
// they have no slot and the erasure does not wait for them. It names them, for whoever handed it to them has to tell
// them.
//
// The datanet's sequencer retires the leaf before the erasure completes; then the snapshots that held it are stale until
// a revision has a tombstone in its place, and models and hosts downstream are listed for whoever has to be told.
//
// Fees that are claimed by receipts on the old roots come first. From the request on, hosts have [SettleTerm] to settle
// what they were owed for, and attestors have until [Term] to recompute it, for which they need the content: whoever holds
// it for that destroys it then. An erasure of what a snapshot has held does not complete before. The tombstone in a
// snapshot's revision changes what receipts must name, so votes on older ones count no more, and what is attested after
// it pays for receipts on old roots to the pools.
package erasure

import (
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// The terms of open claims, from the request on.
const (
	SettleTerm = 24 * time.Hour
	Term       = 72 * time.Hour
)

// State of an erasure.
type State string

const (
	Erasing State = "erasing"
	Erased  State = "erased"
)

// Erasure is an erasure as it stands on the ledger.
type Erasure struct {
	contribution.Named
	By      ledger.Account `json:"by"`      // who asked for it
	Holders []string       `json:"holders"` // member organisations that must acknowledge, ascending
	Outside []string       `json:"outside"` // organisations that are no members and have had it for an audit, ascending
	Slots   []string       `json:"slots"`   // the members then; the slots' policy is over them
	State   State          `json:"state"`
	// Requested is when. What a snapshot has held is erased from Term after it on.
	Requested time.Time `json:"requested"`
	Tx        string    `json:"tx"`
	EndTx     string    `json:"endTx,omitzero"` // that completed it
}

// Slot is a holder's place for its acknowledgement; By is "" until there is one.
type Slot struct {
	contribution.Named
	MSP string         `json:"msp"`
	By  ledger.Account `json:"by"`
	Tx  string         `json:"tx,omitzero"`
}

func load(r ledger.Reader, n contribution.Named) (Erasure, error) {
	e, found, err := ledger.Load[Erasure](r, headKey(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "nobody has asked to erase contribution %s of %s", n.ID, n.Datanet).At("id")
	}
	return e, err
}

func request(tx ledger.Tx, req contribution.Named) (Erasure, error) {
	c, err := contribution.Load(tx, req)
	if err != nil {
		return Erasure{}, err
	}
	if !contribution.MayKeep(tx.Caller(), c) {
		return Erasure{}, ledger.Refuse(ledger.CodeForbidden, "only its contributor or an operator of %s can have it erased", c.Contributor.MSP())
	}
	existing, found, err := ledger.Load[Erasure](tx, headKey(req))
	if err != nil || found {
		return existing, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Erasure{}, err
	}
	had, err := access.Holders(tx, c)
	if err != nil {
		return Erasure{}, err
	}
	holders := had.Members
	if owner := ledger.Owner(c.Datanet); !slices.Contains(holders, owner) {
		holders = slices.Sorted(slices.Values(append(slices.Clone(holders), owner)))
	}
	if _, err := contribution.BeginErasure(tx, c); err != nil {
		return Erasure{}, err
	}
	e := Erasure{Named: req, By: tx.Caller().Account(), Holders: holders, Outside: had.Outside, Slots: members.Members, State: Erasing,
		Requested: tx.Time().UTC().Truncate(time.Second), Tx: tx.TxID()}
	for _, msp := range holders {
		if err := ledger.Save(tx, slotKey(req, msp), Slot{Named: req, MSP: msp}); err != nil {
			return Erasure{}, err
		}
		tx.Guard(slotKey(req, msp), ledger.SlotPolicy(msp, e.Slots))
	}
	tx.Emit("erasure.requested/1", e)
	return e, ledger.Save(tx, headKey(req), e)
}

// acknowledge says, for the caller's organisation, that content and wrapping key are destroyed.
func acknowledge(tx ledger.Tx, req contribution.Named) (Slot, error) {
	e, err := load(tx, req)
	if err != nil {
		return Slot{}, err
	}
	caller := tx.Caller()
	slot, found, err := ledger.Load[Slot](tx, slotKey(req, caller.MSP))
	switch {
	case err != nil:
		return Slot{}, err
	case !found:
		return Slot{}, ledger.Refuse(ledger.CodeForbidden, "%s is none of the holders of contribution %s", caller.MSP, e.ID)
	case slot.By != "":
		return slot, nil
	}
	slot.By, slot.Tx = caller.Account(), tx.TxID()
	tx.Emit("erasure.acknowledged/1", slot)
	return slot, ledger.Save(tx, slotKey(req, caller.MSP), slot)
}

func complete(tx ledger.Tx, req contribution.Named) (Erasure, error) {
	e, err := load(tx, req)
	if err != nil || e.State == Erased {
		return e, err
	}
	slots, err := slotsOf(tx, e)
	if err != nil {
		return Erasure{}, err
	}
	for _, slot := range slots {
		if slot.By == "" {
			return Erasure{}, ledger.Refuse(ledger.CodeState, "%s has not acknowledged yet", slot.MSP)
		}
		if err := ledger.MustBeGuarded(tx, slotKey(req, slot.MSP), slot.MSP, e.Slots); err != nil {
			return Erasure{}, err
		}
	}
	place, sealed, err := seal.PlaceOf(tx, req)
	if err != nil {
		return Erasure{}, err
	}
	if sealed && place.From == 0 {
		return Erasure{}, ledger.Refuse(ledger.CodeState, "its leaf is not retired yet: a curator of %s runs seal:Retire", ledger.Owner(req.Datanet))
	}
	if until := e.Requested.Add(Term); sealed && place.From != place.First && tx.Time().Before(until) {
		return Erasure{}, ledger.Refuse(ledger.CodeState, "claims on snapshots that hold it are attested first, until %s", until.Format(time.RFC3339))
	}
	c, err := contribution.Load(tx, req)
	if err != nil {
		return Erasure{}, err
	}
	if _, err := contribution.CompleteErasure(tx, c); err != nil {
		return Erasure{}, err
	}
	e.State, e.EndTx = Erased, tx.TxID()
	tx.Emit("erasure.completed/1", e)
	return e, ledger.Save(tx, headKey(req), e)
}

func slotsOf(r ledger.Reader, e Erasure) ([]Slot, error) {
	keys := make([]ledger.Key, len(e.Holders))
	for i, msp := range e.Holders {
		keys[i] = slotKey(e.Named, msp)
	}
	if err := r.Prefetch(keys...); err != nil {
		return nil, err
	}
	slots := make([]Slot, len(keys))
	for i, key := range keys {
		slot, found, err := ledger.Load[Slot](r, key)
		if err != nil {
			return nil, err
		}
		if !found || slot.MSP != e.Holders[i] {
			return nil, ledger.Refuse(ledger.CodeState, "the slot of %s is missing", e.Holders[i])
		}
		slots[i] = slot
	}
	return slots, nil
}
