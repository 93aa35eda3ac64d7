package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network/pki"
)

// renewBefore is how long before its end a certificate is renewed, unless its life is short.
const renewBefore = 30 * 24 * time.Hour

// EndsSoon tells whether a certificate is to be renewed: a month before its end, or in the last third of a short life.
func EndsSoon(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < min(renewBefore, cert.NotAfter.Sub(cert.NotBefore)/3)
}

// KeptCertificate is that of an account whose key the gateway keeps.
type KeptCertificate struct {
	Account   ledger.Account `json:"account"`
	Expires   time.Time      `json:"expires"`
	Renewable bool           `json:"renewable"` // the gateway renews it before it ends
}

// RenewKept issues the next certificate of an account whose key the gateway keeps: for the same enrolment, roles and key.
// It renews what its own authority has issued and what has not ended.
func (s *Identities) RenewKept(ctx context.Context, enrolment string) (Enrolment, error) {
	cert, err := s.keptCertificate(enrolment)
	if err != nil {
		return Enrolment{}, err
	}
	if cert == nil {
		return Enrolment{}, refuse(CodeNotFound, "the gateway keeps no key of %s", enrolment)
	}
	if err := s.mayRenew(enrolment, cert); err != nil {
		return Enrolment{}, err
	}
	caller, err := pki.CallerOf(s.config.MSPID, cert)
	if err != nil {
		return Enrolment{}, err
	}
	made, err := s.certify(enrolment, slices.Clone(caller.Roles), cert.PublicKey)
	if err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	if err := s.config.Custody.Renew(enrolment, []byte(made.Certificate)); err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE identity_enrolments SET certificate = ? WHERE enrolment = ?`, made.Certificate, enrolment); err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", enrolment, err)
	}
	return made, nil
}

// mayRenew tells why the gateway does not renew a certificate of a kept key, nil when it does.
func (s *Identities) mayRenew(enrolment string, cert *x509.Certificate) error {
	switch {
	case s.config.Authority == nil:
		return refuse(CodeState, "this gateway renews no certificates: it has no certificate authority")
	case cert.CheckSignatureFrom(s.config.Authority.Certificate) != nil:
		return refuse(CodeState, "the certificate of %s is of another authority, which renews it", enrolment)
	case !s.config.Now().Before(cert.NotAfter):
		return refuse(CodeState, "the certificate of %s ended at %s; ask for an invitation", enrolment, stamp(cert.NotAfter))
	case reserved(enrolment):
		return refuse(CodeForbidden, "the certificate of %s is renewed by the organisation's administrator", enrolment)
	}
	return nil
}

// keptCertificate is that of an enrolment whose key is kept, nil for any other.
func (s *Identities) keptCertificate(enrolment string) (*x509.Certificate, error) {
	text, err := s.certificate(enrolment)
	if err != nil || text == nil {
		return nil, err
	}
	return parseCertificate(text)
}

func (s *Identities) keptAs(enrolment string) (*KeptCertificate, error) {
	cert, err := s.keptCertificate(enrolment)
	if err != nil || cert == nil {
		return nil, err
	}
	return &KeptCertificate{Account: ledger.NewAccount(s.config.MSPID, enrolment), Expires: cert.NotAfter.UTC(), Renewable: s.mayRenew(enrolment, cert) == nil}, nil
}

// KeptOf is the certificate of the caller's account, if the gateway keeps its key.
func (s *Identities) KeptOf(p Principal) (*KeptCertificate, error) {
	if p.Account == "" || p.Account.MSP() != s.config.MSPID {
		return nil, nil
	}
	return s.keptAs(p.Enrolment())
}

// Kept lists the certificates of all accounts whose keys the gateway keeps, and its own, which it does not renew itself; the
// one that ends first stands first.
func (s *Identities) Kept(_ context.Context, p Principal) ([]KeptCertificate, error) {
	if !p.May(Admin) || !p.Has(ledger.Operator) {
		return nil, refuse(CodeForbidden, "only operators of %s see whose keys the gateway keeps", s.config.MSPID)
	}
	list := []KeptCertificate{}
	if own := s.config.Own; own != nil {
		list = append(list, KeptCertificate{Account: ledger.NewAccount(s.config.MSPID, GatewayEnrolment), Expires: own.NotAfter.UTC()})
	}
	var enrolments []string
	if s.config.Custody != nil {
		var err error
		if enrolments, err = s.config.Custody.List(); err != nil {
			return nil, err
		}
	}
	for _, enrolment := range enrolments {
		kept, err := s.keptAs(enrolment)
		if err != nil {
			return nil, err
		}
		if kept != nil {
			list = append(list, *kept)
		}
	}
	slices.SortStableFunc(list, func(a, b KeptCertificate) int { return a.Expires.Compare(b.Expires) })
	return list, nil
}
