// Package member keeps the list of member organisations, and is the gate in front of every function.
//
// The founding members are written once, from the channel's own list (each organisation's chaincode process reads it
// from its genesis block). Later ones come by an update of the channel and a proposal of kind "member.add".
//
// A member's standing is active or suspended, by a proposal of kind "member.standing". A suspended member's callers may
// query and acknowledge erasures, and its approvals and votes do not count; its peer still endorses, since only the
// channel's configuration decides that. What is a majority does not change: it is more than half of all members, so a
// few cannot suspend others one by one until they alone bind the consortium.
package member

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Members is the list of member organisations, their MSP IDs ascending. The regulator and ordering operators are not
// members.
type Members struct {
	Members   []string `json:"members"`
	Suspended []string `json:"suspended,omitzero"` // those of them that are suspended, ascending
}

// Has tells whether the organisation is a member, of whatever standing.
func (m Members) Has(msp string) bool { return slices.Contains(m.Members, msp) }

// Active tells whether the organisation is a member in good standing: it may act, and what it decides counts.
func (m Members) Active(msp string) bool { return m.Has(msp) && !slices.Contains(m.Suspended, msp) }

// Majority is how many members bind the consortium: more than half of all, also of the suspended ones.
func (m Members) Majority() int { return ledger.Majority(len(m.Members)) }

// Load reads the list; before the founding it is a "state" fault.
func Load(r ledger.Reader) (Members, error) {
	m, found, err := ledger.Load[Members](r, listKey)
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeState, "the founding members are not on the ledger yet: run member:Found")
	}
	return m, err
}

// Functions are the member functions. founders is the founding list as this organisation's process read it.
func Functions(founders []string) []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("member:Found", "Writes the founding members to the ledger, from the channel's genesis block.",
			ledger.Access{Roles: []ledger.Role{ledger.Operator}, Founding: true},
			func(tx ledger.Tx, _ ledger.Nothing) (Members, error) { return found(tx, founders) }),
		ledger.Query("member:List", "Lists the member organisations.", ledger.Anyone,
			func(r ledger.Lister, _ ledger.Nothing) (Members, error) { return Load(r) }),
	}
}

func found(tx ledger.Tx, founders []string) (Members, error) {
	if !slices.Contains(founders, tx.Caller().MSP) {
		return Members{}, ledger.Refuse(ledger.CodeForbidden, "%s is not a founding member", tx.Caller().MSP)
	}
	m, exists, err := ledger.Load[Members](tx, listKey)
	if err != nil || exists {
		return m, err
	}
	m = Members{Members: slices.Sorted(slices.Values(founders))}
	tx.Emit("member.founded/1", m)
	return m, ledger.Save(tx, listKey, m)
}

// Addition is the parameter of a "member.add" proposal.
type Addition struct {
	MSP string `json:"msp"`
}

// CheckAddition reports why an organisation cannot be added.
func CheckAddition(r ledger.Reader, add Addition) error {
	if err := ledger.ValidMSP(add.MSP); err != nil {
		return ledger.AsFault(err).At("params.msp")
	}
	m, err := Load(r)
	if err == nil && m.Has(add.MSP) {
		err = ledger.Refuse(ledger.CodeState, "%s is a member already", add.MSP)
	}
	return err
}

// Add puts an organisation onto the list. Whether the channel knows it too, its operators have checked before they
// approved: a chaincode cannot see the channel's configuration.
func Add(tx ledger.Tx, add Addition) error {
	m, err := Load(tx)
	if err != nil {
		return err
	}
	m.Members = slices.Sorted(slices.Values(append(slices.Clone(m.Members), add.MSP)))
	return ledger.Save(tx, listKey, m)
}

// Standing of a member.
type Standing string

const (
	Active    Standing = "active"
	Suspended Standing = "suspended"
)

// SetStanding is the parameter of a "member.standing" proposal.
type SetStanding struct {
	MSP      string   `json:"msp"`
	Standing Standing `json:"standing"`
}

// CheckStanding reports why a member's standing cannot be set. So many members must stay active that they can bind the
// consortium: otherwise nobody could be reinstated any more.
func CheckStanding(r ledger.Reader, set SetStanding) error {
	if set.Standing != Active && set.Standing != Suspended {
		return ledger.Invalid("params.standing", "must be %s or %s", Active, Suspended)
	}
	m, err := Load(r)
	if err != nil {
		return err
	}
	switch suspended := slices.Contains(m.Suspended, set.MSP); {
	case !m.Has(set.MSP):
		return ledger.Invalid("params.msp", "%q is not a member", ledger.Clip(set.MSP))
	case suspended == (set.Standing == Suspended):
		return ledger.Refuse(ledger.CodeState, "%s is %s already", set.MSP, set.Standing)
	case !suspended && len(m.Members)-len(m.Suspended)-1 < m.Majority():
		return ledger.Refuse(ledger.CodeState, "with %s suspended too, fewer than the %d active members would be left that bind the consortium",
			set.MSP, m.Majority())
	}
	return nil
}

// Set changes a member's standing. Every command reads the list, so one that was endorsed before and held back loses.
func Set(tx ledger.Tx, set SetStanding) error {
	m, err := Load(tx)
	if err != nil {
		return err
	}
	if set.Standing == Suspended {
		m.Suspended = slices.Sorted(slices.Values(append(slices.Clone(m.Suspended), set.MSP)))
	} else {
		m.Suspended = slices.DeleteFunc(slices.Clone(m.Suspended), func(msp string) bool { return msp == set.MSP })
	}
	return ledger.Save(tx, listKey, m)
}

// MayAct returns a "forbidden" fault for callers of an organisation that is no member or is suspended.
func (m Members) MayAct(msp string) error {
	if !m.Has(msp) {
		return ledger.Refuse(ledger.CodeForbidden, "%s is not a member: it may query, and write nothing", msp)
	}
	if !m.Active(msp) {
		return ledger.Refuse(ledger.CodeForbidden, "%s is suspended: it may query, and write nothing until the members reinstate it", msp)
	}
	return nil
}
