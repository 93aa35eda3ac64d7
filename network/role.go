package network

import (
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Role is one value of the certificate attribute datanet.roles, in the words of the ledger, which enforces it.
type Role = ledger.Role

func known(r Role) bool { return slices.Contains(ledger.Roles, r) }

// GatewayUser is the enrolment of an organisation's gateway.
const GatewayUser = "gateway"

// MemberUsers is who a member enrols if its topology names nobody: two
// operators, since proposer and approver are never the same account, four
// contributors, one of each other role of a member, and the gateway, which
// seals as a curator, releases content as a host and acknowledges its erasure
// as an operator.
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
	return append(users, User{Name: GatewayUser, Roles: []Role{ledger.Curator, ledger.Host, ledger.Operator}})
}

// RegulatorUsers is who the regulator enrols if its topology names nobody.
func RegulatorUsers() []User {
	return []User{{Name: "inspector1", Roles: []Role{ledger.Regulator}}, {Name: GatewayUser, Roles: []Role{ledger.Regulator}}}
}
