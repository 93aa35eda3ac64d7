package content

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// What a wrapped key is of; it is bound to that and to a name.
const (
	kindContent     = "content"
	kindFingerprint = "fingerprint"
	kindBackup      = "backup"
)

// A wrapped key is
//
//	format 1   u32 version of the master key   nonce 12   the key, sealed by AES-256-GCM 48
//
// with "DATANET-WRAP/1", the kind and the name, a zero byte before each, as associated data.
const (
	wrapFormat  = 1
	wrapHead    = 1 + 4
	wrappedSize = wrapHead + 12 + 32 + 16
)

func wrapData(kind, name string, version uint32) []byte {
	data := append([]byte("DATANET-WRAP/1\x00"), kind...)
	data = append(append(data, 0), name...)
	return binary.BigEndian.AppendUint32(append(data, 0), version)
}

// wrap seals a key under the newest master key.
func (m *MasterKeys) wrap(kind, name string, k key) (wrapped []byte, version uint32, err error) {
	version = m.Version()
	master, ok := m.of(version)
	if !ok {
		return nil, 0, errors.New("wrap a key: there is no master key")
	}
	aead, err := gcm(master)
	if err != nil {
		return nil, 0, err
	}
	wrapped = binary.BigEndian.AppendUint32([]byte{wrapFormat}, version)
	return append(wrapped, aead.Seal(nil, nil, k[:], wrapData(kind, name, version))...), version, nil
}

// unwrap opens what wrap returned for the same kind and name.
func (m *MasterKeys) unwrap(kind, name string, wrapped []byte) (k key, err error) {
	version, sealed, err := parseWrapped(wrapped)
	if err != nil {
		return k, fmt.Errorf("unwrap the key of %s %s: %w", kind, name, err)
	}
	master, ok := m.of(version)
	if !ok {
		return k, fmt.Errorf("unwrap the key of %s %s: it needs master key %d, which the file of master keys does not have", kind, name, version)
	}
	aead, err := gcm(master)
	if err != nil {
		return k, err
	}
	plain, err := aead.Open(nil, nil, sealed, wrapData(kind, name, version))
	if err != nil || len(plain) != len(k) {
		return k, fmt.Errorf("unwrap the key of %s %s: it is damaged, or of another master key", kind, name)
	}
	copy(k[:], plain)
	return k, nil
}

func parseWrapped(wrapped []byte) (version uint32, sealed []byte, err error) {
	if len(wrapped) != wrappedSize || wrapped[0] != wrapFormat {
		return 0, nil, errors.New("it is no wrapped key")
	}
	return binary.BigEndian.Uint32(wrapped[1:]), wrapped[wrapHead:], nil
}

// derive is the key for one purpose.
func (k key) derive(purpose string) (derived key, err error) {
	bytes, err := hkdf.Key(sha256.New, k[:], nil, purpose, len(derived))
	if err != nil {
		return derived, fmt.Errorf("derive a key: %w", err)
	}
	return key(bytes), nil
}

// seal encrypts a small value of the content with the given id, unseal opens it.
func (k key) seal(id string, value []byte) ([]byte, error) {
	aead, err := k.dossierCipher()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, value, []byte(id)), nil
}

func (k key) unseal(id string, sealed []byte) ([]byte, error) {
	aead, err := k.dossierCipher()
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("its dossier: %w", ErrDamaged)
	}
	return value, nil
}

func (k key) dossierCipher() (cipher.AEAD, error) {
	derived, err := k.derive("DATANET-DOSSIER/1")
	if err != nil {
		return nil, err
	}
	return gcm(derived)
}

// gcm is AES-256-GCM with a random nonce before the ciphertext.
func gcm(k key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("prepare AES-256: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("prepare AES-256-GCM: %w", err)
	}
	return aead, nil
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return data, nil
}

func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
