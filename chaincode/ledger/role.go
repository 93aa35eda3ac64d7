package ledger

import "strings"

// Role is a signed attribute of a certificate. Any organisation's CA can issue itself any role, so a role is a right
// within its organisation's rights.
type Role string

const (
	Contributor Role = "contributor"
	Validator   Role = "validator"
	Curator     Role = "curator"
	Trainer     Role = "trainer"
	Host        Role = "host"
	Consumer    Role = "consumer"
	Operator    Role = "operator"
	Regulator   Role = "regulator"
)

// Roles lists every role.
var Roles = []Role{Contributor, Validator, Curator, Trainer, Host, Consumer, Operator, Regulator}

// RolesAttribute is the name of the certificate attribute that holds the roles, separated by commas.
const RolesAttribute = "datanet.roles"

// ParseRoles reads the certificate attribute. Unknown words are no role and give no right.
func ParseRoles(attribute string) []Role {
	var roles []Role
	for _, role := range Roles {
		for _, word := range strings.Split(attribute, ",") {
			if strings.TrimSpace(word) == string(role) {
				roles = append(roles, role)
				break
			}
		}
	}
	return roles
}

// AnyOf names roles of which one is needed: "host or operator".
func AnyOf(roles []Role) string {
	words := make([]string, len(roles))
	for i, role := range roles {
		words[i] = string(role)
	}
	return strings.Join(words, " or ")
}

// Caller is who signed the proposal, as the certificate says: organisation, enrolment, roles.
type Caller struct {
	MSP       string
	Enrolment string
	Roles     []Role
}

// Account is the caller's account.
func (c Caller) Account() Account { return NewAccount(c.MSP, c.Enrolment) }

// Has tells whether the caller holds one of the roles.
func (c Caller) Has(roles ...Role) bool {
	for _, have := range c.Roles {
		for _, want := range roles {
			if have == want {
				return true
			}
		}
	}
	return false
}
