package rest_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// described is an operation of the API document.
type described struct {
	method, path string
	body         bool
	schema       map[string]any // of a JSON body
	query        []string
	key          bool // it has an idempotency key
}

// operations reads the API document.
func operations(t *testing.T, document []byte) (list []described) {
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
			Body       *struct {
				Content map[string]struct{ Schema map[string]any }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(document, &doc))
	for path, methods := range doc.Paths {
		for method, op := range methods {
			d := described{method: strings.ToUpper(method), path: path}
			for _, p := range op.Parameters {
				if p.In == "query" {
					d.query = append(d.query, p.Name)
				}
				d.key = d.key || p.Name == "Idempotency-Key"
			}
			if op.Body != nil {
				d.body = true
				d.schema = op.Body.Content["application/json"].Schema
				if ref, ok := d.schema["$ref"].(string); ok {
					d.schema = doc.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
				}
			}
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b described) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return list
}

// secret is what no log may hold.
const secret = "dn_00000000000000000000000000000000_thisisnobodysbusiness"

// attack is a request that must not succeed in changing anything.
type attack struct {
	what, token, method, path, body string
	headers                         []string
}

// fill puts a value for each part of a path.
func fill(path, value string) string {
	for strings.Contains(path, "{") {
		begin, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:begin] + value + path[end+1:]
	}
	return path
}

var (
	// values for parts of a path: names that cannot be, and ways out of it.
	tricks = []string{"%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..", "%00", "%ff%fe", "a%2Fb", strings.Repeat("x", 4000), "-1", "99999999999999999999", "'%20OR%201=1--",
		"%F0%9F%92%A9", "%7B%22a%22%3A1%7D"}
	// bodies that no operation takes.
	bodies = []string{``, `{`, `null`, `[]`, `"text"`, `1e999`, `{"a":{"a":{"a":{"a":[[[[[[]]]]]]}}}}`, "\xff\xfe", `{"__proto__":{}}`, `{"id":1,"id":2}`,
		strings.Repeat("[", 20_000), `{"amount":-5}`, `{"amount":"1e3"}`, `{"document":{},"function":"token:Nothing"}`}
)

// wrongTypes gives each field of a schema a value of another type.
func wrongTypes(schema map[string]any) (list []string) {
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		for _, value := range []string{`{}`, `[null]`, `true`, `-1.5`, `"\u0000"`, `"` + strings.Repeat("y", 2000) + `"`} {
			list = append(list, `{"`+name+`":`+value+`}`)
		}
	}
	slices.Sort(list)
	return list
}

