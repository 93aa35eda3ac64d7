package network

import (
	"fmt"
	"slices"
)

// Role is one value of the certificate attribute datanet.roles. A role is a
// right within what the holder's organisation may do, never beyond it.
type Role string

const (
	Contributor     Role = "contributor"
	Validator       Role = "validator"
	Curator         Role = "curator"
	Trainer         Role = "trainer"
	Host            Role = "host"
	Consumer        Role = "consumer"
	OperatorRole    Role = "operator"
	RegulatorReader Role = "regulator"
)

// Roles lists every role.
func Roles() []Role {
	return []Role{Contributor, Validator, Curator, Trainer, Host, Consumer, OperatorRole, RegulatorReader}
}

func (r Role) known() bool { return slices.Contains(Roles(), r) }

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
	enrol(OperatorRole, 2)
	enrol(Curator, 1)
	enrol(Validator, 1)
	enrol(Contributor, 4)
	enrol(Trainer, 1)
	enrol(Host, 1)
	enrol(Consumer, 1)
	return users
}

// RegulatorUsers is who the regulator enrols if its topology names nobody.
func RegulatorUsers() []User {
	return []User{{Name: "inspector1", Roles: []Role{RegulatorReader}}}
}
