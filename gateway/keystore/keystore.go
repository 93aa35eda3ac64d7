// Package keystore keeps the keys of accounts for which their organisation's gateway signs, and the gateway's own.
//
// It is a folder of mode 0700 with a folder for each enrolment, in the layout of an MSP folder:
//
//	<enrolment>/signcerts/cert.pem   the certificate
//	<enrolment>/keystore/key.pem     the key, PKCS #8, mode 0600
//
// An enrolment is added as a whole or not at all, and its key never changes; a renewed certificate replaces the old one.
package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network/pki"
	"github.com/datanet-consortium/datanet/network/secret"
)

var (
	// ErrNone is an enrolment whose key is not here.
	ErrNone = errors.New("no key of this enrolment in the gateway's keystore")
	// ErrExists is an enrolment that has another key.
	ErrExists = errors.New("the gateway's keystore has another key of this enrolment")
)

// half is how the folder of an enrolment begins that is not complete yet. No enrolment begins like this.
const half = ".new-"

// Store is safe for concurrent use by one process.
type Store struct {
	dir   string
	mspID string

	mutex      sync.Mutex
	identities map[string]*pki.Identity
}

// Open opens the keystore of an organisation's gateway and makes the folder if there is none. It refuses a folder that
// others may enter, and clears away what an interrupted [Store.Add] left.
func Open(dir, mspID string) (*Store, error) {
	s, err := Look(dir, mspID)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), half) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("open keystore: %w", err)
			}
		}
	}
	return s, nil
}

// Look is Open beside a process that may be using the keystore.
func Look(dir, mspID string) (*Store, error) {
	if err := secret.MakeFolder(dir); err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	return &Store{dir: dir, mspID: mspID, identities: map[string]*pki.Identity{}}, nil
}

// Get returns the identity that signs for an enrolment. The error is [ErrNone] when its key is not here.
func (s *Store) Get(enrolment string) (*pki.Identity, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.get(enrolment)
}

func (s *Store) get(enrolment string) (*pki.Identity, error) {
	if err := s.validate(enrolment); err != nil {
		return nil, err
	}
	if id, ok := s.identities[enrolment]; ok {
		return id, nil
	}
	id, err := pki.LoadIdentity(filepath.Join(s.dir, enrolment), s.mspID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", enrolment, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	// A file system that does not tell Anna from anna would otherwise give the one the other's key.
	if err := names(s.mspID, id.Certificate(), enrolment); err != nil {
		return nil, fmt.Errorf("keystore: folder %s: %w", enrolment, err)
	}
	s.identities[enrolment] = id
	return id, nil
}

// Has tells whether an enrolment's key is here.
func (s *Store) Has(enrolment string) (bool, error) {
	_, err := s.Get(enrolment)
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// List lists the enrolments whose keys are here, sorted.
func (s *Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list keystore: %w", err)
	}
	var enrolments []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), half) {
			enrolments = append(enrolments, e.Name())
		}
	}
	slices.Sort(enrolments)
	return enrolments, nil
}

// Export returns the certificate and the key (both PEM) of an enrolment, for a backup that is encrypted.
func (s *Store) Export(enrolment string) (certificate, key []byte, err error) {
	id, err := s.Get(enrolment)
	if err != nil {
		return nil, nil, err
	}
	if key, err = os.ReadFile(keyPath(filepath.Join(s.dir, enrolment))); err != nil {
		return nil, nil, fmt.Errorf("export the key of %s: %w", enrolment, err)
	}
	return id.Credentials(), key, nil
}

// Import keeps what Export has returned. Where the enrolment is here with the same key, what is here stays: its
// certificate may be a later one.
func (s *Store) Import(enrolment string, certificate, key []byte) error {
	block, more := pem.Decode(key)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(more)) > 0 {
		return fmt.Errorf("import the key of %s: it must be exactly one in PEM", enrolment)
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("import the key of %s: it cannot be read", enrolment) // without what it says of the bytes
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return fmt.Errorf("import the key of %s: it does not sign", enrolment)
	}
	if here, err := s.Get(enrolment); err == nil && sameKey(here.Certificate(), signer.Public()) {
		return nil
	}
	return s.Add(enrolment, certificate, signer)
}

