package identity

import (
	"context"
	"crypto"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Custody keeps the private keys of people whose organisation signs for them.
type Custody interface {
	// Add keeps an enrolment's certificate (PEM) and key, durably before it returns.
	Add(enrolment string, certificate []byte, key crypto.Signer) error
	// Certificate is the PEM of an enrolment's certificate; ok is false when its key is not kept here.
	Certificate(enrolment string) (certificate []byte, ok bool, err error)
	// Renew replaces the certificate of a kept key by another one for the same key, durably before it returns.
	Renew(enrolment string, certificate []byte) error
	// Remove destroys the kept key of an enrolment; it is no error when there is none.
	Remove(enrolment string) error
	// List lists the enrolments whose keys are kept, sorted.
	List() ([]string, error)
}

// Config says whom a gateway knows.
type Config struct {
	// MSPID is the gateway's own organisation.
	MSPID string
	// Own is the certificate by which the gateway itself signs; nil: it is not told of.
	Own *x509.Certificate
	// Authorities are the PEM of every organisation's identity authority, by MSP ID.
	Authorities map[string][]byte
	// Issuers are the OIDC providers; none: nobody comes with a token.
	Issuers []Issuer
	// Authority signs the certificates of new people; nil: this gateway enrols nobody.
	Authority *pki.Authority
	// Custody keeps keys for people; nil: everybody keeps their own.
	Custody Custody
	// Keys is the algorithm of keys that are made here.
	Keys network.KeyAlgorithm
	// Validity is how long certificates last that are issued here; 0 is [pki.Validity].
	Validity time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Identities knows who may call this gateway. It is safe for concurrent use.
type Identities struct {
	db      *database.DB
	config  Config
	trust   atomic.Pointer[trust]
	issuers map[string]*issuer
	recent  recent
	retired retired
}

// Open prepares the tables and checks the configuration. It asks nobody over the network.
func Open(ctx context.Context, db *database.DB, config Config) (*Identities, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Keys == "" {
		config.Keys = network.Ed25519
	}
	s := &Identities{db: db, config: config, issuers: map[string]*issuer{}}
	var err error
	if err = s.Trust(config.Authorities); err != nil {
		return nil, fmt.Errorf("open identities: %w", err)
	}
	for _, i := range config.Issuers {
		if s.issuers[i.URL] != nil {
			return nil, fmt.Errorf("open identities: issuer %s is given twice", i.URL)
		}
		if s.issuers[i.URL], err = newIssuer(i, config.Now); err != nil {
			return nil, fmt.Errorf("open identities: %w", err)
		}
	}
	if err := Prepare(ctx, db); err != nil {
		return nil, fmt.Errorf("open identities: %w", err)
	}
	if err := s.recallRetired(ctx); err != nil {
		return nil, fmt.Errorf("open identities: %w", err)
	}
	return s, nil
}

// Trust replaces the identity authorities of the organisations, their PEM by MSP ID. Who showed a certificate of one that
// is not among them is not known any more. After an error the former ones stay.
func (s *Identities) Trust(authorities map[string][]byte) error {
	t, err := newTrust(s.config.MSPID, authorities)
	if err != nil {
		return err
	}
	if a := s.config.Authority; a != nil && t.roots[string(a.Certificate.Raw)] != s.config.MSPID {
		return fmt.Errorf("the authority that signs for new people is not that of %s", s.config.MSPID)
	}
	s.trust.Store(t)
	return nil
}

// ClientAuthorities is the pool for the listener's TLS configuration, whose ClientAuth must be VerifyClientCertIfGiven.
func (s *Identities) ClientAuthorities() *x509.CertPool { return s.trust.Load().pool.Clone() }

// Authenticate finds out who a request comes from, or returns an [*Error]. A request that shows two identities is
// refused, since nobody could say which of them acts.
func (s *Identities) Authenticate(r *http.Request) (Principal, error) {
	certificate := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	token, bearer, err := bearerToken(r.Header)
	switch {
	case err != nil:
		return Principal{}, err
	case certificate && bearer:
		return Principal{}, refuse(CodeUnauthenticated, "the request has a client certificate and a token; show one of them")
	case certificate:
		return s.current(s.trust.Load().principal(r.TLS, s.config.Now()))
	case bearer && strings.HasPrefix(token, keyPrefix):
		return s.current(s.byKey(r.Context(), token))
	case bearer:
		return s.current(s.byToken(r.Context(), token))
	default:
		return Principal{}, refuse(CodeUnauthenticated, "show a client certificate, or a token or API key in the header Authorization: Bearer")
	}
}

// bearerToken reads the Authorization header; present is false when there is none.
func bearerToken(header http.Header) (token string, present bool, err error) {
	values := header.Values("Authorization")
	switch {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, refuse(CodeUnauthenticated, "the header Authorization is given twice")
	case len(values[0]) > maxToken:
		return "", false, refuse(CodeUnauthenticated, "a token has at most %d bytes", maxToken)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", false, refuse(CodeUnauthenticated, "the header Authorization must be Bearer and a token")
	}
	return token, true, nil
}

func (s *Identities) byToken(ctx context.Context, token string) (Principal, error) {
	name, ok := issuerOf(token)
	if !ok {
		return Principal{}, refuse(CodeUnauthenticated, "the token is neither an API key nor a signed JWT")
	}
	i, known := s.issuers[name]
	if !known {
		return Principal{}, refuse(CodeUnauthenticated, "this gateway does not accept tokens of that issuer")
	}
	enrolment, err := i.enrolment(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	account := ledger.NewAccount(s.config.MSPID, enrolment)
	if account.Validate("") != nil {
		return Principal{}, refuse(CodeForbidden, "the token's claim %q is not an enrolment id", i.Claim)
	}
	roles, _, err := s.kept(enrolment)
	if err != nil {
		return Principal{}, err
	}
	return Principal{Account: account, Roles: roles, Method: OIDC}, nil
}

// kept are the roles in the certificate of an enrolment whose key the gateway keeps.
func (s *Identities) kept(enrolment string) (roles []ledger.Role, ok bool, err error) {
	if s.config.Custody == nil {
		return nil, false, nil
	}
	text, ok, err := s.config.Custody.Certificate(enrolment)
	if err != nil || !ok {
		return nil, false, err
	}
	cert, err := parseCertificate(text)
	if err != nil {
		return nil, false, fmt.Errorf("the kept certificate of %s: %w", enrolment, err)
	}
	caller, err := pki.CallerOf(s.config.MSPID, cert)
	if err != nil {
		return nil, false, fmt.Errorf("the kept certificate of %s: %w", enrolment, err)
	}
	if caller.Enrolment != enrolment {
		return nil, false, fmt.Errorf("the certificate kept for %s is that of %s", enrolment, caller.Enrolment)
	}
	return caller.Roles, true, nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("not a PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func joinRoles(roles []ledger.Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return strings.Join(words, ",")
}

func both(a, b []ledger.Role) []ledger.Role {
	return slices.DeleteFunc(slices.Clone(a), func(r ledger.Role) bool { return !slices.Contains(b, r) })
}
