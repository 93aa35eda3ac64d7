package use

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Algorithm of a spending key.
type Algorithm uint8

const (
	Ed25519 Algorithm = 1 // public key of 32 bytes; signs the voucher's bytes
	P256    Algorithm = 2 // public key of 65 bytes, 0x04 ‖ x ‖ y; signs the SHA-256 of the voucher's bytes
)

func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "ed25519"
	case P256:
		return "p256"
	}
	return fmt.Sprintf("algorithm %d", uint8(a))
}

// SignatureSize is the length of a signature of either algorithm; with P256 it is r ‖ s.
const SignatureSize = 64

// Key is a session's spending key, the public half. It signs vouchers of this session and nothing else. Its text is the
// algorithm, a colon and the bytes in lower-case hex.
type Key struct {
	Algorithm Algorithm
	Public    []byte
}

// NewKey is the spending key of an [ed25519.PublicKey] or an [ecdsa.PublicKey] on P-256.
func NewKey(public crypto.PublicKey) (Key, error) {
	switch p := public.(type) {
	case ed25519.PublicKey:
		k := Key{Ed25519, bytes.Clone(p)}
		return k, k.Check()
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return Key{}, errors.New("spending key: the curve is not P-256")
		}
		raw, err := p.Bytes()
		if err != nil {
			return Key{}, fmt.Errorf("spending key: %w", err)
		}
		return Key{P256, raw}, nil
	}
	return Key{}, fmt.Errorf("spending key: %T is neither Ed25519 nor P-256", public)
}

// Check reports a key of an unknown algorithm or a wrong length, and one of P-256 that is not a point of the curve.
func (k Key) Check() error {
	switch k.Algorithm {
	case Ed25519:
		if len(k.Public) != ed25519.PublicKeySize {
			return fmt.Errorf("spending key: an ed25519 key has %d bytes, this has %d", ed25519.PublicKeySize, len(k.Public))
		}
		return nil
	case P256:
		if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public); err != nil {
			return fmt.Errorf("spending key: not a point of P-256 in 65 bytes: %w", err)
		}
		return nil
	}
	return fmt.Errorf("spending key: %v is neither ed25519 nor p256", k.Algorithm)
}

func (k Key) String() string { return k.Algorithm.String() + ":" + hex.EncodeToString(k.Public) }

// MarshalText writes algorithm:hex. It fails with what Check reports.
func (k Key) MarshalText() ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText writes and nothing else.
func (k *Key) UnmarshalText(text []byte) error {
	name, digits, _ := strings.Cut(string(text), ":")
	got := Key{}
	switch name {
	case "ed25519":
		got.Algorithm = Ed25519
	case "p256":
		got.Algorithm = P256
	default:
		return errors.New("a spending key is ed25519:HEX or p256:HEX")
	}
	public, err := hex.DecodeString(digits)
	if err != nil || strings.ToLower(digits) != digits {
		return errors.New("a spending key is in lower-case hex")
	}
	got.Public = public
	if err := got.Check(); err != nil {
		return err
	}
	*k = got
	return nil
}

// ErrSignature is a signature that is not the key's over this voucher.
var ErrSignature = errors.New("the signature is not the spending key's over this voucher")

var p256Order = elliptic.P256().Params().N

// p256Half is the largest s of a low signature.
var p256Half = new(big.Int).Rsh(p256Order, 1)

// Verify checks a voucher's signature. With P-256 s must be low: no greater than half of the group's order, so that a
// signature has one form.
func (k Key) Verify(v Voucher, signature []byte) error {
	message, err := v.Encode()
	if err != nil {
		return err
	}
	if err := k.Check(); err != nil {
		return err
	}
	if len(signature) != SignatureSize {
		return fmt.Errorf("a signature has %d bytes, this has %d: %w", SignatureSize, len(signature), ErrSignature)
	}
	if k.Algorithm == Ed25519 {
		if !ed25519.Verify(ed25519.PublicKey(k.Public), message, signature) {
			return ErrSignature
		}
		return nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public)
	if err != nil {
		return fmt.Errorf("spending key: %w", err)
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if s.Cmp(p256Half) > 0 {
		return fmt.Errorf("s is not low: %w", ErrSignature)
	}
	digest := sha256.Sum256(message)
	if !ecdsa.Verify(public, digest[:], r, s) {
		return ErrSignature
	}
	return nil
}

// Sign signs a voucher with the private half of a spending key, an [ed25519.PrivateKey] or an [ecdsa.PrivateKey] on
// P-256, or a token that holds one.
func Sign(private crypto.Signer, v Voucher) ([]byte, error) {
	message, err := v.Encode()
	if err != nil {
		return nil, err
	}
	key, err := NewKey(private.Public())
	if err != nil {
		return nil, err
	}
	if key.Algorithm == Ed25519 {
		return private.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	der, err := private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign voucher: %w", err)
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("sign voucher: the signer did not give an ECDSA signature")
	}
	if pair.S.Cmp(p256Half) > 0 {
		pair.S.Sub(p256Order, pair.S)
	}
	signature := make([]byte, SignatureSize)
	pair.R.FillBytes(signature[:32])
	pair.S.FillBytes(signature[32:])
	return signature, nil
}
