package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/secret"
)

func newKey(algorithm network.KeyAlgorithm) (crypto.Signer, error) {
	switch algorithm {
	case network.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case network.ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("unknown key algorithm %q", algorithm)
	}
}

// ensureKey loads the key in the file or makes one.
func ensureKey(path string, algorithm network.KeyAlgorithm) (crypto.Signer, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key, err = newKey(algorithm)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	keyPEM, err := privateKeyPEM(key)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	if err := writeFile(path, keyPEM, secretMode); err != nil {
		return nil, err
	}
	return key, nil
}

// readKey refuses a key that others than its owner may read.
func readKey(path string) (crypto.Signer, error) {
	raw, err := secret.ReadFile(path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("key %s is not PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	default:
		return nil, fmt.Errorf("key %s is of type %T; use Ed25519 or ECDSA", path, key)
	}
}

// readKeyFor reads a key and checks that it is the certificate's.
func readKeyFor(path string, cert *x509.Certificate) (crypto.Signer, error) {
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	if !samePublicKey(key.Public(), cert.PublicKey) {
		return nil, fmt.Errorf("key %s does not belong to the certificate of %s", path, cert.Subject.CommonName)
	}
	return key, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func privateKeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// lowS makes an ECDSA key sign with the smaller of the two possible values of
// S. Fabric rewrites certificates whose signature has the larger one, and a
// certificate that is pinned in the channel configuration must equal the
// rewritten one byte by byte.
type lowS struct{ crypto.Signer }

func (l lowS) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := l.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	public, ok := l.Public().(*ecdsa.PublicKey)
	if !ok {
		return signature, nil
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &rs); err != nil {
		return nil, fmt.Errorf("read ECDSA signature: %w", err)
	}
	order := public.Params().N
	if rs.S.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		rs.S.Sub(order, rs.S)
	}
	return asn1.Marshal(rs)
}
