package proposal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// Named is a request that names a proposal.
type Named struct {
	ID string `json:"id"`
}

func (n Named) Validate() error { return ledger.ValidID("id", n.ID) }

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{headKey(n.ID)} }

// Approval names a proposal and, by its digest, what it says.
type Approval struct {
	ID     string `json:"id"`
	Digest string `json:"digest"`
}

func (a Approval) Validate() error {
	if err := ledger.ValidID("id", a.ID); err != nil {
		return err
	}
	return ledger.ValidDigest("digest", a.Digest)
}

func (a Approval) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{headKey(a.ID), slotKey(a.ID, c.MSP)}
}

// Detail is a proposal with its slots.
type Detail struct {
	Proposal
	Approvals []Slot `json:"approvals"`
}

// Functions are the proposal functions for the given kinds.
func Functions(kinds ...Kind) []*ledger.Function {
	byName := map[string]Kind{}
	var names []string
	for _, k := range kinds {
		byName[k.Name] = k
		names = append(names, k.Name)
	}
	slices.Sort(names)
	find := func(name string) (Kind, error) {
		k, ok := byName[name]
		if !ok {
			return k, ledger.Invalid("kind", "no kind %q of proposal: there are %s", ledger.Clip(name), strings.Join(names, ", "))
		}
		return k, nil
	}
	operator := ledger.For(ledger.Operator)
	return []*ledger.Function{
		ledger.Command("proposal:Propose", "Puts a proposal before the members. Kinds: "+strings.Join(names, ", ")+".", operator,
			func(tx ledger.Tx, c Content) (Proposal, error) { return propose(tx, c, find) }),
		ledger.Command("proposal:Approve", "Approves a proposal for the caller's organisation.", operator, approve),
		ledger.Command("proposal:Withdraw", "Withdraws the caller's own proposal.", operator, withdraw),
		ledger.Command("proposal:Execute", "Executes a proposal that a majority of the members has approved.", operator,
			func(tx ledger.Tx, n Named) (Proposal, error) { return execute(tx, n, find) }),
		ledger.Command("proposal:Expire", "Ends an open proposal whose time has passed.", ledger.Anyone, expire),
		ledger.Query("proposal:Get", "Shows a proposal and its approvals.", ledger.Anyone, get),
		ledger.Query("proposal:List", "Lists proposals by id.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Proposal], error) {
				return ledger.List(r, headPrefix, req, ledger.Value[Proposal])
			}),
	}
}

func propose(tx ledger.Tx, c Content, find func(string) (Kind, error)) (Proposal, error) {
	existing, found, err := ledger.Load[Proposal](tx, headKey(c.ID))
	if err != nil {
		return Proposal{}, err
	}
	me := tx.Caller().Account()
	if found {
		same, err := sameContent(existing, c, me)
		if err == nil && !same {
			err = ledger.Refuse(ledger.CodeExists, "proposal %s says something else", c.ID).At("id")
		}
		return existing, err
	}
	kind, err := find(c.Kind)
	if err != nil {
		return Proposal{}, err
	}
	if term := c.Expires.Sub(tx.Time()); term < MinTerm || term > MaxTerm {
		return Proposal{}, ledger.Invalid("expires", "must be from %v to %v after the transaction's time", MinTerm, MaxTerm)
	}
	if err := kind.Check(tx, c.Params); err != nil {
		return Proposal{}, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Proposal{}, err
	}
	digest, err := c.Digest()
	if err != nil {
		return Proposal{}, err
	}
	p := Proposal{Content: c, Digest: digest, Proposer: me, Slots: members.Members, State: Open, Tx: tx.TxID()}
	for _, msp := range p.Slots {
		if err := ledger.Save(tx, slotKey(p.ID, msp), Slot{Proposal: p.ID, MSP: msp}); err != nil {
			return Proposal{}, err
		}
		tx.Guard(slotKey(p.ID, msp), ledger.SlotPolicy(msp, p.Slots))
	}
	tx.Emit("proposal.proposed/1", p)
	return p, ledger.Save(tx, headKey(p.ID), p)
}

