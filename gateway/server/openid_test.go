package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
)

// openID is an OpenID provider of another make, behind TLS of its own, at which people log in with a password.
type openID struct {
	*storage.Storage
	server *httptest.Server
	client *http.Client

	mutex sync.Mutex
	keys  []providerKey // the first one signs
}

type providerKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func (k providerKey) ID() string                                  { return k.id }
func (k providerKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k providerKey) Algorithm() jose.SignatureAlgorithm          { return jose.ES256 }
func (k providerKey) Use() string                                 { return "sig" }
func (k providerKey) Key() any                                    { return k.key }

type publicKey struct{ providerKey }

func (k publicKey) Key() any { return k.key.Public() }

func (p *openID) SigningKey(context.Context) (op.SigningKey, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.keys[0], nil
}

func (p *openID) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (p *openID) KeySet(context.Context) (set []op.Key, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, k := range p.keys {
		set = append(set, publicKey{k})
	}
	return set, nil
}

// rotate has new tokens signed by another key; with forget the former ones are withdrawn.
func (p *openID) rotate(t *testing.T, id string, forget bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if forget {
		p.keys = nil
	}
	p.keys = append([]providerKey{{id, key}}, p.keys...)
}

// staff are who can log in.
type staff map[string]*storage.User

func (s staff) GetUserByID(id string) *storage.User { return s[id] }
func (s staff) GetUserByUsername(name string) *storage.User {
	for _, u := range s {
		if u.Username == name {
			return u
		}
	}
	return nil
}
func (staff) ExampleClientID() string { return "service" }

const callback = "http://localhost/back"

func startOpenID(t *testing.T) *openID {
	people := staff{}
	for _, id := range []string{"consumer1", "operator1", network.GatewayUser, "stranger"} {
		people[id] = &storage.User{ID: id, Username: id, Password: "secret of " + id}
	}
	p := &openID{Storage: storage.NewStorageWithClients(people, map[string]*storage.Client{
		"datanet": storage.WebClient("datanet", "datanet's secret", callback), "elsewhere": storage.WebClient("elsewhere", "datanet's secret", callback)})}
	p.rotate(t, "first", false)
	var provider http.Handler
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { provider.ServeHTTP(w, r) }))
	t.Cleanup(p.server.Close)
	made, err := op.NewProvider(&op.Config{CryptoKey: [32]byte{1}, AuthMethodPost: true}, p, op.StaticIssuer(p.server.URL))
	require.NoError(t, err)
	provider = made
	p.client = p.server.Client()
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return p
}

// login does what a browser and a page of the application for which the token is do: the authorisation code flow.
func (p *openID) login(t *testing.T, application, person string) string {
	follow := func(address string) *url.URL {
		response, err := p.client.Get(address)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		next, err := response.Location()
		require.NoError(t, err, "%s: %s %s", address, response.Status, body)
		return next
	}
	page := follow(p.server.URL + "/authorize?" + url.Values{"client_id": {application}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"}}.Encode())
	request := page.Query().Get("authRequestID")
	require.NotEmpty(t, request, "%s", page)
	require.NoError(t, p.CheckUsernamePassword(person, "secret of "+person, request))
	back := follow(p.server.URL + "/authorize/callback?id=" + request)
	response, err := p.client.PostForm(p.server.URL+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {callback}, "client_id": {application}, "client_secret": {"datanet's secret"}})
	require.NoError(t, err)
	defer response.Body.Close()
	var tokens struct {
		ID string `json:"id_token"`
	}
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &tokens))
	require.NotEmpty(t, tokens.ID, "%s", body)
	return tokens.ID
}

func TestPeopleLogInAtAProviderOfAnotherMake(t *testing.T) {
	p := startOpenID(t)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}), 0o600))
	s := newSite(t, nil, func(c *Config) {
		c.Identity.Issuers = []Issuer{{URL: p.server.URL, Audience: "datanet", Claim: "sub", Authority: authority, People: []Person{
			{Claim: "consumer1", Enrolment: "consumer1"}, {Claim: network.GatewayUser, Enrolment: "consumer1"}}}}
	})
	anybody := s.client("")
	shows := func(token string) answer {
		return s.send(anybody, http.MethodGet, "/v1/whoami", "", "Authorization", "Bearer "+token)
	}
	first := p.login(t, "datanet", "consumer1")
	found := shows(first)
	require.Equal(t, http.StatusOK, found.status, "%s", found.body)
	require.Contains(t, string(found.body), `"AMSP:consumer1"`)
	require.Contains(t, string(found.body), `"oidc"`)
	opened := s.send(anybody, http.MethodPost, "/v1/account/open", "{}", "Authorization", "Bearer "+first, "Idempotency-Key", "opens")
	require.Equal(t, http.StatusOK, opened.status, "the gateway signs: %s", opened.body)

	require.Equal(t, http.StatusUnauthorized, shows(p.login(t, "elsewhere", "consumer1")).status, "another application's token")
	require.Equal(t, http.StatusForbidden, shows(p.login(t, "datanet", "stranger")).status, "nobody's account")
	require.Equal(t, http.StatusUnauthorized, shows(first[:strings.LastIndexByte(first, '.')]+".c2lnbmVk").status)

	p.rotate(t, "second", false)
	second := p.login(t, "datanet", "consumer1")
	// A key that was not known is looked for; the keys of a fetch that has just ended may be handed out once more.
	s.soon(func() bool { return shows(second).status == http.StatusOK })
	require.Equal(t, http.StatusOK, shows(first).status, "the former key still counts at the provider")
	p.rotate(t, "third", true)
	third := p.login(t, "datanet", "consumer1")
	s.soon(func() bool { return shows(third).status == http.StatusOK })
	// A key that the provider has withdrawn counts no more, once its keys were asked for; which is not too often.
	s.soon(func() bool { return shows(second).status == http.StatusUnauthorized })

	require.NotContains(t, s.logs.String(), first)
}

func TestATokenOfAProviderOfAnotherMakeExpires(t *testing.T) {
	p := startOpenID(t)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}), 0o600))
	c := defaults()
	c.Identity.Issuers = []Issuer{{URL: p.server.URL, Audience: "datanet", Claim: "sub", Authority: authority}}
	issuers, err := c.issuers()
	require.NoError(t, err)
	s := newSite(t, nil, nil)
	now := time.Now()
	identities, err := identity.Open(t.Context(), s.server.state, identity.Config{MSPID: s.config.Organisation, Authorities: map[string][]byte{s.config.Organisation: s.org.CA.PEM},
		Issuers: issuers, Now: func() time.Time { return now }})
	require.NoError(t, err)
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+p.login(t, "datanet", "consumer1"))
	who, err := identities.Authenticate(request)
	require.NoError(t, err)
	require.Equal(t, "consumer1", who.Enrolment())
	now = now.Add(3 * time.Hour)
	_, err = identities.Authenticate(request)
	require.ErrorContains(t, err, "log in again")
	c.Identity.Issuers[0].Authority = filepath.Join(t.TempDir(), "none.pem")
	_, err = c.issuers()
	require.Error(t, err)
}
