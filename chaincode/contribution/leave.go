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

// MaxNamed bounds how many contributions that have left are named in one value. Those that leave while the sequencer has
// not retired so many are under keys of their own, so that no transaction reads or writes a list without a bound.
const MaxNamed = 256

// Leavers are a datanet's contributions that were approved, have been withdrawn or are being erased, and may still stand
// in its seal. One value for each datanet, so that whoever opens a ticket can read it: every withdrawal writes it, and a
// ticket held back loses.
type Leavers struct {
	Named []string `json:"ids"`           // ids, in the order of leaving, at most [MaxNamed]
	More  int      `json:"more,omitzero"` // how many others there are
}

// Count is how many have left.
func (l Leavers) Count() int { return len(l.Named) + l.More }

// MustBeFew refuses when there are so many that a transaction cannot see who they are.
func (l Leavers) MustBeFew(datanet string) error {
	if l.More > 0 {
		return ledger.Refuse(ledger.CodeState, "%d contributions have left %s and are not retired yet: its curator runs seal:Retire", l.Count(), datanet)
	}
	return nil
}

// LeaversKey is what [Left] reads, for prefetching.
func LeaversKey(datanet string) ledger.Key { return leaversKey(datanet) }

// Left returns the contributions that have left a datanet and that [Settle] has not taken off the list yet.
func Left(r ledger.Reader, datanet string) (Leavers, error) {
	l, _, err := ledger.Load[Leavers](r, leaversKey(datanet))
	return l, err
}

// LeftPage lists them by id.
func LeftPage(r ledger.Lister, req Listing) (ledger.Page[string], error) {
	page := ledger.Page[string]{Items: []string{}}
	limit, err := req.Size()
	if err != nil {
		return page, err
	}
	prefix, from := otherLeavers(req.Datanet), ledger.Key("")
	if req.Cursor != "" {
		if err := ledger.ValidID("cursor", req.Cursor); err != nil {
			return page, err
		}
		from = otherLeaverKey(req.Datanet, req.Cursor)
	}
	l, err := Left(r, req.Datanet)
	if err != nil {
		return page, err
	}
	others, next, err := r.Range(prefix, from, limit)
	if err != nil {
		return page, err
	}
	ids := slices.DeleteFunc(slices.Clone(l.Named), func(id string) bool { return id < req.Cursor })
	for _, entry := range others {
		ids = append(ids, leaverOf(entry.Key))
	}
	slices.Sort(ids)
	page.Items = append(page.Items, ids[:min(limit, len(ids))]...)
	switch {
	case len(ids) > limit:
		page.Next = ids[limit]
	case next != "":
		page.Next = leaverOf(next)
	}
	return page, nil
}

// AllLeft returns all of them, for queries.
func AllLeft(r ledger.Lister, datanet string) ([]string, error) {
	var ids []string
	req := Listing{Datanet: datanet, PageRequest: ledger.PageRequest{Limit: ledger.MaxPage}}
	for {
		page, err := LeftPage(r, req)
		if err != nil {
			return nil, err
		}
		ids, req.Cursor = append(ids, page.Items...), page.Next
		if req.Cursor == "" {
			return ids, nil
		}
	}
}

// Reads are the keys that [Leavers.Waits] reads, for prefetching.
func (l Leavers) Reads(datanet string, ids []string) []ledger.Key {
	if l.More == 0 {
		return nil
	}
	keys := make([]ledger.Key, len(ids))
	for i, id := range ids {
		keys[i] = otherLeaverKey(datanet, id)
	}
	return keys
}

// Waits tells whether a contribution is on the list.
func (l Leavers) Waits(r ledger.Reader, n Named) (bool, error) {
	if slices.Contains(l.Named, n.ID) {
		return true, nil
	}
	if l.More == 0 {
		return false, nil
	}
	value, err := r.Get(otherLeaverKey(n.Datanet, n.ID))
	return value != nil, err
}

// Settle takes contributions that wait off the list, once the seal is without their leaves.
func Settle(tx ledger.Tx, datanet string, ids []string) error {
	l, err := Left(tx, datanet)
	if err != nil {
		return err
	}
	left := Leavers{More: l.More}
	for _, id := range l.Named {
		if !slices.Contains(ids, id) {
			left.Named = append(left.Named, id)
		}
	}
	for _, id := range ids {
		waits, err := l.Waits(tx, Named{datanet, id})
		if err != nil {
			return err
		}
		if !waits {
			return ledger.Refuse(ledger.CodeState, "contribution %s has not left, or is settled already", id)
		}
		if !slices.Contains(l.Named, id) {
			tx.Delete(otherLeaverKey(datanet, id))
			left.More--
		}
	}
	if left.Count() == 0 {
		tx.Delete(leaversKey(datanet))
		return nil
	}
	return ledger.Save(tx, leaversKey(datanet), left)
}

func leave(tx ledger.Tx, c Contribution) error {
	l, err := Left(tx, c.Datanet)
	if err != nil {
		return err
	}
	if len(l.Named) < MaxNamed {
		l.Named = append(slices.Clone(l.Named), c.ID)
	} else {
		l.More++
		if err := ledger.Save(tx, otherLeaverKey(c.Datanet, c.ID), other{Tx: tx.TxID()}); err != nil {
			return err
		}
	}
	return ledger.Save(tx, leaversKey(c.Datanet), l)
}

// other is a leaver that the list has no room for.
type other struct {
	Tx string `json:"tx"` // by which it left
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
