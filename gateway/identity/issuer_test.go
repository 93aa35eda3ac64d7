package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
)

// provider is an OIDC issuer on this machine.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	oidc     *oidctest.Server
	key      crypto.Signer
	id       string
	down     atomic.Bool
	requests atomic.Int64
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.rotate(t, "first")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		if p.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.oidc.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.oidc.SetIssuer(p.URL)
	return p
}

// rotate replaces the key that signs.
func (p *provider) rotate(t *testing.T, id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.id = key, id
	p.oidc = &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: id, Algorithm: oidc.ES256}}}
	if p.Server != nil {
		p.oidc.SetIssuer(p.URL)
	}
}

type claims map[string]any

func (p *provider) token(t *testing.T, change claims) string {
	return oidctest.SignIDToken(p.key, p.id, oidc.ES256, p.claims(t, change))
}

func (p *provider) claims(t *testing.T, change claims) string {
	all := claims{"iss": p.URL, "aud": "datanet", "sub": "s1", "email": "ada@example.org", "email_verified": true, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range change {
		all[name] = value
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return string(text)
}

func (p *provider) issuer() identity.Issuer {
	return identity.Issuer{URL: p.URL, Audience: "datanet", Claim: "email", Accounts: map[string]string{"ada@example.org": "trainer7", "eve@example.org": "../x"}}
}

func TestATokenStandsForTheMappedAccount(t *testing.T) {
	p := newProvider(t)
	w := open(t, p.issuer())
	who, err := w.bearer(t, p.token(t, nil))
	require.NoError(t, err)
	require.Equal(t, ledger.Account(own+":trainer7"), who.Account)
	require.Equal(t, identity.OIDC, who.Method)
	require.Empty(t, who.Roles, "the gateway keeps no certificate of this enrolment")
	require.True(t, who.May(identity.Write))

	cert, err := w.own.Enrol(network.User{Name: "trainer7", Roles: []ledger.Role{ledger.Trainer}}, network.Ed25519)
	require.NoError(t, err)
	require.NoError(t, w.shelf.Add("trainer7", cert.Credentials(), nil))
	who, err = w.bearer(t, p.token(t, nil))
	require.NoError(t, err)
	require.Equal(t, []ledger.Role{ledger.Trainer}, who.Roles, "as the kept certificate says")
}

func TestAClaimMayBeTheEnrolmentItself(t *testing.T) {
	p := newProvider(t)
	w := open(t, identity.Issuer{URL: p.URL, Audience: "datanet", Claim: "sub"})
	who, err := w.bearer(t, p.token(t, nil))
	require.NoError(t, err)
	require.Equal(t, ledger.Account(own+":s1"), who.Account)
	for name, sub := range map[string]any{"the gateway's": "gateway", "the administrator's": "Admin", "of another organisation": other + ":trainer1", "a path": "../x", "empty": "", "nothing": nil} {
		_, err := w.bearer(t, p.token(t, claims{"sub": sub}))
		require.Equal(t, identity.CodeForbidden, code(t, err), name)
	}
}

func TestTokensThatDoNotCountAreRefused(t *testing.T) {
	p, foreign := newProvider(t), newProvider(t)
	w := open(t, p.issuer())
	segment := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	good := p.token(t, nil)
	for name, c := range map[string]struct {
		token string
		want  identity.Code
	}{
		"expired":                  {p.token(t, claims{"exp": time.Now().Add(-time.Minute).Unix()}), identity.CodeUnauthenticated},
		"not yet valid":            {p.token(t, claims{"nbf": time.Now().Add(time.Hour).Unix()}), identity.CodeUnauthenticated},
		"without end":              {p.token(t, claims{"exp": nil}), identity.CodeUnauthenticated},
		"for somebody else":        {p.token(t, claims{"aud": "shop"}), identity.CodeUnauthenticated},
		"for nobody":               {p.token(t, claims{"aud": nil}), identity.CodeUnauthenticated},
		"of another issuer":        {foreign.token(t, nil), identity.CodeUnauthenticated},
		"signed by another":        {foreign.token(t, claims{"iss": p.URL}), identity.CodeUnauthenticated},
		"unsigned":                 {segment(`{"alg":"none"}`) + "." + segment(p.claims(t, nil)) + ".", identity.CodeUnauthenticated},
		"a shared secret":          {segment(`{"alg":"HS256","kid":"first"}`) + "." + segment(p.claims(t, nil)) + "." + segment("x"), identity.CodeUnauthenticated},
		"changed":                  {good[:len(good)-4] + "AAAA", identity.CodeUnauthenticated},
		"an unverified email":      {p.token(t, claims{"email_verified": false}), identity.CodeForbidden},
		"email without a word":     {p.token(t, claims{"email_verified": nil}), identity.CodeForbidden},
		"an email that is no text": {p.token(t, claims{"email": 7}), identity.CodeForbidden},
		"an unmapped person":       {p.token(t, claims{"email": "bob@example.org"}), identity.CodeForbidden},
		"a malformed mapping":      {p.token(t, claims{"email": "eve@example.org"}), identity.CodeForbidden},
	} {
		_, err := w.bearer(t, c.token)
		require.Equal(t, c.want, code(t, err), name)
		require.NotContains(t, err.Error(), c.token[:20])
	}
}

func TestATokenThatExpiresLaterIsRefusedThen(t *testing.T) {
	p := newProvider(t)
	w := open(t, p.issuer())
	token := p.token(t, nil)
	_, err := w.bearer(t, token)
	require.NoError(t, err)
	w.clock.turn(61 * time.Minute)
	_, err = w.bearer(t, token)
	require.ErrorContains(t, err, "expired at")
}

func TestRotatedKeysAreFoundAndOldOnesForgotten(t *testing.T) {
	p := newProvider(t)
	w := open(t, p.issuer())
	old := p.token(t, nil)
	_, err := w.bearer(t, old)
	require.NoError(t, err)
	asked := p.requests.Load()
	_, err = w.bearer(t, old)
	require.NoError(t, err)
	require.Equal(t, asked, p.requests.Load(), "known keys are not asked for again")

	p.rotate(t, "second")
	// The library may hand out the keys of a fetch that has just ended once more.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := w.bearer(t, p.token(t, nil))
		assert.NoError(c, err)
	}, time.Minute, 10*time.Millisecond)
	// It also has the keys of a fetch in its cache only a moment after they were used.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := w.bearer(t, old)
		var refusal *identity.Error
		if assert.ErrorAs(c, err, &refusal) {
			assert.Equal(c, identity.CodeUnauthenticated, refusal.Code, "the issuer no longer has the old key")
		}
	}, time.Minute, 10*time.Millisecond)
}

