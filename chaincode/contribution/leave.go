package contribution

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Finalise writes the outcome of the vote and, for a rejected contribution, frees its fingerprint. It emits no event.
func Finalise(tx ledger.Tx, c Contribution, state State) (Contribution, error) {
	c.State, c.Approval, c.EndTx = state, state == Approved, tx.TxID()
	if state == Rejected {
		tx.Delete(fingerprintKey(c.holds()))
	}
	return c, save(tx, c)
}

// MayKeep tells whether a caller decides on a contribution: its contributor, or an operator of the contributor's
// organisation, which holds the content.
func MayKeep(caller ledger.Caller, c Contribution) bool {
	return caller.Account() == c.Contributor || (caller.MSP == c.Contributor.MSP() && caller.Has(ledger.Operator))
}

func mustKeep(r ledger.Reader, n Named) (Contribution, error) {
	c, err := Load(r, n)
	if err == nil && !MayKeep(r.Caller(), c) {
		err = ledger.Refuse(ledger.CodeForbidden, "only its contributor or an operator of %s can do this", c.Contributor.MSP())
	}
	return c, err
}

// withdraw ends a contribution's part in what comes. The fingerprint stays taken: withdrawn content is not up for
// others.
func withdraw(tx ledger.Tx, req Named) (Contribution, error) {
	c, err := mustKeep(tx, req)
	if err != nil || c.State == Withdrawn {
		return c, err
	}
	if c.State != Pending && c.State != Approved {
		return c, ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
	}
	c.State, c.LeaveTx = Withdrawn, tx.TxID()
	if c.Approval {
		if err := leave(tx, c); err != nil {
			return c, err
		}
	}
	tx.Emit("contribution.withdrawn/1", Changed{[]Contribution{c}})
	return c, save(tx, c)
}

// BeginErasure frees the fingerprint and puts the contribution into the state erasing. The caller has checked who asks
// for it, and emits the event.
func BeginErasure(tx ledger.Tx, c Contribution) (Contribution, error) {
	if c.State == Erasing || c.State == Erased {
		return c, ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
	}
	if c.State != Rejected { // whose fingerprint is free, or somebody else's by now
		tx.Delete(fingerprintKey(c.holds()))
	}
	if c.Approval && c.State != Withdrawn {
		if err := leave(tx, c); err != nil {
			return c, err
		}
	}
	c.State, c.LeaveTx = Erasing, tx.TxID()
	return c, save(tx, c)
}

// CompleteErasure puts an erasing contribution into the state erased. The caller has checked that all who held content
// have acknowledged, and emits the event.
func CompleteErasure(tx ledger.Tx, c Contribution) (Contribution, error) {
	if c.State != Erasing {
		return c, ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
	}
	c.State = Erased
	return c, save(tx, c)
}

// withdrawals lists a datanet's contributions that were approved, have been withdrawn or are being erased, and may
// still stand in its seal. One list for each datanet, so that whoever opens a ticket can read it: a withdrawal writes
// it, and a ticket held back loses.
type withdrawals struct {
	IDs []string `json:"ids"` // in the order of leaving
}

// WithdrawnKey is what [Left] reads, for prefetching.
func WithdrawnKey(datanet string) ledger.Key { return withdrawnKey(datanet) }

// Left returns the ids of contributions that have left a datanet and that [Settle] has not taken off the list yet.
func Left(r ledger.Reader, datanet string) ([]string, error) {
	list, _, err := ledger.Load[withdrawals](r, withdrawnKey(datanet))
	return list.IDs, err
}

// Settle takes ids off the list of those that have left, once the seal is without their leaves.
func Settle(tx ledger.Tx, datanet string, ids []string) error {
	left, err := Left(tx, datanet)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(left, id) {
			return ledger.Refuse(ledger.CodeState, "contribution %s has not left, or is settled already", id)
		}
	}
	left = slices.DeleteFunc(slices.Clone(left), func(id string) bool { return slices.Contains(ids, id) })
	if len(left) == 0 {
		tx.Delete(withdrawnKey(datanet))
		return nil
	}
	return ledger.Save(tx, withdrawnKey(datanet), withdrawals{left})
}

func leave(tx ledger.Tx, c Contribution) error {
	left, err := Left(tx, c.Datanet)
	if err != nil {
		return err
	}
	return ledger.Save(tx, withdrawnKey(c.Datanet), withdrawals{append(slices.Clone(left), c.ID)})
}

// Refingerprint is the request that moves a contribution to the fingerprint epoch in force.
type Refingerprint struct {
	Named
	Fingerprint Fingerprint `json:"fingerprint"`
}

func (r Refingerprint) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	return r.Fingerprint.validate()
}

func (r Refingerprint) Reads(ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(r.Datanet, r.ID), epochKey, fingerprintKey(r.Fingerprint)}
}

func refingerprint(tx ledger.Tx, req Refingerprint) (Contribution, error) {
	c, err := mustKeep(tx, req.Named)
	if err != nil || c.holds() == req.Fingerprint {
		return c, err
	}
	switch c.State {
	case Rejected, Erasing, Erased:
		return c, ledger.Refuse(ledger.CodeState, "the contribution is %s and holds no fingerprint", c.State)
	}
	if req.Fingerprint.Epoch <= c.holds().Epoch {
		return c, ledger.Refuse(ledger.CodeExists, "the contribution has another fingerprint of epoch %d", c.holds().Epoch).At("fingerprint")
	}
	if err := claim(tx, req.Fingerprint, Registration{Datanet: c.Datanet, ID: c.ID, Revision: c.Revision}); err != nil {
		return c, err
	}
	tx.Delete(fingerprintKey(c.holds()))
	c.Moved = req.Fingerprint
	tx.Emit("contribution.refingerprinted/1", Changed{[]Contribution{c}})
	return c, save(tx, c)
}

func holder(r ledger.Reader, f Fingerprint) (Registration, error) {
	reg, found, err := ledger.Load[Registration](r, fingerprintKey(f))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "no contribution holds this fingerprint").At("hmac")
	}
	return reg, err
}
