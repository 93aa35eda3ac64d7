// Package member keeps the list of member organisations, and is the gate in front of every function.
//
// The founding members are written once, from the channel's own list (each organisation's chaincode process reads it
// from its genesis block). Later ones come by an update of the channel and a proposal of kind "member.add".
package member

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Members is the list of member organisations, their MSP IDs ascending. The regulator and ordering operators are not
// members.
type Members struct {
	Members []string `json:"members"`
}

// Has tells whether the organisation is a member.
func (m Members) Has(msp string) bool { return slices.Contains(m.Members, msp) }

// Majority is how many members bind the consortium: more than half.
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
