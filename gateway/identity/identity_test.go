package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

const own, other = "PoetrySocietyMSP", "AILabMSP"

// clock is a clock that tests turn.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// shelf keeps keys in memory.
type shelf struct {
	mu    sync.Mutex
	certs map[string][]byte
	keys  map[string]crypto.Signer
}

func (s *shelf) Add(enrolment string, certificate []byte, key crypto.Signer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[enrolment], s.keys[enrolment] = certificate, key
	return nil
}

func (s *shelf) Certificate(enrolment string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, ok := s.certs[enrolment]
	return cert, ok, nil
}

func (s *shelf) Renew(enrolment string, certificate []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[enrolment] = certificate
	return nil
}

func (s *shelf) Remove(enrolment string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certs, enrolment)
	delete(s.keys, enrolment)
	return nil
}

func (s *shelf) List() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.certs)), nil
}

// organisation is one with two operators, a trainer and a gateway.
func organisation(t testing.TB, dir, name, msp string) *pki.Organization {
	o, err := pki.EnsureOrganization(dir, &network.Organization{
		Name: name, MSPID: msp, Domain: name + ".example", Keys: network.Ed25519,
		Peer: network.Peer{Host: "127.0.0.1"}, ChaincodeService: network.Endpoint{Host: "127.0.0.1"},
		Users: []network.User{
			{Name: "operator1", Roles: []ledger.Role{ledger.Operator}},
			{Name: "trainer1", Roles: []ledger.Role{ledger.Trainer, ledger.Consumer}},
			{Name: "gateway", Roles: []ledger.Role{ledger.Curator, ledger.Host, ledger.Operator}},
		},
	})
	require.NoError(t, err)
	return o
}

type world struct {
	own, other *pki.Organization
	clock      *clock
	shelf      *shelf
	ids        *identity.Identities
}

func open(t testing.TB, issuers ...identity.Issuer) *world {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return openOn(t, db, issuers...)
}

func openOn(t testing.TB, db *database.DB, issuers ...identity.Issuer) *world {
	dir := t.TempDir()
	w := &world{
		own: organisation(t, dir, "poetrysociety", own), other: organisation(t, dir, "ailab", other),
		clock: &clock{at: time.Now()}, shelf: &shelf{certs: map[string][]byte{}, keys: map[string]crypto.Signer{}},
	}
	authority, err := pki.OpenAuthority(filepath.Join(dir, "poetrysociety", "ca"))
	require.NoError(t, err)
	w.ids, err = identity.Open(t.Context(), db, identity.Config{
		MSPID:       own,
		Authorities: map[string][]byte{own: w.own.CA.PEM, other: w.other.CA.PEM},
		Issuers:     issuers,
		Authority:   authority,
		Custody:     w.shelf,
		Now:         w.clock.now,
	})
	require.NoError(t, err)
	return w
}

func code(t testing.TB, err error) identity.Code {
	var refusal *identity.Error
	require.ErrorAs(t, err, &refusal)
	return refusal.Code
}

// handshake shows a certificate to a real listener and returns what its handler finds out.
func (w *world) handshake(t testing.TB, certificate tls.Certificate, header http.Header) (p identity.Principal, err error) {
	p, err, refused := w.try(t, certificate, header)
	require.NoError(t, refused)
	return p, err
}

func (w *world) try(t testing.TB, certificate tls.Certificate, header http.Header) (p identity.Principal, err, refused error) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p, err = w.ids.Authenticate(r) }))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: w.ids.ClientAuthorities()}
	server.Config.ErrorLog = discard
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	if certificate.Certificate != nil {
		// Given whether or not the server says that it would accept it.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	request, e := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, e)
	if header != nil {
		request.Header = header
	}
	response, refused := client.Do(request)
	if refused == nil {
		require.NoError(t, response.Body.Close())
	}
	return p, err, refused
}

