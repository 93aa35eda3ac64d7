package network

import (
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Role is one value of the certificate attribute datanet.roles, in the words of the ledger, which enforces it.
type Role = ledger.Role

func known(r Role) bool { return slices.Contains(ledger.Roles, r) }

// MemberUsers is who a member enrols if its topology names nobody: two
// operators, since proposer and approver are never the same account, four
// contributors, and one of each other role of a member.
func MemberUsers() []User {
	var users []User
	enrol := func(role Role, n int) {
		for i := 1; i <= n; i++ {
			users = append(users, User{Name: fmt.Sprintf("%s%d", role, i), Roles: []Role{role}})
		}
	}
	enrol(ledger.Operator, 2)
	enrol(ledger.Curator, 1)
	enrol(ledger.Validator, 1)
	enrol(ledger.Contributor, 4)
	enrol(ledger.Trainer, 1)
	enrol(ledger.Host, 1)
	enrol(ledger.Consumer, 1)
	return users
}

// RegulatorUsers is who the regulator enrols if its topology names nobody.
func RegulatorUsers() []User {
	return []User{{Name: "inspector1", Roles: []Role{ledger.Regulator}}}
}
