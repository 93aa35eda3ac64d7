package approval

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// MaxBatch bounds the votes, or the outcomes, of one transaction.
const MaxBatch = 200

// Vote is the request that fills the slot of the caller's organisation. It names the revision that the validator has
// seen, so a vote on a rejected one never counts for the next.
type Vote struct {
	contribution.Named
	Revision int `json:"revision"`
	Verdict
}

func (v Vote) Validate() error {
	if err := v.Named.Validate(); err != nil {
		return err
	}
	if v.Revision < 1 || v.Revision > contribution.MaxRevisions {
		return ledger.Invalid("revision", "must be from 1 to %d", contribution.MaxRevisions)
	}
	return v.Verdict.validate()
}

func (v Vote) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{contribution.Key(v.Datanet, v.ID), slotKey(v.Named, v.Revision, c.MSP)}
}

// VoteBatch is the request that fills several slots of the caller's organisation. A fault names the item that is at
// fault, as items.3.score, and then no vote is cast.
type VoteBatch struct {
	Items []Vote `json:"items"`
}

func (b VoteBatch) Validate() error {
	if len(b.Items) == 0 || len(b.Items) > MaxBatch {
		return ledger.Invalid("items", "a batch has from 1 to %d votes", MaxBatch)
	}
	seen := map[contribution.Named]bool{}
	for i, vote := range b.Items {
		if err := vote.Validate(); err != nil {
			return ledger.AsFault(err).Within("items", i)
		}
		if seen[vote.Named] {
			return ledger.Invalid("id", "stands twice in the batch").Within("items", i)
		}
		seen[vote.Named] = true
	}
	return nil
}

func (b VoteBatch) Reads(c ledger.Caller) []ledger.Key {
	var keys []ledger.Key
	for _, vote := range b.Items {
		keys = append(keys, vote.Reads(c)...)
	}
	return keys
}

// Voted is the event of votes: the slots that were filled.
type Voted struct {
	Slots []Slot `json:"slots"`
}

func voteOne(tx ledger.Tx, req Vote) (Slot, error) {
	slot, fresh, err := vote(tx, req)
	if err == nil && fresh {
		tx.Emit("approval.voted/1", Voted{[]Slot{slot}})
	}
	return slot, err
}

func voteBatch(tx ledger.Tx, req VoteBatch) (Votes, error) {
	var all, filled []Slot
	for i, item := range req.Items {
		slot, fresh, err := vote(tx, item)
		if err != nil {
			return Votes{}, ledger.AsFault(err).Within("items", i)
		}
		all = append(all, slot)
		if fresh {
			filled = append(filled, slot)
		}
	}
	if len(filled) > 0 {
		tx.Emit("approval.voted/1", Voted{filled})
	}
	return Votes{all}, nil
}

// vote fills one slot, unless the same vote fills it already; fresh tells which.
func vote(tx ledger.Tx, req Vote) (slot Slot, fresh bool, err error) {
	c, err := contribution.Load(tx, req.Named)
	if err != nil {
		return Slot{}, false, err
	}
	caller := tx.Caller()
	switch {
	case caller.MSP == c.Contributor.MSP():
		return Slot{}, false, ledger.Refuse(ledger.CodeForbidden, "%s cannot validate its own member's contribution", caller.MSP)
	case req.Revision > c.Revision:
		return Slot{}, false, ledger.Refuse(ledger.CodeNotFound, "the latest revision is %d", c.Revision).At("revision")
	}
	key := slotKey(req.Named, req.Revision, caller.MSP)
	slot, found, err := ledger.Load[Slot](tx, key)
	filled := Slot{Named: req.Named, Revision: req.Revision, MSP: caller.MSP, Validator: caller.Account(), Verdict: req.Verdict, Tx: slot.Tx}
	switch {
	case err != nil:
		return Slot{}, false, err
	case !found:
		return Slot{}, false, ledger.Refuse(ledger.CodeForbidden, "%s does not validate this contribution to %s", caller.MSP, c.Datanet)
	case slot == filled:
		return slot, false, nil
	case slot.Validator != "":
		return Slot{}, false, ledger.Refuse(ledger.CodeState, "%s has voted for %s already", slot.Validator, caller.MSP)
	case req.Revision < c.Revision:
		return Slot{}, false, ledger.Refuse(ledger.CodeState, "revision %d has taken the place of revision %d", c.Revision, req.Revision).At("revision")
	case c.State != contribution.Pending:
		return Slot{}, false, ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
	}
	filled.Tx = tx.TxID()
	return filled, true, ledger.Save(tx, key, filled)
}