func user(t testing.TB, o *pki.Organization, name string) tls.Certificate {
	dir := filepath.Join(o.Dir, "users", name, "msp")
	if name == "admin" {
		dir = filepath.Join(o.Dir, "admin", "msp")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "signcerts", "cert.pem"), filepath.Join(dir, "keystore", "key.pem"))
	require.NoError(t, err)
	return cert
}

func TestACertificateNamesAnAccountOfThisOrganisation(t *testing.T) {
	w := open(t)
	p, err := w.handshake(t, user(t, w.own, "trainer1"), nil)
	require.NoError(t, err)
	require.Equal(t, ledger.Account(own+":trainer1"), p.Account)
	require.Equal(t, []ledger.Role{ledger.Trainer, ledger.Consumer}, p.Roles)
	require.Equal(t, identity.Certificate, p.Method)
	require.Empty(t, p.Gateway)
	for _, scope := range identity.Scopes {
		require.True(t, p.May(scope), scope)
	}
	require.False(t, p.May("root"), "a scope that does not exist")
	require.False(t, identity.Principal{}.May(identity.Read), "nobody may nothing")
}

func TestPeopleOfOtherOrganisationsAreRefusedAndTheirGatewayIsOne(t *testing.T) {
	w := open(t)
	_, err := w.handshake(t, user(t, w.other, "trainer1"), nil)
	require.Equal(t, identity.CodeForbidden, code(t, err))
	require.ErrorContains(t, err, "people of AILabMSP use their own")

	p, err := w.handshake(t, user(t, w.other, "gateway"), nil)
	require.NoError(t, err)
	require.Equal(t, other, p.Gateway)
	require.Empty(t, p.Account)
	for _, scope := range identity.Scopes {
		require.False(t, p.May(scope), "another gateway has no scope, not even %s", scope)
	}
	_, _, err = w.ids.Invite(t.Context(), p, identity.InvitationRequest{Roles: []ledger.Role{ledger.Trainer}, Expires: w.clock.now().Add(time.Hour)})
	require.Equal(t, identity.CodeForbidden, code(t, err), "although its certificate says operator")
}

func TestCertificatesThatNameNobodyAreRefused(t *testing.T) {
	w := open(t)
	peer, err := tls.LoadX509KeyPair(filepath.Join(w.own.Peer().MSPDir, "signcerts", "cert.pem"), filepath.Join(w.own.Peer().MSPDir, "keystore", "key.pem"))
	require.NoError(t, err)
	_, err = w.handshake(t, peer, nil)
	require.Equal(t, identity.CodeForbidden, code(t, err), "a peer has no enrolment")

	stranger := organisation(t, t.TempDir(), "stranger", "StrangerMSP")
	_, _, refused := w.try(t, user(t, stranger, "trainer1"), nil)
	require.Error(t, refused, "an unknown authority")
	fake := organisation(t, t.TempDir(), "poetrysociety", own)
	_, _, refused = w.try(t, user(t, fake, "trainer1"), nil)
	require.Error(t, refused, "an authority that calls itself like ours")

	server, err := w.own.Peer().TLS.Certificate()
	require.NoError(t, err)
	_, _, refused = w.try(t, server, nil)
	require.Error(t, refused, "the TLS authority is not the identity authority")

	_, err = w.ids.Authenticate(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{user(t, w.own, "trainer1").Leaf}}})
	require.Equal(t, identity.CodeUnauthenticated, code(t, err), "a listener that did not verify the certificate")
}

func TestACertificateThatExpiresDuringAConnectionIsRefused(t *testing.T) {
	w := open(t)
	w.clock.turn(366 * 24 * time.Hour) // the listener's own clock does not turn: as if the handshake were long ago
	_, err := w.handshake(t, user(t, w.own, "trainer1"), nil)
	require.Equal(t, identity.CodeUnauthenticated, code(t, err))
	require.ErrorContains(t, err, "is not valid at")
}

