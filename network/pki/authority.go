// Package pki makes and keeps the certificates of a consortium: for every
// organisation an authority for identities and one for TLS, the MSP folders of
// its nodes, administrator and users, and their TLS certificates.
//
// Everything lies in files, keys with mode 0600 in folders of mode 0700. What
// exists is reused: a key is made once, and a certificate is issued again only
// if it no longer says what the topology says, or when [Organization.Renew] is
// called; then for the same key and the same subject, so that accounts on the
// ledger and the certificates pinned in the channel configuration stay valid.
//
// The life of a certificate: the authority signs it here; the MSP definition
// made from the authority goes into the genesis block; the holder signs
// proposals with its key; endorsers and the audit find the holder's role in it.
package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"github.com/datanet-consortium/datanet/network"
)

const (
	// Validity of the certificates that an authority issues.
	Validity = 365 * 24 * time.Hour

	// AuthorityValidity is that of an authority's own certificate, and of the
	// identities of orderers: SmartBFT finds itself in the channel
	// configuration by the exact bytes of its certificate, so renewing one is
	// a change of the channel and must not become due every year.
	AuthorityValidity = 10 * 365 * 24 * time.Hour

	// backdate tolerates clocks that are behind the issuer's. A short life is backdated by a tenth at most.
	backdate = 10 * time.Minute
)

// Authority issues certificates. Its certificate is a self-signed root.
type Authority struct {
	Certificate *x509.Certificate
	PEM         []byte

	// signer is nil where only the certificate is kept, as on a host that
	// uses an organisation's identities but must not make new ones.
	signer crypto.Signer
	dir    string
}

// ensureAuthority loads the authority in a folder, or makes one with the
// common name.
func ensureAuthority(dir, commonName, organization string, algorithm network.KeyAlgorithm) (*Authority, error) {
	a, err := loadAuthority(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	key, err := ensureKey(filepath.Join(dir, keyFile), algorithm)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{organization}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(AuthorityValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	certPEM, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issue authority certificate %s: %w", commonName, err)
	}
	if err := writeFile(filepath.Join(dir, certFile), certPEM, publicMode); err != nil {
		return nil, err
	}
	return loadAuthority(dir)
}

// loadAuthority returns an error that is fs.ErrNotExist if there is no
// certificate. A missing key is no error: see Authority.signer.
func loadAuthority(dir string) (*Authority, error) {
	cert, certPEM, err := readCertificate(filepath.Join(dir, certFile))
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of an authority", filepath.Join(dir, certFile))
	}
	signer, err := readKeyFor(filepath.Join(dir, keyFile), cert)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Authority{Certificate: cert, PEM: certPEM, signer: signer, dir: dir}, nil
}

// issue completes the template's serial number and validity and signs it for
// the public key.
func (a *Authority) issue(template *x509.Certificate, public crypto.PublicKey, validity time.Duration) ([]byte, error) {
	if a.signer == nil {
		return nil, fmt.Errorf("issue a certificate for %s: the authority's key is not in %s; issue it where the key is kept", template.Subject.CommonName, a.dir)
	}
	now := time.Now()
	if now.After(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("issue a certificate for %s: the authority's own certificate in %s expired on %s; the organisation needs a new authority in the channel configuration", template.Subject.CommonName, a.dir, a.Certificate.NotAfter.Format(time.DateOnly))
	}
	template.NotBefore = latest(now.Add(-min(backdate, validity/10)), a.Certificate.NotBefore)
	template.NotAfter = earliest(now.Add(validity), a.Certificate.NotAfter)
	template.BasicConstraintsValid = true
	certPEM, err := sign(template, a.Certificate, public, a.signer)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", template.Subject.CommonName, err)
	}
	return certPEM, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, lowS{key})
	if err != nil {
		return nil, err
	}
	return certificatePEM(der), nil
}

// tlsTemplate is for a server and client at the host, besides the node's own
// name in its organisation's domain.
func tlsTemplate(commonName, organization string, hosts ...string) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName, Organization: []string{organization}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		t.DNSNames = append(t.DNSNames, h)
	}
	return t
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
