package claim

import (
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// Release is the request that pays a page of a claim's table.
type Release struct {
	Named
	disbursement.Page
}

func (r Release) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	return r.Page.Check()
}

func (r Release) Reads(ledger.Caller) []ledger.Key { return append(r.Page.Reads(), key(r.Named)) }

func release(tx ledger.Tx, req Release) (Claim, error) {
	c, err := load(tx, req.Named)
	if err != nil {
		return c, err
	}
	switch c.State {
	case Frozen:
		return Claim{}, ledger.Refuse(ledger.CodeState, "%s has objected: the members decide", c.Objection.By.MSP())
	case Open:
		if c.Next, err = agreed(tx, c, req.Page); err != nil {
			return Claim{}, err
		}
	}
	due, fresh, err := c.Pay(tx, req.Page, c.pays, "data", c.ID)
	if err != nil || !fresh {
		return c, err
	}
	c.Due, c.State = due, Releasing
	if c.Left == 0 {
		c.State, c.EndTx = Released, tx.TxID()
	}
	tx.Emit("claim.released/1", c)
	return c, ledger.Save(tx, key(c.Named), c)
}

// pays tells whether a datanet's pool may have a part in the claim.
func (c Claim) pays(datanet string) bool {
	return slices.ContainsFunc(c.Revisions, func(v Revision) bool { return v.Datanet == datanet })
}

// agreed returns the table that begins with this page, if a quorum of active members has voted for it on the latest
// revisions.
func agreed(r ledger.Reader, c Claim, page disbursement.Page) (merkle.Hash, error) {
	table, err := page.Digest()
	if err != nil {
		return table, err
	}
	members, err := member.Load(r)
	if err != nil {
		return table, err
	}
	latest, err := revisions(r, c.Revisions)
	if err != nil {
		return table, err
	}
	slots, err := slotsOf(r, c)
	if err != nil {
		return table, err
	}
	now, votes := numbersOf(latest), 0
	for _, slot := range slots {
		if slot.By == "" || !members.Active(slot.MSP) || slot.Table != table || slot.Scope != c.Scope || !slices.Equal(slot.Revisions, now) {
			continue
		}
		if err := ledger.MustBeGuarded(r, slotKey(c.Named, slot.MSP), slot.MSP, c.Slots); err != nil {
			return table, err
		}
		votes++
	}
	if votes < c.Quorum {
		return table, ledger.Refuse(ledger.CodeState, "%d of %d attestors have voted for the table %s on the latest revisions, %d are needed",
			votes, len(c.Attestors), table, c.Quorum)
	}
	return table, nil
}