func TestARequestWithTwoIdentitiesOrNoneIsRefused(t *testing.T) {
	w := open(t)
	_, err := w.handshake(t, user(t, w.own, "trainer1"), http.Header{"Authorization": {"Bearer x"}})
	require.Equal(t, identity.CodeUnauthenticated, code(t, err))
	require.ErrorContains(t, err, "show one of them")
	for name, header := range map[string]http.Header{
		"none":           {},
		"two":            {"Authorization": {"Bearer a", "Bearer b"}},
		"another scheme": {"Authorization": {"Basic dXNlcjpwYXNz"}},
		"no token":       {"Authorization": {"Bearer "}},
		"two tokens":     {"Authorization": {"Bearer a b"}},
		"empty":          {"Authorization": {""}},
		"no JWT":         {"Authorization": {"Bearer a.b.c"}},
	} {
		_, err := w.ids.Authenticate((&http.Request{Header: header}).WithContext(t.Context()))
		require.Equal(t, identity.CodeUnauthenticated, code(t, err), name)
	}
}

func TestOpenRefusesAConfigurationThatCouldConfuseOrganisations(t *testing.T) {
	w := open(t)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
	require.NoError(t, err)
	defer db.Close()
	foreign, err := pki.OpenAuthority(filepath.Join(w.other.Dir, "ca"))
	require.NoError(t, err)
	good := map[string][]byte{own: w.own.CA.PEM, other: w.other.CA.PEM}
	for want, config := range map[string]identity.Config{
		"have the same identity authority":         {MSPID: own, Authorities: map[string][]byte{own: w.own.CA.PEM, other: w.own.CA.PEM}},
		"is missing":                               {MSPID: own, Authorities: map[string][]byte{other: w.other.CA.PEM}},
		"is not that of PoetrySocietyMSP":          {MSPID: own, Authorities: good, Authority: foreign},
		"is not a PEM certificate":                 {MSPID: own, Authorities: map[string][]byte{own: []byte("x")}},
		"must be reached over https":               {MSPID: own, Authorities: good, Issuers: []identity.Issuer{{URL: "http://login.example", Audience: "a", Claim: "sub"}}},
		"name the audience":                        {MSPID: own, Authorities: good, Issuers: []identity.Issuer{{URL: "https://login.example", Claim: "sub"}}},
		`stands for the enrolment "gateway"`:       {MSPID: own, Authorities: good, Issuers: []identity.Issuer{{URL: "https://login.example", Audience: "a", Claim: "sub", Accounts: map[string]string{"x": "gateway"}}}},
		"issuer https://login.example is given tw": {MSPID: own, Authorities: good, Issuers: []identity.Issuer{{URL: "https://login.example", Audience: "a", Claim: "sub"}, {URL: "https://login.example", Audience: "b", Claim: "sub"}}},
	} {
		_, err := identity.Open(t.Context(), db, config)
		require.ErrorContains(t, err, want)
	}
}

func request(t testing.TB, key crypto.Signer, subject string) string {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: subject, OrganizationalUnit: []string{"admin"}}}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func newKey(t testing.TB) crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func (w *world) operator(t testing.TB) identity.Principal {
	p, err := w.handshake(t, user(t, w.own, "operator1"), nil)
	require.NoError(t, err)
	return p
}

func (w *world) invite(t testing.TB, roles ...ledger.Role) string {
	code, _, err := w.ids.Invite(t.Context(), w.operator(t), identity.InvitationRequest{Roles: roles, Expires: w.clock.now().Add(time.Hour)})
	require.NoError(t, err)
	return code
}

