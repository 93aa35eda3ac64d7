package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/datanet-consortium/datanet/network"
)

// Organisational units, the kinds of holders that an MSP tells apart.
const (
	ouClient  = "client"
	ouPeer    = "peer"
	ouAdmin   = "admin"
	ouOrderer = "orderer"
)

// Folders of an organisation.
const (
	caDir              = "ca"
	tlscaDir           = "tlsca"
	mspDir             = "msp"
	tlsDir             = "tls"
	peerDir            = "peer"
	ordererDir         = "orderer"
	adminDir           = "admin"
	usersDir           = "users"
	chaincodeDir       = "chaincode"
	chaincodeClientDir = "chaincode-client"
	gatewayDir         = "gateway"
)

// Organization is the material of one organisation in its folder:
//
//	ca/, tlsca/           cert.pem and key.pem of the authorities
//	msp/                  the public MSP
//	peer/ or orderer/     msp/ and tls/ of the node
//	admin/                msp/ and tls/, the latter a client of admin APIs
//	users/NAME/msp/       the enrolled users
//	chaincode/tls/        server of the chaincode process
//	chaincode-client/tls/ the peer as a client of the chaincode process
//	gateway/tls/          server of the gateway
type Organization struct {
	Name  string
	MSPID string
	Dir   string
	CA    *Authority
	TLSCA *Authority
}

// TLS names the files of a TLS certificate.
type TLS struct {
	CertFile string
	KeyFile  string
	// CAFile is the organisation's own TLS authority.
	CAFile string
}

// Certificate loads the certificate and its key.
func (t TLS) Certificate() (tls.Certificate, error) {
	return tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
}

// PEM reads the certificate.
func (t TLS) PEM() ([]byte, error) {
	_, raw, err := readCertificate(t.CertFile)
	return raw, err
}

// Node names the material of a peer or orderer.
type Node struct {
	MSPDir string
	TLS    TLS
}

// EnsureOrganization makes what is missing of a member's or the regulator's
// material under dir.
func EnsureOrganization(dir string, org *network.Organization) (*Organization, error) {
	o, err := ensure(dir, org.Name, org.MSPID, org.Domain, org.Keys)
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error {
			return o.ensureIdentity(peerDir, holder{name: "peer." + org.Domain, ou: ouPeer}, org.Keys)
		},
		func() error {
			return o.ensureTLS(peerDir, "peer."+org.Domain, hostNames(org.Peer.Host, "peer."+org.Domain))
		},
		func() error {
			return o.ensureIdentity(adminDir, holder{name: network.AdminUser, ou: ouAdmin, enrolled: true}, org.Keys)
		},
		func() error { return o.ensureTLS(adminDir, "admin."+org.Domain, []string{"admin." + org.Domain}) },
		func() error {
			return o.ensureTLS(chaincodeDir, "chaincode."+org.Domain, hostNames(org.ChaincodeService.Host, "chaincode."+org.Domain))
		},
		func() error {
			return o.ensureTLS(chaincodeClientDir, "chaincode-client."+org.Domain, []string{"chaincode-client." + org.Domain})
		},
	}
	steps = append(steps, func() error {
		return o.ensureTLS(gatewayDir, "gateway."+org.Domain, hostNames(org.Gateway.Host, "gateway."+org.Domain))
	})
	for _, u := range org.Users {
		steps = append(steps, func() error {
			return o.ensureIdentity(filepath.Join(usersDir, u.Name), holder{name: u.Name, ou: ouClient, enrolled: true, roles: u.Roles}, org.Keys)
		})
	}
	return o, run(o, steps)
}

// EnsureOperator makes what is missing of an ordering operator's material
// under dir. Its keys are ECDSA, since consenters cannot have others.
func EnsureOperator(dir string, op *network.Operator) (*Organization, error) {
	o, err := ensure(dir, op.Name, op.MSPID, op.Domain, network.ECDSAP256)
	if err != nil {
		return nil, err
	}
	node := "orderer." + op.Domain
	return o, run(o, []func() error{
		func() error {
			return o.ensureIdentity(ordererDir, holder{name: node, ou: ouOrderer}, network.ECDSAP256)
		},
		func() error { return o.ensureTLS(ordererDir, node, hostNames(op.Orderer.Host, node)) },
		func() error {
			return o.ensureIdentity(adminDir, holder{name: network.AdminUser, ou: ouAdmin, enrolled: true}, network.ECDSAP256)
		},
		func() error { return o.ensureTLS(adminDir, "admin."+op.Domain, []string{"admin." + op.Domain}) },
	})
}

func run(o *Organization, steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("certificates of %s: %w", o.Name, err)
		}
	}
	return nil
}

func ensure(dir, name, mspID, domain string, keys network.KeyAlgorithm) (*Organization, error) {
	o := &Organization{Name: name, MSPID: mspID, Dir: filepath.Join(dir, name)}
	var err error
	if o.CA, err = ensureAuthority(filepath.Join(o.Dir, caDir), "ca."+domain, name, keys); err != nil {
		return nil, fmt.Errorf("identity authority of %s: %w", name, err)
	}
	if o.TLSCA, err = ensureAuthority(filepath.Join(o.Dir, tlscaDir), "tlsca."+domain, name, network.ECDSAP256); err != nil {
		return nil, fmt.Errorf("TLS authority of %s: %w", name, err)
	}
	if err := o.ensureVerifyingMSP(o.MSPDir()); err != nil {
		return nil, fmt.Errorf("MSP of %s: %w", name, err)
	}
	return o, nil
}

