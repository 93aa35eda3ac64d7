package member

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Gate admits callers by role and organisation and denies by default: commands are for callers of member organisations
// in good standing that hold a role the function asks for (a duty is also for those of suspended members); queries are
// for everyone whom the channel lets read.
type Gate struct{}

// Reads names the member list.
func (Gate) Reads() []ledger.Key { return []ledger.Key{listKey} }

// Admit returns a "forbidden" fault when the caller may not call f.
func (Gate) Admit(r ledger.Reader, f *ledger.Function) error {
	caller := r.Caller()
	if !f.Query && !f.Access.Founding {
		members, err := Load(r)
		if err != nil {
			return err
		}
		if err := members.MayAct(caller.MSP); err != nil && !(f.Access.Duty && members.Has(caller.MSP)) {
			return err
		}
	}
	if len(f.Access.Roles) > 0 && !caller.Has(f.Access.Roles...) {
		return ledger.Refuse(ledger.CodeForbidden, "%s needs the role %s", f.Name, ledger.AnyOf(f.Access.Roles))
	}
	return nil
}