func TestAnIssuerThatIsDownIsNotTheCallersFault(t *testing.T) {
	p := newProvider(t)
	p.down.Store(true)
	w := open(t, p.issuer())
	_, err := w.bearer(t, p.token(t, nil))
	require.Equal(t, identity.CodeUnavailable, code(t, err))
	p.down.Store(false)
	_, err = w.bearer(t, p.token(t, nil))
	require.NoError(t, err, "no restart is needed")

	p.rotate(t, "second")
	p.down.Store(true)
	// As above, the keys of the fetch before may be handed out once more.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := w.bearer(t, p.token(t, nil))
		assert.Equal(c, identity.CodeUnavailable, code(t, err))
	}, time.Minute, 10*time.Millisecond)
}

func TestForgedTokensDoNotMakeTheGatewayAskTheIssuerEachTime(t *testing.T) {
	p, foreign := newProvider(t), newProvider(t)
	w := open(t, p.issuer())
	forged := foreign.token(t, claims{"iss": p.URL})
	for range 200 {
		_, err := w.bearer(t, forged)
		require.Contains(t, []identity.Code{identity.CodeUnauthenticated, identity.CodeRate}, code(t, err))
	}
	require.Less(t, p.requests.Load(), int64(100))
	_, err := w.bearer(t, p.token(t, nil))
	require.NoError(t, err, "a good token with a known key needs no question")
}
