package approval

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// FinaliseBatch is the request that records several outcomes. A fault names the item whose votes do not decide, as
// items.3, and then none is recorded.
type FinaliseBatch struct {
	Items []contribution.Named `json:"items"`
}

func (b FinaliseBatch) Validate() error {
	if len(b.Items) == 0 || len(b.Items) > MaxBatch {
		return ledger.Invalid("items", "a batch has from 1 to %d contributions", MaxBatch)
	}
	seen := map[contribution.Named]bool{}
	for i, name := range b.Items {
		if err := name.Validate(); err != nil {
			return ledger.AsFault(err).Within("items", i)
		}
		if seen[name] {
			return ledger.Invalid("id", "stands twice in the batch").Within("items", i)
		}
		seen[name] = true
	}
	return nil
}

func (b FinaliseBatch) Reads(c ledger.Caller) []ledger.Key {
	var keys []ledger.Key
	for _, name := range b.Items {
		keys = append(keys, name.Reads(c)...)
	}
	return keys
}

func finaliseOne(tx ledger.Tx, req contribution.Named) (contribution.Contribution, error) {
	c, fresh, err := finalise(tx, req)
	if err == nil && fresh {
		tx.Emit("approval.finalised/1", contribution.Changed{Contributions: []contribution.Contribution{c}})
	}
	return c, err
}

func finaliseBatch(tx ledger.Tx, req FinaliseBatch) (contribution.Batch, error) {
	// The slots of all in one round trip; which ones, only the contributions tell.
	var slots []ledger.Key
	for i, name := range req.Items {
		c, err := contribution.Load(tx, name)
		if err != nil {
			return contribution.Batch{}, ledger.AsFault(err).Within("items", i)
		}
		slots = append(slots, slotKeys(c)...)
	}
	if err := tx.Prefetch(slots...); err != nil {
		return contribution.Batch{}, err
	}
	var all, changed []contribution.Contribution
	for i, name := range req.Items {
		c, fresh, err := finalise(tx, name)
		if err != nil {
			return contribution.Batch{}, ledger.AsFault(err).Within("items", i)
		}
		all = append(all, c)
		if fresh {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		tx.Emit("approval.finalised/1", contribution.Changed{Contributions: changed})
	}
	return contribution.Batch{Contributions: all}, nil
}

// finalise records the outcome of a pending contribution, which the votes must decide; fresh is false for one that was
// decided before. Votes of suspended members do not count, and neither do they decide against the contribution.
func finalise(tx ledger.Tx, req contribution.Named) (c contribution.Contribution, fresh bool, err error) {
	c, err = contribution.Load(tx, req)
	if err != nil || c.State != contribution.Pending {
		return c, false, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return c, false, err
	}
	slots, err := read(tx, c)
	if err != nil {
		return c, false, err
	}
	count := map[Choice]int{}
	for _, slot := range slots {
		if slot.Validator == "" || !members.Active(slot.MSP) {
			continue
		}
		if err := ledger.MustBeGuarded(tx, slotKey(req, c.Revision, slot.MSP), slot.MSP, c.Slots); err != nil {
			return c, false, err
		}
		count[slot.Choice]++
	}
	var outcome contribution.State
	switch {
	case count[Approve] >= c.Quorum:
		outcome = contribution.Approved
	case count[Reject] > len(c.Eligible)-c.Quorum: // approval is out of reach
		outcome = contribution.Rejected
	default:
		return c, false, ledger.Refuse(ledger.CodeState, "%d approve and %d reject of %d: the votes do not decide yet, %d equal ones do",
			count[Approve], count[Reject], len(c.Eligible), c.Quorum)
	}
	c, err = contribution.Finalise(tx, c, outcome)
	return c, err == nil, err
}

// Open creates the slots of a new revision.
func Open(tx ledger.Tx, c contribution.Contribution) error {
	for _, msp := range c.Eligible {
		key := slotKey(c.Name(), c.Revision, msp)
		if err := ledger.Save(tx, key, Slot{Named: c.Name(), Revision: c.Revision, MSP: msp}); err != nil {
			return err
		}
		tx.Guard(key, ledger.SlotPolicy(msp, c.Slots))
	}
	return nil
}

func read(r ledger.Reader, c contribution.Contribution) ([]Slot, error) {
	keys := slotKeys(c)
	if err := r.Prefetch(keys...); err != nil {
		return nil, err
	}
	slots := []Slot{}
	for _, key := range keys {
		slot, found, err := ledger.Load[Slot](r, key)
		if err != nil {
			return nil, err
		}
		if found {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}
