package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	gatewayclient "github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// databases puts both databases of a gateway on a PostgreSQL server.
func databases(t *testing.T) func(*Config) {
	url := databasetest.PostgreSQL(t)
	return func(c *Config) { c.Database = Database{State: url + "&schema=state", Index: url + "&schema=index"} }
}

func TestAGatewayServesOnEachDatabase(t *testing.T) {
	for name, change := range map[string]func(t *testing.T) func(*Config){
		"sqlite":     func(*testing.T) func(*Config) { return nil },
		"postgresql": databases,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil, change(t))
			consumer := s.client("consumer1")
			opened := s.send(consumer, http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "open")
			require.Equal(t, http.StatusOK, opened.status, "%s", opened.body)
			again := s.send(consumer, http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "open")
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			require.Equal(t, opened.body, again.body)
			account := string(ledger.NewAccount(rulestest.A, "consumer1"))
			read := s.send(consumer, http.MethodGet, "/v1/accounts/"+account, "")
			require.Equal(t, http.StatusOK, read.status, "%s", read.body)
			list := s.send(consumer, http.MethodGet, "/v1/lists/accounts", "")
			require.Contains(t, string(list.body), account)
			members := s.send(consumer, http.MethodGet, "/v1/members", "")
			require.Equal(t, string(s.send(consumer, http.MethodGet, "/v1/members?at=ledger", "").body), string(members.body))
		})
	}
}

func TestAnErasureThatEveryHolderHasAcknowledgedIsCompleted(t *testing.T) {
	poet := rulestest.User(rulestest.B, "poet", ledger.Contributor)
	var names []contribution.Named
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, poet)
		names = c.Approved(t, poet, c.Pool(t), 2)
	}, nil)
	for _, name := range names {
		s.must(poet, "erasure:Request", name)
	}
	s.must(rulestest.User(rulestest.B, "operator1", ledger.Operator), "erasure:Acknowledge", names[0])
	operator := s.client("operator1")
	state := func(n contribution.Named) string {
		var e erasure.Detail
		found := s.send(operator, http.MethodGet, "/v1/datanets/"+n.Datanet+"/contributions/"+n.ID+"/erasure", "")
		if found.status != http.StatusOK || ledger.DecodeAnswer(found.body, &e) != nil {
			return "" // the index has not got the request yet
		}
		return string(e.State)
	}
	s.soon(func() bool { return state(names[0]) == string(erasure.Erased) })
	require.Equal(t, string(erasure.Erasing), state(names[1]), "one holder has not acknowledged")
	s.must(rulestest.User(rulestest.B, "operator1", ledger.Operator), "erasure:Acknowledge", names[1])
	s.soon(func() bool { return state(names[1]) == string(erasure.Erased) })
}

func TestAGatewayWhoseBucketIsGoneIsNotReady(t *testing.T) {
	s := newSite(t, nil, nil)
	anybody := s.client("")
	require.Equal(t, http.StatusOK, s.send(anybody, http.MethodGet, "/readyz", "").status)
	folder := filepath.Join(s.config.Folder, "content")
	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	s.server.health.bucketFault = nil
	h := newHealth(s.server) // which has not looked yet
	h.look(t.Context())
	require.False(t, h.check(t.Context())["store"])
}

func TestARenewedCertificateIsTakenWithoutARestart(t *testing.T) {
	s := newSite(t, nil, nil)
	credentials, err := newCredentials(s.config, s.server.identities, s.server.log)
	require.NoError(t, err)
	clock := time.Now()
	credentials.now = func() time.Time { return clock }
	serving := func() string {
		clock = clock.Add(lookEvery)
		c, err := credentials.configuration(nil)
		require.NoError(t, err)
		return c.Certificates[0].Leaf.SerialNumber.String()
	}
	before := serving()
	require.Equal(t, before, serving())
	good, err := os.ReadFile(s.config.TLS.Certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.config.TLS.Certificate, []byte("half of a certificate"), 0o600))
	require.Equal(t, before, serving(), "what is no certificate is not taken")
	require.NoError(t, os.WriteFile(s.config.TLS.Certificate, good, 0o600))
	_, err = s.org.Renew()
	require.NoError(t, err)
	require.NotEqual(t, before, serving())
	authority, err := os.ReadFile(s.config.Organisations[0].Authority)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.config.Organisations[0].Authority, []byte("nobody"), 0o600))
	after := serving()
	require.Equal(t, http.StatusOK, s.send(s.client("consumer1"), http.MethodGet, "/v1/members", "").status, "the former authorities stay")
	require.NoError(t, os.WriteFile(s.config.Organisations[0].Authority, authority, 0o600))
	require.Equal(t, after, serving())
}

