package pki

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network"
)

// CallerOf reads organisation, enrolment and roles from an identity
// certificate in the way the chaincode does, so that whoever serves a request
// sees the same account and the same roles as the ledger. A certificate
// without an enrolment id, or with one that cannot be part of an account,
// belongs to nobody: a "forbidden" [ledger.Fault].
//
// Whether the organisation's authority signed the certificate is not checked
// here.
func CallerOf(mspID string, cert *x509.Certificate) (ledger.Caller, error) {
	attrs, err := attrmgr.New().GetAttributesFromCert(cert)
	if err != nil {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the certificate's attributes cannot be read: %v", err)
	}
	enrolment, ok := attrs.Attrs[enrolmentAttribute]
	if !ok {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the certificate has no enrolment id (attribute %s)", enrolmentAttribute)
	}
	if err := ledger.NewAccount(mspID, enrolment).Validate(""); err != nil {
		return ledger.Caller{}, ledger.Refuse(ledger.CodeForbidden, "the certificate names no account: %v", err)
	}
	return ledger.Caller{MSP: mspID, Enrolment: enrolment, Roles: ledger.ParseRoles(attrs.Attrs[ledger.RolesAttribute])}, nil
}

// OpenAuthority loads the authority whose certificate and key lie in a folder,
// as cert.pem and key.pem. Without the key it is an error: such an authority
// can issue nothing.
func OpenAuthority(dir string) (*Authority, error) {
	a, err := loadAuthority(dir)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	if a.signer == nil {
		return nil, fmt.Errorf("load authority: its key is not in %s", dir)
	}
	return a, nil
}

// Certify issues an identity certificate, in PEM, for a user's public key. The
// user's name is the enrolment id, for people a pseudonym. That the user holds
// the private key is for the caller to check. It is valid for so long, with 0 for [Validity].
func (a *Authority) Certify(user network.User, public crypto.PublicKey, validity time.Duration) ([]byte, error) {
	if err := user.Validate(); err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	template, err := identityTemplate(holder{name: user.Name, ou: ouClient, enrolled: true, roles: user.Roles}, a.Certificate.Subject.Organization)
	if err != nil {
		return nil, err
	}
	return a.issue(template, public, cmp.Or(validity, Validity))
}

// NewKey makes a private key.
func NewKey(algorithm network.KeyAlgorithm) (crypto.Signer, error) { return newKey(algorithm) }

// ReadKey reads a private key that only its owner may read.
func ReadKey(path string) (crypto.Signer, error) { return readKey(path) }

// PrivateKeyPEM encodes a private key (PKCS #8).
func PrivateKeyPEM(key crypto.Signer) ([]byte, error) { return privateKeyPEM(key) }

func identityTemplate(h holder, organization []string) (*x509.Certificate, error) {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: h.name, Organization: organization, OrganizationalUnit: []string{h.ou}},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if h.enrolled {
		if err := addAttributes(template, h.name, h.ou, h.roles); err != nil {
			return nil, fmt.Errorf("attributes of %s: %w", h.name, err)
		}
	}
	return template, nil
}
