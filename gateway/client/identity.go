package client

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/datanet-consortium/datanet/network/pki"
)

// Identity is a person's certificate and private key, which never leaves this process.
type Identity struct {
	Certificate *x509.Certificate
	PEM         []byte
	key         crypto.Signer
	signer      *pki.Identity
}

// Files of an identity's folder, those of an MSP folder.
const (
	certFile = "signcerts/cert.pem"
	keyFile  = "keystore/key.pem"
	rootFile = "tlscacerts/cert.pem"
)

// NewIdentity joins a certificate (PEM) and its key.
func NewIdentity(certificate []byte, key crypto.Signer) (*Identity, error) {
	block, _ := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("the identity's certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the identity's certificate: %w", err)
	}
	signer, err := pki.NewIdentity("", cert, key)
	if err != nil {
		return nil, err
	}
	return &Identity{Certificate: cert, PEM: signer.Credentials(), key: key, signer: signer}, nil
}

// LoadIdentity reads an MSP folder, one that [Identity.Save] or the network's own certificates have made. The key's file
// must be its owner's alone.
func LoadIdentity(dir string) (*Identity, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(certFile)))
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	key, err := pki.ReadKey(filepath.Join(dir, filepath.FromSlash(keyFile)))
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	return NewIdentity(certificate, key)
}

// LoadRoots reads the TLS authority that an identity's folder names for its gateway; nil when it names none.
func LoadRoots(dir string) (*x509.CertPool, error) {
	return ReadRoots(filepath.Join(dir, filepath.FromSlash(rootFile)))
}

// ReadRoots reads authorities in PEM; nil without an error when there is no such file.
func ReadRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the gateway's TLS authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the gateway's TLS authority: no certificate in %s", path)
	}
	return roots, nil
}

// SaveKey writes a private key to an identity's folder, which must not have one.
func SaveKey(dir string, key crypto.Signer) error {
	text, err := pki.PrivateKeyPEM(key)
	if err != nil {
		return fmt.Errorf("save the private key: %w", err)
	}
	return save(filepath.Join(dir, filepath.FromSlash(keyFile)), text, 0o600, os.O_EXCL)
}

// SaveCertificate writes a certificate (PEM) to an identity's folder, over an earlier one.
func SaveCertificate(dir string, certificate []byte) error {
	return save(filepath.Join(dir, filepath.FromSlash(certFile)), certificate, 0o644, 0)
}

// SaveRoots writes the TLS authority (PEM) of an identity's gateway.
func SaveRoots(dir string, authority []byte) error {
	return save(filepath.Join(dir, filepath.FromSlash(rootFile)), authority, 0o644, 0)
}

// save writes a whole file, on the disk before it returns; with os.O_EXCL it must not exist.
func save(path string, content []byte, mode fs.FileMode, exclusive int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	target := path
	if exclusive == 0 {
		target += ".new"
	}
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|exclusive, mode)
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil && target != path {
		err = os.Rename(target, path)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

// CertificateRequest asks for a certificate for a key: PKCS #10 in PEM, of which a gateway takes the key alone.
func CertificateRequest(key crypto.Signer) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", fmt.Errorf("make a certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// Sign signs a whole message.
func (i *Identity) Sign(message []byte) ([]byte, error) { return i.signer.Sign(message) }

// Key is the private key, to sign a certificate request with.
func (i *Identity) Key() crypto.Signer { return i.key }

func (i *Identity) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{i.Certificate.Raw}, PrivateKey: i.key, Leaf: i.Certificate}
}