// hostNames are the names under which a node is reached. A node on the
// loopback address may be called localhost too.
func hostNames(host, node string) []string {
	names := []string{node, host}
	if host == "127.0.0.1" || host == "::1" {
		names = append(names, "localhost")
	}
	return names
}

// MSPDir is the folder of the public MSP.
func (o *Organization) MSPDir() string { return filepath.Join(o.Dir, mspDir) }

// Peer is the material of the organisation's peer.
func (o *Organization) Peer() Node { return o.node(peerDir) }

// Orderer is the material of the operator's orderer.
func (o *Organization) Orderer() Node { return o.node(ordererDir) }

// AdminTLS is a client certificate for the admin and operations listeners.
func (o *Organization) AdminTLS() TLS { return o.tls(adminDir) }

// ChaincodeTLS is the server certificate of the chaincode process.
func (o *Organization) ChaincodeTLS() TLS { return o.tls(chaincodeDir) }

// GatewayTLS is the server certificate of the gateway.
func (o *Organization) GatewayTLS() TLS { return o.tls(gatewayDir) }

// UserMSPDir is the folder of an enrolled user, which may not exist.
func (o *Organization) UserMSPDir(name string) string {
	return filepath.Join(o.Dir, usersDir, name, mspDir)
}

// CACertFile is the certificate of the identity authority, CADir the folder with its key too.
func (o *Organization) CACertFile() string { return filepath.Join(o.CADir(), certFile) }
func (o *Organization) CADir() string      { return filepath.Join(o.Dir, caDir) }

// ChaincodeClientTLS is what the peer shows to the chaincode process. It is
// not the peer's own certificate, since its key lies in the chaincode package.
func (o *Organization) ChaincodeClientTLS() TLS { return o.tls(chaincodeClientDir) }

// Admin is the organisation's administrator.
func (o *Organization) Admin() (*Identity, error) {
	return LoadIdentity(filepath.Join(o.Dir, adminDir, mspDir), o.MSPID)
}

// User is an enrolled user. The error is fs.ErrNotExist if there is none of
// this name.
func (o *Organization) User(name string) (*Identity, error) {
	if name == network.AdminUser {
		return o.Admin()
	}
	if filepath.Base(name) != name || name == "." || name == ".." {
		return nil, fmt.Errorf("user %q of %s: not a user name", name, o.Name)
	}
	return LoadIdentity(filepath.Join(o.Dir, usersDir, name, mspDir), o.MSPID)
}

func (o *Organization) node(dir string) Node {
	return Node{MSPDir: filepath.Join(o.Dir, dir, mspDir), TLS: o.tls(dir)}
}

func (o *Organization) tls(dir string) TLS {
	at := filepath.Join(o.Dir, dir, tlsDir)
	return TLS{CertFile: filepath.Join(at, certFile), KeyFile: filepath.Join(at, keyFile), CAFile: filepath.Join(at, caFile)}
}

// holder is whom an identity certificate names.
type holder struct {
	name string
	ou   string
	// enrolled holders carry the attributes that chaincode reads.
	enrolled bool
	roles    []network.Role
}

func (o *Organization) ensureIdentity(dir string, h holder, keys network.KeyAlgorithm) error {
	at := filepath.Join(o.Dir, dir, mspDir)
	if err := o.ensureVerifyingMSP(at); err != nil {
		return err
	}
	certPath, keyPath := filepath.Join(at, signcerts, certFile), filepath.Join(at, keystore, keyFile)
	cert, _, err := readCertificate(certPath)
	switch {
	case err == nil:
		if _, err := readKeyFor(keyPath, cert); err != nil {
			return err
		}
		roles, err := rolesOf(cert)
		if err != nil {
			return fmt.Errorf("certificate %s: %w", certPath, err)
		}
		if roles == joinRoles(h.roles) {
			return nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	key, err := ensureKey(keyPath, keys)
	if err != nil {
		return err
	}
	template, err := identityTemplate(h, []string{o.Name})
	if err != nil {
		return err
	}
	certPEM, err := o.CA.issue(template, key.Public(), validityOf(h.ou))
	if err != nil {
		return err
	}
	return writeFile(certPath, certPEM, publicMode)
}

// validityOf explains itself in AuthorityValidity.
func validityOf(ou string) time.Duration {
	if ou == ouOrderer {
		return AuthorityValidity
	}
	return Validity
}

func (o *Organization) ensureTLS(dir, name string, hosts []string) error {
	files := o.tls(dir)
	if err := keepFile(files.CAFile, o.TLSCA.PEM, publicMode); err != nil {
		return err
	}
	cert, _, err := readCertificate(files.CertFile)
	switch {
	case err == nil:
		if _, err := readKeyFor(files.KeyFile, cert); err != nil {
			return err
		}
		if covers(cert, hosts) {
			return nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	key, err := ensureKey(files.KeyFile, network.ECDSAP256)
	if err != nil {
		return err
	}
	certPEM, err := o.TLSCA.issue(tlsTemplate(name, o.Name, hosts...), key.Public(), Validity)
	if err != nil {
		return err
	}
	return writeFile(files.CertFile, certPEM, publicMode)
}

func covers(cert *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if cert.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}
