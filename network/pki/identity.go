package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// Identity is a certificate and its key, as Fabric's clients use them. It is
// the identity of fabric-gateway and the signing identity of
// fabric-admin-sdk. It may be used concurrently.
type Identity struct {
	mspID       string
	certificate *x509.Certificate
	pem         []byte
	sign        func(message []byte) ([]byte, error)
}

// NewIdentity joins a certificate and its key.
func NewIdentity(mspID string, certificate *x509.Certificate, key crypto.Signer) (*Identity, error) {
	if !samePublicKey(key.Public(), certificate.PublicKey) {
		return nil, fmt.Errorf("identity %s of %s: the key does not belong to the certificate", certificate.Subject.CommonName, mspID)
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, fmt.Errorf("identity %s of %s: %w", certificate.Subject.CommonName, mspID, err)
	}
	id := &Identity{mspID: mspID, certificate: certificate, pem: certificatePEM(certificate.Raw), sign: sign}
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		id.sign = func(message []byte) ([]byte, error) {
			digest := sha256.Sum256(message)
			return sign(digest[:])
		}
	}
	return id, nil
}

// LoadIdentity reads the identity in an MSP folder.
func LoadIdentity(mspDir, mspID string) (*Identity, error) {
	cert, _, err := readCertificate(filepath.Join(mspDir, signcerts, certFile))
	if err != nil {
		return nil, fmt.Errorf("load identity of %s: %w", mspID, err)
	}
	key, err := readKeyFor(filepath.Join(mspDir, keystore, keyFile), cert)
	if err != nil {
		return nil, fmt.Errorf("load identity of %s: %w", mspID, err)
	}
	return NewIdentity(mspID, cert, key)
}

// MspID is the organisation's MSP ID.
func (id *Identity) MspID() string { return id.mspID }

// Credentials is the certificate in PEM.
func (id *Identity) Credentials() []byte { return id.pem }

// Certificate is the parsed certificate; do not change it.
func (id *Identity) Certificate() *x509.Certificate { return id.certificate }

// Sign signs a whole message: Ed25519 over the message itself, ECDSA over its
// SHA-256, with low S. A gateway client that uses it must be set to hash.NONE.
func (id *Identity) Sign(message []byte) ([]byte, error) { return id.sign(message) }

// Serialize gives the creator bytes that Fabric puts in headers.
func (id *Identity) Serialize() ([]byte, error) {
	return proto.Marshal(&msp.SerializedIdentity{Mspid: id.mspID, IdBytes: id.pem})
}