func TestAnInvitedPersonEnrolsUnderAPseudonymAndRenews(t *testing.T) {
	w := open(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, key := range map[string]crypto.Signer{"Ed25519": newKey(t), "P-256": p256} {
		t.Run(name, func(t *testing.T) {
			invitation := w.invite(t, ledger.Contributor, ledger.Validator)
			made, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Request: request(t, key, "admin")})
			require.NoError(t, err)
			require.Regexp(t, `^PoetrySocietyMSP:[0-9a-f]{32}$`, made.Account)
			require.Empty(t, made.Token)

			mine := func(text string) tls.Certificate {
				block, _ := pem.Decode([]byte(text))
				return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
			}
			p, err := w.handshake(t, mine(made.Certificate), nil)
			require.NoError(t, err)
			require.Equal(t, made.Account, p.Account)
			require.Equal(t, []ledger.Role{ledger.Contributor, ledger.Validator}, p.Roles)
			cert, err := x509.ParseCertificate(p.Certificate)
			require.NoError(t, err)
			require.Equal(t, []string{"client"}, cert.Subject.OrganizationalUnit, "the request's subject does not count")
			require.Equal(t, p.Enrolment(), cert.Subject.CommonName)

			again, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Request: request(t, key, "x")})
			require.NoError(t, err, "a repetition is answered as before")
			require.Equal(t, made, again)
			_, err = w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Request: request(t, newKey(t), "x")})
			require.Equal(t, identity.CodeState, code(t, err))
			_, err = w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Custody: true})
			require.Equal(t, identity.CodeState, code(t, err))

			renewed, err := w.ids.Renew(t.Context(), p, request(t, key, "y"))
			require.NoError(t, err)
			require.Equal(t, made.Account, renewed.Account)
			require.NotEqual(t, made.Certificate, renewed.Certificate)
			next, err := w.handshake(t, mine(renewed.Certificate), nil)
			require.NoError(t, err)
			require.Equal(t, p.Account, next.Account)
			require.Equal(t, p.Roles, next.Roles)
			_, err = w.ids.Renew(t.Context(), p, request(t, newKey(t), "y"))
			require.Equal(t, identity.CodeInvalid, code(t, err))
			require.ErrorContains(t, err, "for the key of the certificate")
		})
	}
	list, err := w.ids.Invitations(t.Context(), w.operator(t), 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.NotNil(t, list[0].Used)
	require.Len(t, list[0].Enrolment, 32)
}

func TestInvitationCodesAreReadAsPeopleTypeThem(t *testing.T) {
	w := open(t)
	invitation := w.invite(t, ledger.Trainer)
	typed := " " + string([]byte(invitation)[:7]) + " " + invitation[7:] + "  "
	_, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: typed, Request: request(t, newKey(t), "")})
	require.NoError(t, err)
}

func TestOfTwoSimultaneousEnrolmentsWithOneCodeOneWins(t *testing.T) {
	w := open(t)
	for range 10 {
		invitation := w.invite(t, ledger.Trainer)
		const n = 8
		errs := make(chan error, n)
		for range n {
			csr := request(t, newKey(t), "")
			go func() {
				_, err := w.ids.Enrol(context.Background(), identity.EnrolRequest{Code: invitation, Request: csr})
				errs <- err
			}()
		}
		won := 0
		for range n {
			if err := <-errs; err == nil {
				won++
			} else {
				require.Equal(t, identity.CodeState, code(t, err))
			}
		}
		require.Equal(t, 1, won)
	}
}

func TestInvitationsThatDoNotCountAreRefused(t *testing.T) {
	w := open(t)
	csr := request(t, newKey(t), "")
	enrol := func(code string) error {
		_, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: code, Request: csr})
		return err
	}
	for name, text := range map[string]string{"empty": "", "short": "abc", "of nobody": "abcd-efgh-ijkmn-pqrst-uvwxy-z2345-67892-a", "long": string(make([]byte, 1000))} {
		require.Equal(t, identity.CodeUnauthenticated, code(t, enrol(text)), name)
	}
	good := w.invite(t, ledger.Trainer)
	forged := good[:len(good)-8] + "aaaaa-aa"
	require.Equal(t, identity.CodeUnauthenticated, code(t, enrol(forged)), "the id is right and the secret is not")

	expired := w.invite(t, ledger.Trainer)
	revoked, invitation, err := w.ids.Invite(t.Context(), w.operator(t), identity.InvitationRequest{Roles: []ledger.Role{ledger.Trainer}, Expires: w.clock.now().Add(2 * time.Hour)})
	require.NoError(t, err)
	require.NoError(t, w.ids.RevokeInvitation(t.Context(), w.operator(t), invitation.ID))
	require.NoError(t, w.ids.RevokeInvitation(t.Context(), w.operator(t), invitation.ID))
	w.clock.turn(time.Hour)
	require.ErrorContains(t, enrol(expired), "expired")
	require.ErrorContains(t, enrol(revoked), "revoked")
	require.Equal(t, identity.CodeNotFound, code(t, w.ids.RevokeInvitation(t.Context(), w.operator(t), "nothing")))
}

