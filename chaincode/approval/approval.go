// Package approval is how independent validators decide on a contribution.
//
// Submission opens a slot for every eligible organisation: the datanet's validating organisations but the
// contributor's. Only that organisation's peer, together with enough others to make a majority of the members, can
// write it. A validator of the organisation votes into it, once. When the quorum of equal votes stands, or approval is
// out of reach, anyone finalises; the outcome is final.
//
// Votes read the contribution and write their own slot, so simultaneous votes never conflict. Finalising writes the
// contribution: a vote held back loses.
package approval

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Choice is a validator's vote.
type Choice string

const (
	Approve Choice = "approve"
	Reject  Choice = "reject"
)

// Reason is why, as a code: no free text of a person reaches the ledger.
type Reason string

// Reasons lists the codes.
var Reasons = []Reason{"sound", "duplicate", "derived", "low-quality", "off-topic", "licence", "personal-data", "counts-differ", "other"}

// Slot is an eligible organisation's place for its vote; Validator is "" until there is one.
type Slot struct {
	MSP       string         `json:"msp"`
	Validator ledger.Account `json:"validator"`
	Choice    Choice         `json:"choice,omitzero"`
	Score     int            `json:"score,omitzero"`
	Reason    Reason         `json:"reason,omitzero"`
	Tx        string         `json:"tx,omitzero"`
}

// Vote is the request that fills the slot of the caller's organisation.
type Vote struct {
	contribution.Named
	Choice Choice `json:"choice"`
	Score  int    `json:"score"` // quality, 0 to 100
	Reason Reason `json:"reason"`
}

func (v Vote) Validate() error {
	if err := v.Named.Validate(); err != nil {
		return err
	}
	if v.Choice != Approve && v.Choice != Reject {
		return ledger.Invalid("choice", "must be approve or reject")
	}
	if v.Score < 0 || v.Score > 100 {
		return ledger.Invalid("score", "must be from 0 to 100")
	}
	for _, reason := range Reasons {
		if v.Reason == reason {
			return nil
		}
	}
	return ledger.Invalid("reason", "must be one of %v", Reasons)
}

func (v Vote) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{contribution.Key(v.Datanet, v.ID), slotKey(v.Named, c.MSP)}
}

// Functions are the approval functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("approval:Vote", "Votes on a contribution for the caller's organisation.", ledger.For(ledger.Validator), vote),
		ledger.Command("approval:Finalise", "Records the outcome when the votes decide.", ledger.For(ledger.Roles...), finalise),
		ledger.Query("approval:Votes", "Shows the votes on a contribution.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Named) (Votes, error) {
				c, err := contribution.Load(r, req)
				if err != nil {
					return Votes{}, err
				}
				slots, err := read(r, c)
				return Votes{Slots: slots}, err
			}),
	}
}

// Votes are the slots of a contribution, in the order of the organisations.
type Votes struct {
	Slots []Slot `json:"slots"`
}

// Open creates the slots of a new contribution.
func Open(tx ledger.Tx, c contribution.Contribution) error {
	for _, msp := range c.Eligible {
		key := slotKey(nameOf(c), msp)
		if err := ledger.Save(tx, key, Slot{MSP: msp}); err != nil {
			return err
		}
		tx.Guard(key, ledger.SlotPolicy(msp, c.Slots))
	}
	return nil
}

func vote(tx ledger.Tx, req Vote) (Slot, error) {
	c, err := contribution.Load(tx, req.Named)
	if err != nil {
		return Slot{}, err
	}
	caller := tx.Caller()
	slot, found, err := ledger.Load[Slot](tx, slotKey(req.Named, caller.MSP))
	filled := Slot{MSP: caller.MSP, Validator: caller.Account(), Choice: req.Choice, Score: req.Score, Reason: req.Reason, Tx: slot.Tx}
	switch {
	case err != nil:
		return Slot{}, err
	case caller.MSP == c.Contributor.MSP():
		return Slot{}, ledger.Refuse(ledger.CodeForbidden, "%s cannot validate its own member's contribution", caller.MSP)
	case !found:
		return Slot{}, ledger.Refuse(ledger.CodeForbidden, "%s does not validate datanet %s", caller.MSP, c.Datanet)
	case slot == filled:
		return slot, nil
	case slot.Validator != "":
		return Slot{}, ledger.Refuse(ledger.CodeState, "%s has voted for %s already", slot.Validator, caller.MSP)
	case c.State != contribution.Pending:
		return Slot{}, ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
	}
	filled.Tx = tx.TxID()
	tx.Emit("approval.voted/1", Voted{Named: req.Named, Slot: filled})
	return filled, ledger.Save(tx, slotKey(req.Named, caller.MSP), filled)
}

// Voted is the event of a vote.
type Voted struct {
	contribution.Named
	Slot Slot `json:"slot"`
}

func finalise(tx ledger.Tx, req contribution.Named) (contribution.Contribution, error) {
	c, err := contribution.Load(tx, req)
	if err != nil || c.State != contribution.Pending {
		return c, err
	}
	slots, err := read(tx, c)
	if err != nil {
		return c, err
	}
	count := map[Choice]int{}
	for _, slot := range slots {
		if slot.Validator == "" {
			continue
		}
		if err := guarded(tx, c, slot.MSP); err != nil {
			return c, err
		}
		count[slot.Choice]++
	}
	switch {
	case count[Approve] >= c.Quorum:
		c, err = contribution.Finalise(tx, c, contribution.Approved)
	case count[Reject] > len(c.Eligible)-c.Quorum:
		c, err = contribution.Finalise(tx, c, contribution.Rejected)
	default:
		err = ledger.Refuse(ledger.CodeState, "%d approve and %d reject of %d: the votes do not decide yet, %d equal ones do",
			count[Approve], count[Reject], len(c.Eligible), c.Quorum)
	}
	if err != nil {
		return c, err
	}
	tx.Emit("approval.finalised/1", c)
	return c, nil
}

func read(r ledger.Reader, c contribution.Contribution) ([]Slot, error) {
	keys := make([]ledger.Key, len(c.Eligible))
	for i, msp := range c.Eligible {
		keys[i] = slotKey(nameOf(c), msp)
	}
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

// guarded checks that a filled slot is under exactly the policy it must have. A colluding majority could create a
// weaker one: it is refused here and reported by the audit.
func guarded(r ledger.Reader, c contribution.Contribution, msp string) error {
	policy, ok, err := r.KeyPolicy(slotKey(nameOf(c), msp))
	if err == nil && (!ok || !policy.Equal(ledger.SlotPolicy(msp, c.Slots))) {
		err = ledger.Refuse(ledger.CodeState, "the slot of %s is not guarded as it must be", msp)
	}
	return err
}

func nameOf(c contribution.Contribution) contribution.Named {
	return contribution.Named{Datanet: c.Datanet, ID: c.ID}
}
