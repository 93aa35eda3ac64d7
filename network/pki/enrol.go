package pki

import (
	"fmt"
	"path/filepath"

	"github.com/datanet-consortium/datanet/network"
)

// Enrol returns the identity of a member's user who is not in the topology, and issues it first unless there is one. The name is
// the enrolment id, for people a pseudonym. keys is the algorithm of the organisation's identities.
func (o *Organization) Enrol(user network.User, keys network.KeyAlgorithm) (*Identity, error) {
	if err := user.Validate(); err != nil {
		return nil, fmt.Errorf("enrol in %s: %w", o.Name, err)
	}
	h := holder{name: user.Name, ou: ouClient, enrolled: true, roles: user.Roles}
	if err := o.ensureIdentity(filepath.Join(usersDir, user.Name), h, keys); err != nil {
		return nil, fmt.Errorf("enrol %s in %s: %w", user.Name, o.Name, err)
	}
	return o.User(user.Name)
}