func TestOnlyOperatorsInviteAndOnlyForRolesOfAMember(t *testing.T) {
	w := open(t)
	trainer, err := w.handshake(t, user(t, w.own, "trainer1"), nil)
	require.NoError(t, err)
	soon := w.clock.now().Add(time.Hour)
	_, _, err = w.ids.Invite(t.Context(), trainer, identity.InvitationRequest{Roles: []ledger.Role{ledger.Trainer}, Expires: soon})
	require.Equal(t, identity.CodeForbidden, code(t, err))
	_, err = w.ids.Invitations(t.Context(), trainer, 10)
	require.Equal(t, identity.CodeForbidden, code(t, err))
	for name, r := range map[string]identity.InvitationRequest{
		"the regulator's role": {Roles: []ledger.Role{ledger.Regulator}, Expires: soon},
		"no role":              {Expires: soon},
		"an unknown role":      {Roles: []ledger.Role{"root"}, Expires: soon},
		"a role twice":         {Roles: []ledger.Role{ledger.Host, ledger.Host}, Expires: soon},
		"no end":               {Roles: []ledger.Role{ledger.Host}},
		"too long":             {Roles: []ledger.Role{ledger.Host}, Expires: soon.Add(identity.MaxInvitationLife)},
	} {
		_, _, err := w.ids.Invite(t.Context(), w.operator(t), r)
		require.Equal(t, identity.CodeInvalid, code(t, err), name)
	}
}

func TestRequestsWithoutProofOrWithOtherKeysAreRefused(t *testing.T) {
	w := open(t)
	invitation := w.invite(t, ledger.Trainer)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	good := request(t, newKey(t), "")
	block, _ := pem.Decode([]byte(good))
	block.Bytes[len(block.Bytes)-1] ^= 1
	forged := string(pem.EncodeToMemory(block))
	for name, csr := range map[string]string{
		"RSA":          request(t, rsaKey, ""),
		"P-384":        request(t, p384, ""),
		"unsigned":     forged,
		"two requests": good + good,
		"a text":       "hello",
		"too large":    good + string(make([]byte, identity.MaxRequest)),
		"nothing":      "",
	} {
		_, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Request: csr})
		require.Equal(t, identity.CodeInvalid, code(t, err), name)
	}
	_, err = w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: invitation, Request: good})
	require.NoError(t, err, "refusals do not use the code up")
}

func TestCustodyKeepsTheKeyAndHandsOutAnAPIKey(t *testing.T) {
	w := open(t)
	made, err := w.ids.Enrol(t.Context(), identity.EnrolRequest{Code: w.invite(t, ledger.Consumer), Custody: true})
	require.NoError(t, err)
	p, err := w.bearer(t, made.Token)
	require.NoError(t, err)
	require.Equal(t, made.Account, p.Account)
	require.Equal(t, []ledger.Role{ledger.Consumer}, p.Roles)
	cert, ok, err := w.shelf.Certificate(p.Enrolment())
	require.NoError(t, err)
	require.True(t, ok)
	block, _ := pem.Decode(cert)
	kept, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.Equal(t, w.shelf.keys[p.Enrolment()].Public(), kept.PublicKey)
	_, err = w.ids.Renew(t.Context(), p, request(t, newKey(t), ""))
	require.Equal(t, identity.CodeForbidden, code(t, err))
}

func (w *world) bearer(t testing.TB, token string) (identity.Principal, error) {
	return w.ids.Authenticate((&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}).WithContext(t.Context()))
}