func attacks(list []described) (all []attack) {
	roles := []string{"", "nobody", secret}
	for _, role := range ledger.Roles {
		roles = append(roles, string(role)+"1")
	}
	for _, op := range list {
		if op.path == "/v1/events" {
			continue // its streams do not end; its refusals are tried elsewhere
		}
		key := []string{"Idempotency-Key", "hostile " + op.method + op.path}
		id := strings.Repeat("0", 32)
		for _, role := range roles {
			all = append(all, attack{"every role", role, op.method, fill(op.path, id), `{}`, key})
		}
		for _, trick := range tricks {
			all = append(all, attack{"path trick", "operator1", op.method, fill(op.path, trick), `{}`, key})
		}
		for _, q := range append(slices.Clone(op.query), "unknown", "at") {
			all = append(all, attack{"query", "operator1", op.method, fill(op.path, id) + "?" + q + "=" + url.QueryEscape("\x00'\";--"), `{}`, key},
				attack{"query twice", "operator1", op.method, fill(op.path, id) + "?" + q + "=1&" + q + "=2", `{}`, key})
		}
		all = append(all, attack{"query that is none", "operator1", op.method, fill(op.path, id) + "?%zz=%", `{}`, key},
			attack{"long query", "operator1", op.method, fill(op.path, id) + "?cursor=" + strings.Repeat("A", 20_000), `{}`, key})
		if op.body {
			for _, body := range append(slices.Clone(bodies), wrongTypes(op.schema)...) {
				all = append(all, attack{"body", "operator1", op.method, fill(op.path, id), body, key})
			}
			all = append(all, attack{"giant body", "operator1", op.method, fill(op.path, id), `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, key},
				attack{"media type", "operator1", op.method, fill(op.path, id), `{}`, append(slices.Clone(key), "Content-Type", "text/html")})
		}
		if op.key {
			for _, bad := range []string{"", strings.Repeat("k", 300), "k\u00e9y", "tab\tkey"} {
				all = append(all, attack{"key", "consumer1", op.method, fill(op.path, id), `{}`, []string{"Idempotency-Key", bad}})
			}
			all = append(all, attack{"prefer", "consumer1", op.method, fill(op.path, id), `{}`, append(slices.Clone(key), "Prefer", "wait=-1")})
		}
	}
	return all
}

// allowed are the requests that a member may well send with an empty document: they do what they say, and nothing else.
var allowed = []string{"/v1/account/open", "/v1/account/refresh", "/v1/members/found", "/v1/fingerprint-secrets"}

func TestNoHostileRequestChangesAnythingOrIsAnsweredAsAFailureOfOurs(t *testing.T) {
	s := newSite(t, withPeople(t), withContent(t), withServing(t))
	for name := range s.people {
		s.certify(name)
	}
	list := attacks(operations(t, s.api.OpenAPI()))
	list = slices.DeleteFunc(list, func(a attack) bool {
		return slices.ContainsFunc(allowed, func(path string) bool { return strings.HasPrefix(a.path, path) })
	})
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	require.Greater(t, len(list), 1000)
	if testing.Short() {
		list = list[:1200] // a few name no operation, and nothing judges their answers
	}
	before := s.fingerprint()
	for _, a := range list {
		request, err := http.NewRequestWithContext(t.Context(), a.method, s.url+a.path, strings.NewReader(a.body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		if a.token != "" {
			request.Header.Set("Authorization", "Bearer "+a.token)
		}
		for i := 0; i < len(a.headers); i += 2 {
			if !strings.ContainsAny(a.headers[i+1], "\t") {
				request.Header.Set(a.headers[i], a.headers[i+1])
			}
		}
		response, err := s.client.Do(request)
		require.NoError(t, err, "%s %s", a.method, a.path)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Less(t, response.StatusCode, 500, "%s: %s %.200s as %q with %.200s: %.500s", a.what, a.method, a.path, a.token, a.body, body)
		require.NotContains(t, string(body), "goroutine")
		if a.token == "" || a.token == "nobody" || a.token == secret {
			// A code and a voucher are all that is shown there.
			if !strings.HasPrefix(a.path, "/v1/enrolments") && !strings.HasPrefix(a.path, "/v1/serving/vouchers") && response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
				require.Equal(t, http.StatusUnauthorized, response.StatusCode, "%s %s", a.method, a.path)
			}
		}
	}
	for name, entry := range s.kept {
		require.NotEqual(t, outbox.Committed, entry.State, "%s of %s was committed", entry.Function, name)
	}
	require.Equal(t, before, s.fingerprint(), "something has changed")
	require.NotContains(t, s.logs.String(), "thisisnobodysbusiness")
	require.GreaterOrEqual(t, s.judge.Answers(), 1000)
	t.Logf("%d requests, %d answers judged by the API document", len(list), s.judge.Answers())
}

func TestASignatureCannotBeUsedAgainOrByOthers(t *testing.T) {
	s := newSite(t)
	s.certify("consumer1")
	prepare := map[string]any{"function": "account:Open", "document": map[string]any{}, "certificate": s.certificate("consumer1")}
	p := decode[rest.Prepared](t, s.send("consumer1", http.MethodPost, "/v1/transactions/prepare", prepare, "Idempotency-Key", "sign"), http.StatusOK)
	path := "/v1/transactions/" + p.Transaction
	require.Equal(t, "proposal "+p.Transaction, string(p.Message))
	wrong := s.send("consumer1", http.MethodPost, path+"/endorse", rest.Signature{Signature: []byte("proposal of something else")})
	require.Equal(t, "signature", wrong.problem.Field)
	require.Equal(t, "not_found", s.send("host1", http.MethodPost, path+"/endorse", rest.Signature{Signature: p.Message}).problem.Code, "it is another one's")
	e := decode[rest.Prepared](t, s.send("consumer1", http.MethodPost, path+"/endorse", rest.Signature{Signature: p.Message}), http.StatusOK)
	require.Equal(t, "endorsed", e.State)
	replayed := s.send("consumer1", http.MethodPost, path+"/submit", rest.Signature{Signature: p.Message})
	require.Equal(t, "signature", replayed.problem.Field, "the proposal's signature is not the transaction's")
	done := s.send("consumer1", http.MethodPost, path+"/submit", rest.Signature{Signature: e.Message})
	require.Equal(t, http.StatusOK, done.status, "%s", done.body)
	require.NotEmpty(t, done.header.Get("Datanet-Block"))
	before := s.fingerprint()
	again := s.send("consumer1", http.MethodPost, path+"/submit", rest.Signature{Signature: e.Message})
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, before, s.fingerprint())

	prepare["certificate"] = s.certificate("consumer1")
	other := s.send("host1", http.MethodPost, "/v1/transactions/prepare", prepare, "Idempotency-Key", "sign")
	require.Equal(t, "certificate", other.problem.Field, "a certificate of somebody else's")
	prepare["function"] = "account:Get"
	require.Equal(t, "function", s.send("consumer1", http.MethodPost, "/v1/transactions/prepare", prepare, "Idempotency-Key", "q").problem.Field, "a query is not signed for")
}

func TestOneAddressCannotSendWithoutEnd(t *testing.T) {
	s := newSite(t, func(o *rest.Options) { o.Rate, o.Burst = 1, 1 })
	limited := false
	for range 40 {
		limited = limited || s.get("", "/v1/members").status == http.StatusTooManyRequests
	}
	require.True(t, limited, "who shows nothing is bounded too")
}

func TestAStreamOfEventsGoesOnAfterTheLastOne(t *testing.T) {
	s := newSite(t)
	s.createVerse()
	first := s.follow("consumer1", "0.0", 1)
	require.Equal(t, "member:Found", first[0].change.Function)
	next := s.follow("consumer1", first[0].id, 1)
	require.Equal(t, "datanet:Create", next[0].change.Function)
	require.Equal(t, rulestest.A+"/verse", next[0].change.Changed[0].Datanet)
	events := make(chan event, 1)
	go func() { events <- s.follow("consumer1", next[0].id, 1)[0] }()
	require.Equal(t, http.StatusOK, s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "k").status)
	select {
	case e := <-events:
		require.Equal(t, "account:Open", e.change.Function)
	case <-time.After(time.Minute):
		require.Fail(t, "the event did not come")
	}
	require.Equal(t, "Last-Event-ID", s.get("consumer1", "/v1/events", "Last-Event-ID", "x.y").problem.Field)
	require.Equal(t, http.StatusUnauthorized, s.get("", "/v1/events").status)
}

func TestContentOfOthersIsForThosePeopleOfAnOrganisationWhoseWorkItIs(t *testing.T) {
	s := newSite(t, withContent(t))
	pool := s.ledger.Pool(t)
	poet := rulestest.User(rulestest.B, "poet", ledger.Contributor)
	s.ledger.OpenAll(t, poet)
	name := contribution.Named{Datanet: pool, ID: s.ledger.ID()}
	s.ledger.Must(t, poet, "contribution:Submit", contribution.Submit{Datanet: pool, ID: name.ID, Content: s.ledger.Poem()})
	path := "/v1/datanets/" + pool + "/contributions/" + name.ID + "/content"
	for _, who := range []string{"consumer1", "trainer1", "curator1", "operator1"} {
		require.Equal(t, "forbidden", s.get(who, path).problem.Code, who)
	}
	require.Equal(t, "unavailable", s.get("validator1", path).problem.Code, "a validator's gateway asks the holder's, which does not answer here")
	require.Equal(t, "forbidden", s.get("validator1", path+"?reason=holding").problem.Code)
	require.Equal(t, "forbidden", s.get("validator1", path+"?reason=curiosity").problem.Code)
}