func approve(tx ledger.Tx, req Approval) (Slot, error) {
	p, err := load(tx, req.ID)
	if err != nil {
		return Slot{}, err
	}
	caller := tx.Caller()
	slot, found, err := ledger.Load[Slot](tx, slotKey(p.ID, caller.MSP))
	switch {
	case err != nil:
		return Slot{}, err
	case !found:
		return Slot{}, ledger.Refuse(ledger.CodeForbidden, "%s was not a member when the proposal was made", caller.MSP)
	case req.Digest != p.Digest:
		return Slot{}, ledger.Invalid("digest", "the proposal says something else: its digest is %s", p.Digest)
	case slot.Approver == caller.Account():
		return slot, nil
	case slot.Approver != "":
		return Slot{}, ledger.Refuse(ledger.CodeState, "%s has approved for %s already", slot.Approver, caller.MSP)
	case p.Proposer == caller.Account():
		return Slot{}, ledger.Refuse(ledger.CodeForbidden, "the proposer cannot approve: another operator of %s can", caller.MSP)
	}
	if err := mustBeOpen(p, tx.Time()); err != nil {
		return Slot{}, err
	}
	slot.Approver, slot.Tx = caller.Account(), tx.TxID()
	tx.Emit("proposal.approved/1", slot)
	return slot, ledger.Save(tx, slotKey(p.ID, caller.MSP), slot)
}

func withdraw(tx ledger.Tx, req Named) (Proposal, error) {
	p, err := load(tx, req.ID)
	if err != nil {
		return Proposal{}, err
	}
	if p.Proposer != tx.Caller().Account() {
		return Proposal{}, ledger.Refuse(ledger.CodeForbidden, "only its proposer can withdraw a proposal")
	}
	if p.State == Withdrawn {
		return p, nil
	}
	if p.State != Open {
		return Proposal{}, ledger.Refuse(ledger.CodeState, "the proposal is %s", p.State)
	}
	return end(tx, p, Withdrawn)
}

func execute(tx ledger.Tx, req Named, find func(string) (Kind, error)) (Proposal, error) {
	p, err := load(tx, req.ID)
	if err != nil || p.State == Executed {
		return p, err
	}
	if err := mustBeOpen(p, tx.Time()); err != nil {
		return Proposal{}, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Proposal{}, err
	}
	slots := make([]ledger.Key, len(p.Slots))
	for i, msp := range p.Slots {
		slots[i] = slotKey(p.ID, msp)
	}
	if err := tx.Prefetch(slots...); err != nil {
		return Proposal{}, err
	}
	if p.Approved, err = approvals(tx, p, members); err != nil {
		return Proposal{}, err
	}
	if len(p.Approved) < members.Majority() {
		return Proposal{}, ledger.Refuse(ledger.CodeState, "%d of %d members have approved, %d are needed",
			len(p.Approved), len(members.Members), members.Majority())
	}
	kind, err := find(p.Kind)
	if err != nil {
		return Proposal{}, err
	}
	if err := kind.Check(tx, p.Params); err != nil {
		return Proposal{}, err
	}
	if err := kind.Execute(tx, p.ID, p.Params); err != nil {
		return Proposal{}, err
	}
	return end(tx, p, Executed)
}

func expire(tx ledger.Tx, req Named) (Proposal, error) {
	p, err := load(tx, req.ID)
	switch {
	case err != nil || p.State == Expired:
		return p, err
	case p.State != Open:
		return Proposal{}, ledger.Refuse(ledger.CodeState, "the proposal is %s", p.State)
	case tx.Time().Before(p.Expires):
		return Proposal{}, ledger.Refuse(ledger.CodeState, "the proposal is open until %s", p.Expires.Format(time.RFC3339))
	}
	return end(tx, p, Expired)
}

func end(tx ledger.Tx, p Proposal, state State) (Proposal, error) {
	p.State, p.EndTx = state, tx.TxID()
	tx.Emit(fmt.Sprintf("proposal.%s/1", state), p)
	return p, ledger.Save(tx, headKey(p.ID), p)
}

func mustBeOpen(p Proposal, now time.Time) error {
	if p.State != Open {
		return ledger.Refuse(ledger.CodeState, "the proposal is %s", p.State)
	}
	if !now.Before(p.Expires) {
		return ledger.Refuse(ledger.CodeState, "the proposal's time has passed at %s", p.Expires.Format(time.RFC3339))
	}
	return nil
}

func get(r ledger.Lister, req Named) (Detail, error) {
	p, err := load(r, req.ID)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Proposal: p, Approvals: []Slot{}}
	for _, msp := range p.Slots {
		slot, found, err := ledger.Load[Slot](r, slotKey(p.ID, msp))
		if err != nil {
			return Detail{}, err
		}
		if found {
			d.Approvals = append(d.Approvals, slot)
		}
	}
	return d, nil
}