func TestCertificatesOfKeptKeysAreRenewedBeforeTheyEnd(t *testing.T) {
	s := newSite(t, nil, nil)
	kept := func() *pki.Identity {
		id, err := s.server.keys.Get("consumer1")
		require.NoError(t, err)
		return id
	}
	before := kept()
	s.server.renewDue(t.Context(), time.Now())
	require.Same(t, before, kept(), "its end is far")
	s.server.renewDue(t.Context(), before.Certificate().NotAfter.Add(-time.Hour))
	after := kept()
	require.NotEqual(t, before.Certificate().SerialNumber, after.Certificate().SerialNumber)
	require.Equal(t, before.Certificate().PublicKey, after.Certificate().PublicKey)
	require.NoError(t, s.server.keep())
	require.Equal(t, after.Certificate().SerialNumber, kept().Certificate().SerialNumber, "the configured folder has an earlier one")

	s.network.Admit(after.Credentials(), ledger.Caller{MSP: rulestest.A, Enrolment: "consumer1", Roles: []ledger.Role{ledger.Consumer}})
	opened := s.send(s.client("consumer1"), http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "open")
	require.Equal(t, http.StatusOK, opened.status, "%s", opened.body)
	list := s.send(s.client("operator1"), http.MethodGet, "/v1/kept-certificates", "")
	require.Equal(t, http.StatusOK, list.status)
	require.Contains(t, string(list.body), `"AMSP:consumer1"`)
	require.Contains(t, string(list.body), `"AMSP:gateway"`)
	require.Equal(t, http.StatusForbidden, s.send(s.client("consumer1"), http.MethodGet, "/v1/kept-certificates", "").status)
}

func TestAnAuthorityThatIsReplacedCountsNoMore(t *testing.T) {
	s := newSite(t, nil, nil)
	s.config.Identity.Authority = ""
	consumer := s.client("consumer1")
	require.Equal(t, http.StatusOK, s.send(consumer, http.MethodGet, "/v1/members", "").status)
	require.ErrorContains(t, s.server.identities.Trust(map[string][]byte{rulestest.A: s.org.TLSCA.PEM}), "signs for new people")
	require.Equal(t, http.StatusOK, s.send(consumer, http.MethodGet, "/v1/members", "").status)
	require.Error(t, s.server.identities.Trust(map[string][]byte{rulestest.B: s.org.CA.PEM}), "the own one is missing")
}

func TestASignatureCountsOnceAndForItsTransactionOnly(t *testing.T) {
	s := newSite(t, nil, nil)
	consumer := s.client("consumer1")
	id, err := s.org.User("consumer1")
	require.NoError(t, err)
	type prepared struct {
		Transaction string `json:"transaction"`
		Message     []byte `json:"message"`
	}
	prepare := func(key string) (p prepared) {
		a := s.send(consumer, http.MethodPost, "/v1/transactions/prepare", `{"function":"account:Open","document":{}}`, "Idempotency-Key", key)
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		require.NoError(t, json.Unmarshal(a.body, &p))
		return p
	}
	sign := func(message []byte) string {
		signature, err := id.Sign(message)
		require.NoError(t, err)
		return `{"signature":"` + base64.StdEncoding.EncodeToString(signature) + `"}`
	}
	step := func(c *http.Client, p prepared, action, signature string) answer {
		return s.send(c, http.MethodPost, "/v1/transactions/"+p.Transaction+"/"+action, signature)
	}
	first, second := prepare("first"), prepare("second")
	ofFirst := sign(first.Message)
	before := len(s.network.Valid())
	replayed := step(consumer, second, "endorse", ofFirst)
	require.Equal(t, "invalid", replayed.problem.Code, "%s", replayed.body)
	require.Equal(t, "signature", replayed.problem.Field)
	require.Equal(t, http.StatusNotFound, step(s.client("trainer1"), first, "endorse", ofFirst).status, "somebody else's transaction")
	require.Equal(t, "out_of_turn", step(consumer, first, "submit", ofFirst).problem.Code)
	endorsed := step(consumer, first, "endorse", ofFirst)
	require.Equal(t, http.StatusOK, endorsed.status, "%s", endorsed.body)
	var next prepared
	require.NoError(t, json.Unmarshal(endorsed.body, &next))
	require.Equal(t, "invalid", step(consumer, next, "submit", ofFirst).problem.Code, "the proposal's signature is not the transaction's")
	require.Equal(t, before, len(s.network.Valid()), "nothing has changed")
	ofTransaction := sign(next.Message)
	done := step(consumer, next, "submit", ofTransaction)
	require.Equal(t, http.StatusOK, done.status, "%s", done.body)
	after := len(s.network.Valid())
	again := step(consumer, next, "submit", ofTransaction)
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, done.body, again.body)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, after, len(s.network.Valid()))
	require.Equal(t, 1, s.network.Copies(next.Transaction))

	// A program that broke off after the second one's endorsement goes on with the transaction that waits.
	endorsed = step(consumer, second, "endorse", sign(second.Message))
	require.Equal(t, http.StatusOK, endorsed.status, "%s", endorsed.body)
	_, written, err := gatewayclient.Submit[account.Account](t.Context(), s.person("consumer1"), "account:Open", "second", ledger.Nothing{})
	require.NoError(t, err)
	require.Equal(t, second.Transaction, written.Transaction)
}

