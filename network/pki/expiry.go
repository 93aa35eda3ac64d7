package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// CertificateStatus says until when one certificate is valid.
type CertificateStatus struct {
	Organization string
	// Holder is the common name.
	Holder string
	// Kind is authority, identity or tls.
	Kind      string
	File      string
	NotBefore time.Time
	NotAfter  time.Time
	// Pinned certificates stand in the channel configuration by their bytes,
	// and Renew leaves them alone.
	Pinned bool
}

// ExpiredError lists certificates that are no longer valid.
type ExpiredError struct{ Certificates []CertificateStatus }

func (e *ExpiredError) Error() string {
	lines := make([]string, len(e.Certificates))
	for i, c := range e.Certificates {
		remedy := "renew the organisation's certificates"
		switch {
		case c.Kind == kindAuthority:
			remedy = "the organisation needs a new authority in the channel configuration"
		case c.Pinned:
			remedy = "replace it by a configuration update of the channel"
		}
		lines[i] = fmt.Sprintf("the %s certificate of %s in %s expired on %s: %s", c.Kind, c.Holder, c.Organization, c.NotAfter.UTC().Format(time.RFC3339), remedy)
	}
	return strings.Join(lines, "\n")
}

const (
	kindAuthority = "authority"
	kindIdentity  = "identity"
	kindTLS       = "tls"
)

// Certificates lists every certificate of the organisation, the one that
// expires first in front.
func (o *Organization) Certificates() ([]CertificateStatus, error) {
	var all []CertificateStatus
	err := filepath.WalkDir(o.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != certFile {
			return err
		}
		kind := o.kindOf(path)
		if kind == "" {
			return nil
		}
		cert, _, err := readCertificate(path)
		if err != nil {
			return err
		}
		all = append(all, CertificateStatus{
			Organization: o.Name,
			Holder:       cert.Subject.CommonName,
			Kind:         kind,
			File:         path,
			NotBefore:    cert.NotBefore,
			NotAfter:     cert.NotAfter,
			Pinned:       kind == kindIdentity && slices.Contains(cert.Subject.OrganizationalUnit, ouOrderer),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates of %s: %w", o.Name, err)
	}
	slices.SortStableFunc(all, func(a, b CertificateStatus) int { return a.NotAfter.Compare(b.NotAfter) })
	return all, nil
}

// kindOf is empty for the copies of authorities in MSP folders.
func (o *Organization) kindOf(path string) string {
	switch dir := filepath.Dir(path); {
	case dir == filepath.Join(o.Dir, caDir), dir == filepath.Join(o.Dir, tlscaDir):
		return kindAuthority
	case filepath.Base(dir) == signcerts:
		return kindIdentity
	case filepath.Base(dir) == tlsDir:
		return kindTLS
	default:
		return ""
	}
}

// CheckExpiry returns an *ExpiredError if a certificate of the organisation is
// no longer valid at the time.
func (o *Organization) CheckExpiry(now time.Time) error {
	all, err := o.Certificates()
	if err != nil {
		return err
	}
	var expired []CertificateStatus
	for _, c := range all {
		if now.After(c.NotAfter) {
			expired = append(expired, c)
		}
	}
	if len(expired) > 0 {
		return &ExpiredError{Certificates: expired}
	}
	return nil
}

// CheckExpiry checks every organisation. The error wraps one *ExpiredError for
// each that has an expired certificate.
func (m *Material) CheckExpiry(now time.Time) error {
	var faults []error
	for _, id := range m.mspIDs() {
		faults = append(faults, m.organizations[id].CheckExpiry(now))
	}
	return errors.Join(faults...)
}

// Certificates lists those of every organisation, the one that expires first
// in front.
func (m *Material) Certificates() ([]CertificateStatus, error) {
	var all []CertificateStatus
	for _, id := range m.mspIDs() {
		some, err := m.organizations[id].Certificates()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortStableFunc(all, func(a, b CertificateStatus) int { return a.NotAfter.Compare(b.NotAfter) })
	return all, nil
}

func (m *Material) mspIDs() []string {
	ids := make([]string, 0, len(m.organizations))
	for id := range m.organizations {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Renew issues the certificates of the organisation's nodes and users again,
// for the same keys, names and attributes, and returns how many. Authorities
// and the pinned identities of orderers stay as they are. Nodes must be
// restarted to use their new TLS certificates; the orderers among them are
// still recognised, because Fabric compares the public key.
func (o *Organization) Renew() (int, error) {
	all, err := o.Certificates()
	if err != nil {
		return 0, err
	}
	renewed := 0
	for _, c := range all {
		if c.Kind == kindAuthority || c.Pinned {
			continue
		}
		if err := o.renew(c); err != nil {
			return renewed, fmt.Errorf("renew %s of %s: %w", c.Holder, o.Name, err)
		}
		renewed++
	}
	return renewed, nil
}

func (o *Organization) renew(c CertificateStatus) error {
	authority := o.CA
	if c.Kind == kindTLS {
		authority = o.TLSCA
	}
	old, _, err := readCertificate(c.File)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     old.Subject,
		KeyUsage:    old.KeyUsage,
		ExtKeyUsage: old.ExtKeyUsage,
		DNSNames:    old.DNSNames,
		IPAddresses: old.IPAddresses,
	}
	for _, ext := range old.Extensions {
		if ext.Id.Equal(attributeOID) {
			template.ExtraExtensions = append(template.ExtraExtensions, ext)
		}
	}
	certPEM, err := authority.issue(template, old.PublicKey, Validity)
	if err != nil {
		return err
	}
	return writeFile(c.File, certPEM, publicMode)
}
