package pki

import (
	"fmt"

	mspproto "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/network"
)

// Material is that of all organisations of a consortium, on a machine that
// may make all of it, as the local network does.
type Material struct {
	organizations map[string]*Organization
}

// Ensure makes what is missing under dir for the topology.
func Ensure(dir string, t *network.Topology) (*Material, error) {
	organizations, operators := t.Organizations(), t.Ordering.Operators
	made := make([]*Organization, len(organizations)+len(operators))
	// Several hundred small files: organisations are made side by side.
	var work errgroup.Group
	for i, org := range organizations {
		work.Go(func() (err error) {
			made[i], err = EnsureOrganization(dir, org)
			return err
		})
	}
	for i := range operators {
		work.Go(func() (err error) {
			made[len(organizations)+i], err = EnsureOperator(dir, &operators[i])
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	m := &Material{organizations: map[string]*Organization{}}
	for _, o := range made {
		m.Add(o)
	}
	return m, nil
}

// Add adds an organisation that joined later.
func (m *Material) Add(o *Organization) { m.organizations[o.MSPID] = o }

// Organization returns the material of a member, the regulator or an ordering
// operator.
func (m *Material) Organization(mspID string) (*Organization, error) {
	o, ok := m.organizations[mspID]
	if !ok {
		return nil, fmt.Errorf("there is no certificate material of %s", mspID)
	}
	return o, nil
}

// MSP is the public MSP definition of an organisation.
func (m *Material) MSP(mspID string) (*mspproto.MSPConfig, error) {
	o, err := m.Organization(mspID)
	if err != nil {
		return nil, err
	}
	return o.VerifyingMSP()
}

// Consenter gives the certificates of an operator's orderer, in PEM, that the
// channel configuration pins.
func (m *Material) Consenter(mspID string) (identity, tls []byte, err error) {
	o, err := m.Organization(mspID)
	if err != nil {
		return nil, nil, err
	}
	node := o.Orderer()
	id, err := LoadIdentity(node.MSPDir, mspID)
	if err != nil {
		return nil, nil, err
	}
	if tls, err = node.TLS.PEM(); err != nil {
		return nil, nil, fmt.Errorf("TLS certificate of the orderer of %s: %w", mspID, err)
	}
	return id.Credentials(), tls, nil
}