func TestEveryOperationRefusesWhoShowsNothingThatCounts(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, nil, func(c *Config) {
		c.Identity.Issuers = []Issuer{{URL: p.URL, Audience: "datanet", Claim: "sub"}}
		c.Limits.Rate, c.Limits.Burst = 0, 0
	})
	anybody := s.client("")
	good := p.token(t, nil)
	found := s.send(anybody, http.MethodGet, "/v1/members", "", "Authorization", "Bearer "+good)
	require.Equal(t, http.StatusOK, found.status, "%s", found.body)
	shown := map[string]string{
		"nothing":               "",
		"an expired token":      "Bearer " + p.token(t, claims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"another audience":      "Bearer " + p.token(t, claims{"aud": "elsewhere"}),
		"another issuer":        "Bearer " + p.token(t, claims{"iss": "https://elsewhere.example"}),
		"no person":             "Bearer " + p.token(t, claims{"sub": ""}),
		"the gateway itself":    "Bearer " + p.token(t, claims{"sub": network.GatewayUser}),
		"no signature":          "Bearer " + unsigned(p.claims(t, nil)),
		"a cut signature":       "Bearer " + good[:len(good)-10],
		"a key that nobody has": "Bearer dn_00000000000000000000000000000000_thisisnobodysbusiness",
		"another scheme":        "Basic b3BlcmF0b3IxOnBhc3N3b3Jk",
	}
	var document struct {
		Paths map[string]map[string]struct {
			Security *[]any
		}
	}
	require.NoError(t, json.Unmarshal(s.send(anybody, http.MethodGet, "/openapi.json", "").body, &document))
	before, tried := len(s.network.Valid()), 0
	for path, methods := range document.Paths {
		for method, op := range methods {
			if op.Security != nil && len(*op.Security) == 0 {
				continue // for everybody
			}
			for what, authorization := range shown {
				headers := []string{"Idempotency-Key", "hostile"}
				if authorization != "" {
					headers = append(headers, "Authorization", authorization)
				}
				for _, body := range []string{"", "{}"} {
					a := s.send(anybody, strings.ToUpper(method), fill(path), body, headers...)
					require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, a.status, "%s %s with %s: %s", method, path, what, a.body)
					tried++
				}
			}
		}
	}
	require.Greater(t, tried, 1000)
	require.Equal(t, http.StatusOK, s.send(anybody, http.MethodGet, "/v1/members", "", "Authorization", "Bearer "+good).status, "whoever has a good token is served meanwhile")
	require.Equal(t, before, len(s.network.Valid()), "nothing has changed")
	logs := s.logs.String()
	for _, secret := range []string{"thisisnobodysbusiness", good, good[:len(good)-10], "b3BlcmF0b3IxOnBhc3N3b3Jk"} {
		require.NotContains(t, logs, secret)
	}
}

// fill puts a value for each part of a path.
func fill(path string) string {
	for strings.Contains(path, "{") {
		begin, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:begin] + strings.Repeat("0", 32) + path[end+1:]
	}
	return path
}

// unsigned is a token whose header says that it needs no signature.
func unsigned(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode([]byte(payload)) + "."
}
