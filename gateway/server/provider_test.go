package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/stretchr/testify/require"
)

// provider is an OIDC issuer on this machine.
type provider struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	issuer := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "first", Algorithm: oidc.ES256}}}
	p := &provider{Server: httptest.NewServer(issuer), key: key}
	t.Cleanup(p.Close)
	issuer.SetIssuer(p.URL)
	return p
}

type claims map[string]any

func (p *provider) token(t *testing.T, change claims) string {
	return oidctest.SignIDToken(p.key, "first", oidc.ES256, p.claims(t, change))
}

func (p *provider) claims(t *testing.T, change claims) string {
	all := claims{"iss": p.URL, "aud": "datanet", "sub": "consumer1", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range change {
		all[name] = value
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return string(text)
}
