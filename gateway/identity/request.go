package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

// MaxRequest bounds a certificate request, in bytes of PEM. One for Ed25519 or P-256 takes about 400.
const MaxRequest = 8 << 10

// publicKey reads a certificate request (PKCS #10, PEM) for its public key, and checks that whoever made it holds the
// private key. Nothing else in it counts: subject, attributes and extensions are the organisation's to choose.
func publicKey(request []byte) (crypto.PublicKey, error) {
	const field = "request"
	if len(request) > MaxRequest {
		return nil, invalid(field, "a certificate request has at most %d bytes", MaxRequest)
	}
	block, rest := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
		return nil, invalid(field, "exactly one PEM block CERTIFICATE REQUEST is expected")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, invalid(field, "the certificate request cannot be read: %v", err)
	}
	if err := usable(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, invalid(field, "the certificate request is not signed with its own key")
	}
	return csr.PublicKey, nil
}

func usable(public crypto.PublicKey) error {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	}
	return invalid("request", "the key must be Ed25519 or ECDSA P-256")
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
