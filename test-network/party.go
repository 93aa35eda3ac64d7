package testnetwork

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
)

// party is a member or the regulator in the person of its administrator.
type party struct {
	org      *network.Organization
	material *pki.Organization
	admin    *pki.Identity
	// authority is the organisation's TLS authority in PEM.
	authority []byte
	conn      *grpc.ClientConn
	peer      *lifecycle.Peer
}

// party connects to the peer of an organisation when it is first called. The caller closes the connection.
func (s *State) party(mspID string) (*party, error) {
	org, material, err := s.Organization(mspID)
	if err != nil {
		return nil, err
	}
	admin, err := material.Admin()
	if err != nil {
		return nil, fmt.Errorf("load the administrator of %s: %w", mspID, err)
	}
	authority := material.TLSCA.PEM
	conn, err := lifecycle.Dial(org.PeerAddress(), authority)
	if err != nil {
		return nil, err
	}
	return &party{org: org, material: material, admin: admin, authority: authority, conn: conn, peer: lifecycle.NewPeer(conn, admin)}, nil
}

// parties is everyone with a peer, the regulator last.
func (s *State) parties() (all []*party, err error) {
	for _, org := range s.topology.Organizations() {
		p, err := s.party(org.MSPID)
		if err != nil {
			return nil, errors.Join(err, hangUp(all))
		}
		all = append(all, p)
	}
	return all, nil
}

// hangUp closes the connections of parties.
func hangUp(all []*party) error {
	var faults []error
	for _, p := range all {
		faults = append(faults, p.conn.Close())
	}
	return errors.Join(faults...)
}

// chaincodePackage is the package with which the organisation's peer finds its chaincode process. The sequence is part
// of the label, so every definition has packages of its own.
func (p *party) chaincodePackage(chaincode network.Chaincode) (lifecycle.Package, error) {
	files := p.material.ChaincodeClientTLS()
	certificate, err := files.PEM()
	if err != nil {
		return lifecycle.Package{}, fmt.Errorf("read the chaincode client certificate of %s: %w", p.org.MSPID, err)
	}
	key, err := readFile(files.KeyFile)
	if err != nil {
		return lifecycle.Package{}, fmt.Errorf("read the chaincode client key of %s: %w", p.org.MSPID, err)
	}
	return lifecycle.NewPackage(fmt.Sprintf("%s_%s_%d", chaincode.Name, chaincode.Version, chaincode.Sequence), lifecycle.Connection{
		Address: p.org.ChaincodeAddress(), DialTimeout: chaincodeDialTimeout,
		ClientCert: certificate, ClientKey: key, RootCert: p.authority,
	})
}
