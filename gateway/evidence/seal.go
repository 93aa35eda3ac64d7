package evidence

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Key encrypts the evidence of one session. Who destroys it has forgotten all of it.
type Key [32]byte

// Sealer seals and opens evidence of one session.
type Sealer struct{ aead cipher.AEAD }

// NewSealer is that of a key.
func NewSealer(k Key) (Sealer, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return Sealer{}, fmt.Errorf("seal evidence: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Sealer{}, fmt.Errorf("seal evidence: %w", err)
	}
	return Sealer{aead}, nil
}

// Seal encrypts evidence of an answer, bound to its session and receipt.
func (s Sealer) Seal(session, receipt merkle.Hash, encoded []byte) []byte {
	return s.aead.Seal(nil, nil, encoded, binding(session, receipt))
}

// Open decrypts what Seal has encrypted.
func (s Sealer) Open(session, receipt merkle.Hash, sealed []byte) ([]byte, error) {
	encoded, err := s.aead.Open(nil, nil, sealed, binding(session, receipt))
	if err != nil {
		return nil, fmt.Errorf("open evidence of session %s: %w", session, err)
	}
	return encoded, nil
}

func binding(session, receipt merkle.Hash) []byte {
	return append(append([]byte(tag), session[:]...), receipt[:]...)
}