// Add keeps the key and the certificate (PEM) of an enrolment. When it returns both are on disk. An enrolment that has
// the same key already gets the certificate, as [Store.Renew] does; with another key it is [ErrExists].
func (s *Store) Add(enrolment string, certificate []byte, key crypto.Signer) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.validate(enrolment); err != nil {
		return err
	}
	if _, err := s.check(enrolment, certificate, key); err != nil {
		return err
	}
	switch old, err := s.get(enrolment); {
	case err == nil && !sameKey(old.Certificate(), key.Public()):
		return fmt.Errorf("%s: %w", enrolment, ErrExists)
	case err == nil:
		return s.renew(enrolment, certificate)
	case !errors.Is(err, ErrNone):
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("keep the key of %s: %w", enrolment, err)
	}
	temporary, err := os.MkdirTemp(s.dir, half)
	if err != nil {
		return fmt.Errorf("keep the key of %s: %w", enrolment, err)
	}
	err = errors.Join(
		writeSynced(keyPath(temporary), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		writeSynced(certPath(temporary), certificate))
	if err == nil {
		if err = os.Rename(temporary, filepath.Join(s.dir, enrolment)); err == nil {
			err = syncFolder(s.dir)
		}
	}
	if err != nil {
		return fmt.Errorf("keep the key of %s: %w", enrolment, errors.Join(err, os.RemoveAll(temporary)))
	}
	return nil
}

// Renew replaces the certificate (PEM) of an enrolment by another one for the same key.
func (s *Store) Renew(enrolment string, certificate []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.renew(enrolment, certificate)
}

func (s *Store) renew(enrolment string, certificate []byte) error {
	old, err := s.get(enrolment)
	if err != nil {
		return err
	}
	if bytes.Equal(bytes.TrimSpace(old.Credentials()), bytes.TrimSpace(certificate)) {
		return nil
	}
	cert, err := s.check(enrolment, certificate, nil)
	if err != nil {
		return err
	}
	if !sameKey(cert, old.Certificate().PublicKey) {
		return fmt.Errorf("renew the certificate of %s: it is for another key", enrolment)
	}
	path := certPath(filepath.Join(s.dir, enrolment))
	if err := writeSynced(path+".new", certificate); err != nil {
		return fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	delete(s.identities, enrolment)
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	return nil
}

// Remove destroys the key of an enrolment. It is no error when there is none.
func (s *Store) Remove(enrolment string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.validate(enrolment); err != nil {
		return err
	}
	delete(s.identities, enrolment)
	if err := os.RemoveAll(filepath.Join(s.dir, enrolment)); err != nil {
		return fmt.Errorf("remove the key of %s: %w", enrolment, err)
	}
	return syncFolder(s.dir)
}

// validate also keeps the path inside the folder: an enrolment has no separator and does not begin with a dot.
func (s *Store) validate(enrolment string) error {
	return ledger.NewAccount(s.mspID, enrolment).Validate("enrolment")
}

// check reads a certificate that is to be kept: one, for the enrolment, and for the key unless that is nil.
func (s *Store) check(enrolment string, certificate []byte, key crypto.Signer) (*x509.Certificate, error) {
	block, more := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(more)) > 0 {
		return nil, fmt.Errorf("keep the certificate of %s: it must be exactly one in PEM", enrolment)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("keep the certificate of %s: %w", enrolment, err)
	}
	if err := names(s.mspID, cert, enrolment); err != nil {
		return nil, fmt.Errorf("keep the certificate of %s: %w", enrolment, err)
	}
	if key != nil {
		if _, err := pki.NewIdentity(s.mspID, cert, key); err != nil {
			return nil, fmt.Errorf("keep the key of %s: %w", enrolment, err)
		}
	}
	return cert, nil
}

// names reports a certificate that is another enrolment's.
func names(mspID string, cert *x509.Certificate, enrolment string) error {
	caller, err := pki.CallerOf(mspID, cert)
	if err != nil {
		return err
	}
	if caller.Enrolment != enrolment {
		return fmt.Errorf("the certificate is of enrolment %q", caller.Enrolment)
	}
	return nil
}

func sameKey(cert *x509.Certificate, public crypto.PublicKey) bool {
	key, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(public)
}

func certPath(folder string) string { return filepath.Join(folder, "signcerts", "cert.pem") }
func keyPath(folder string) string  { return filepath.Join(folder, "keystore", "key.pem") }

// writeSynced writes a file of mode 0600 through to the disk.
func writeSynced(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
