package pki

import (
	"fmt"
	"path/filepath"

	mspproto "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// Names of the sub-folders that Fabric expects in an MSP folder.
const (
	cacerts    = "cacerts"
	tlscacerts = "tlscacerts"
	signcerts  = "signcerts"
	keystore   = "keystore"
)

// nodeOUs makes the organisational unit of a certificate say what its holder
// is. Without it every member of an MSP could pass for its peer.
const nodeOUs = `NodeOUs:
  Enable: true
  ClientOUIdentifier: {OrganizationalUnitIdentifier: client}
  PeerOUIdentifier: {OrganizationalUnitIdentifier: peer}
  AdminOUIdentifier: {OrganizationalUnitIdentifier: admin}
  OrdererOUIdentifier: {OrganizationalUnitIdentifier: orderer}
`

// ensureVerifyingMSP writes the public part that every MSP folder has.
func (o *Organization) ensureVerifyingMSP(dir string) error {
	files := map[string][]byte{
		"config.yaml":                       []byte(nodeOUs),
		filepath.Join(cacerts, certFile):    o.CA.PEM,
		filepath.Join(tlscacerts, certFile): o.TLSCA.PEM,
	}
	for name, content := range files {
		if err := keepFile(filepath.Join(dir, name), content, publicMode); err != nil {
			return err
		}
	}
	return nil
}

// VerifyingMSP is the organisation's public MSP definition, as the channel
// configuration holds it: its authorities and how to tell nodes, clients and
// administrators apart.
func (o *Organization) VerifyingMSP() (*mspproto.MSPConfig, error) {
	ou := func(name string) *mspproto.FabricOUIdentifier {
		return &mspproto.FabricOUIdentifier{OrganizationalUnitIdentifier: name}
	}
	config, err := proto.MarshalOptions{Deterministic: true}.Marshal(&mspproto.FabricMSPConfig{
		Name:      o.MSPID,
		RootCerts: [][]byte{o.CA.PEM},
		CryptoConfig: &mspproto.FabricCryptoConfig{
			SignatureHashFamily:            "SHA2",
			IdentityIdentifierHashFunction: "SHA256",
		},
		TlsRootCerts: [][]byte{o.TLSCA.PEM},
		FabricNodeOus: &mspproto.FabricNodeOUs{
			Enable:              true,
			ClientOuIdentifier:  ou(ouClient),
			PeerOuIdentifier:    ou(ouPeer),
			AdminOuIdentifier:   ou(ouAdmin),
			OrdererOuIdentifier: ou(ouOrderer),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("define MSP %s: %w", o.MSPID, err)
	}
	// Type 0 is Fabric's own kind of MSP, with X.509 certificates.
	return &mspproto.MSPConfig{Type: 0, Config: config}, nil
}
