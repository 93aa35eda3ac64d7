package access

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// held tells that an organisation has had a contribution.
type held struct {
	Custody bool   `json:"custody"` // it was released to it to hold, so it may hand it on
	Release string `json:"release"` // by which it got it, in custody if it ever was
}

// heldSnapshots tells which snapshots an organisation has had. One list for each datanet and organisation, since an
// erasure must find them by their keys.
type heldSnapshots struct {
	Snapshots []int `json:"snapshots"` // ascending
	Custody   []int `json:"custody"`   // those of them that it may hand on, ascending
}

func snapshotsOf(r ledger.Reader, datanet, msp string) (heldSnapshots, error) {
	h, _, err := ledger.Load[heldSnapshots](r, snapshotHolderKey(datanet, msp))
	return h, err
}

// within tells whether a snapshot has a leaf at a place.
func within(p seal.Place, snapshot int) bool {
	return snapshot >= p.First && (p.From == 0 || snapshot < p.From)
}

// mustHold refuses callers whose organisation cannot have a contribution to hand on: it is not the contributor's, and
// nothing was released to it to hold.
func mustHold(r ledger.Reader, c contribution.Contribution, snapshots heldSnapshots) error {
	msp := r.Caller().MSP
	if c.Contributor.MSP() == msp {
		return nil
	}
	h, _, err := ledger.Load[held](r, holderKey(c.Datanet, c.ID, msp))
	if err != nil || h.Custody {
		return err
	}
	if len(snapshots.Custody) > 0 {
		place, sealed, err := seal.PlaceOf(r, c.Name())
		if err != nil {
			return err
		}
		if sealed && slices.ContainsFunc(snapshots.Custody, func(n int) bool { return within(place, n) }) {
			return nil
		}
	}
	return forbidden("contribution %s was not released to %s to hand it on", c.ID, msp)
}

// handsOn tells whether the recipient may hand on what it gets.
func (h Handover) handsOn() bool { return h.Reason == Holding || h.Reason == Replica }

// hold notes that the recipient's organisation has had a contribution from now on.
func hold(tx ledger.Tx, c contribution.Contribution, rel Release) error {
	key := holderKey(c.Datanet, c.ID, rel.To.MSP())
	before, known, err := ledger.Load[held](tx, key)
	custody := rel.handsOn()
	if err != nil || (known && (before.Custody || !custody)) {
		return err
	}
	if rel.Reason == Audit {
		if err := noteOutside(tx, outsideKey(c.Datanet, c.ID), rel.To.MSP()); err != nil {
			return err
		}
	}
	return ledger.Save(tx, key, held{Custody: custody, Release: rel.ID})
}

// MaxOutside bounds how many organisations that are no members get a contribution, or snapshots of a datanet: there is
// the regulator, and who audits for it.
const MaxOutside = 16

// outside names organisations that are no members and have had content. No list of the ledger tells who they are, so
// an erasure could not find them by their keys.
type outside struct {
	MSPs []string `json:"msps"` // ascending
}

func noteOutside(tx ledger.Tx, key ledger.Key, msp string) error {
	before, _, err := ledger.Load[outside](tx, key)
	if err != nil {
		return err
	}
	i, there := slices.BinarySearch(before.MSPs, msp)
	if there {
		return nil
	}
	if len(before.MSPs) == MaxOutside {
		return ledger.Refuse(ledger.CodeState, "%d organisations that are no members have had it, more cannot", MaxOutside).At("to")
	}
	return ledger.Save(tx, key, outside{slices.Insert(slices.Clone(before.MSPs), i, msp)})
}

// holdSnapshot notes that the recipient's organisation has had a snapshot, and so that the owner has, who handed it over
// without a release to itself.
func holdSnapshot(tx ledger.Tx, rel Release, mine heldSnapshots) error {
	caller, to := tx.Caller().MSP, rel.To.MSP()
	if err := noteSnapshot(tx, rel.Datanet, caller, rel.Snapshot, mine, true); err != nil || to == caller {
		return err
	}
	theirs, err := snapshotsOf(tx, rel.Datanet, to)
	if err != nil {
		return err
	}
	if rel.Reason == Audit {
		if err := noteOutside(tx, snapshotOutsideKey(rel.Datanet), to); err != nil {
			return err
		}
	}
	return noteSnapshot(tx, rel.Datanet, to, rel.Snapshot, theirs, rel.handsOn())
}

func noteSnapshot(tx ledger.Tx, datanet, msp string, number int, before heldSnapshots, custody bool) error {
	after := heldSnapshots{Snapshots: insert(before.Snapshots, number), Custody: before.Custody}
	if custody {
		after.Custody = insert(before.Custody, number)
	}
	if len(after.Snapshots) == len(before.Snapshots) && len(after.Custody) == len(before.Custody) {
		return nil
	}
	return ledger.Save(tx, snapshotHolderKey(datanet, msp), after)
}

func insert(list []int, n int) []int {
	i, there := slices.BinarySearch(list, n)
	if there {
		return list
	}
	return slices.Insert(slices.Clone(list), i, n)
}

// Had answers who has had a contribution.
type Had struct {
	// Members are the member organisations that have had it, ascending; the contributor's is one of them.
	Members []string `json:"members"`
	// Custody are those of them that may hand it on, ascending.
	Custody []string `json:"custody"`
	// Outside are the others, ascending: they got it for an audit.
	Outside []string `json:"outside"`
}

// Holders returns the organisations that have had a contribution: the contributor's, and those to which it was released
// by itself or within a snapshot, for whatever reason. It reads what every release writes, so an erasure that relies on
// the answer and is held back loses against one.
func Holders(r ledger.Reader, c contribution.Contribution) (Had, error) {
	had := Had{Members: []string{}, Custody: []string{}, Outside: []string{}}
	members, err := member.Load(r)
	if err != nil {
		return had, err
	}
	candidates, err := candidatesOf(r, c, members)
	if err != nil {
		return had, err
	}
	var keys []ledger.Key
	for _, msp := range candidates {
		keys = append(keys, holderKey(c.Datanet, c.ID, msp), snapshotHolderKey(c.Datanet, msp))
	}
	if err := r.Prefetch(keys...); err != nil {
		return had, err
	}
	place, sealed, err := seal.PlaceOf(r, c.Name())
	if err != nil {
		return had, err
	}
	for _, msp := range candidates {
		by, found, err := ledger.Load[held](r, holderKey(c.Datanet, c.ID, msp))
		if err != nil {
			return had, err
		}
		snapshots, err := snapshotsOf(r, c.Datanet, msp)
		if err != nil {
			return had, err
		}
		in := func(n int) bool { return sealed && within(place, n) }
		own := msp == c.Contributor.MSP()
		switch got := own || found || slices.ContainsFunc(snapshots.Snapshots, in); {
		case got && members.Has(msp):
			had.Members = append(had.Members, msp)
			if own || by.Custody || slices.ContainsFunc(snapshots.Custody, in) {
				had.Custody = append(had.Custody, msp)
			}
		case got:
			had.Outside = append(had.Outside, msp)
		}
	}
	return had, nil
}

// candidatesOf are the organisations that may have had a contribution, ascending.
func candidatesOf(r ledger.Reader, c contribution.Contribution, members member.Members) ([]string, error) {
	candidates := slices.Clone(members.Members)
	for _, key := range []ledger.Key{outsideKey(c.Datanet, c.ID), snapshotOutsideKey(c.Datanet)} {
		list, _, err := ledger.Load[outside](r, key)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, list.MSPs...)
	}
	slices.Sort(candidates)
	return slices.Compact(candidates), nil
}
