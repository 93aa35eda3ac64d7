package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/gateway/rest/resttest"
)

// site is a gateway over a ledger in memory. Every answer is judged by the API document.
type site struct {
	*consortium
	t      *testing.T
	api    *rest.API
	url    string
	client *http.Client
	judge  *resttest.Validator
	logs   *safeBuffer
}

// safeBuffer is a log that tests can read while it is written.
type safeBuffer struct {
	mutex sync.Mutex
	buf   bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.String()
}

func newSite(t *testing.T, change ...func(*rest.Options)) *site {
	s := &site{consortium: newConsortium(t), t: t, logs: &safeBuffer{}}
	registry := prometheus.NewRegistry()
	options := rest.Options{Organisation: rulestest.A, Channel: "datanet", Version: "test", Authenticate: s.authenticate, Index: s.index, Peer: s, Outbox: s,
		BodyTimeout: 10 * time.Second, WriteWait: 10 * time.Second, Log: slog.New(slog.NewJSONHandler(s.logs, nil)), Metrics: registry, Gather: registry,
		Ready: func(context.Context) map[string]bool { return map[string]bool{"peer": true} }}
	for _, f := range change {
		f(&options)
	}
	var err error
	s.api, err = rest.New(options)
	require.NoError(t, err)
	s.judge = resttest.New(t, s.api.OpenAPI())
	server := httptest.NewServer(s.api)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	s.url, s.client = server.URL, &http.Client{Transport: s.judge.Transport(server.Client().Transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	problem rest.Problem
}

// send sends a request as a person, "" for nobody; headers are pairs.
func (s *site) send(who, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := ledger.Encode(b)
		require.NoError(s.t, err)
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		request.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	a.body, err = io.ReadAll(response.Body)
	require.NoError(s.t, err)
	if response.StatusCode >= 400 {
		require.Equal(s.t, "application/problem+json", response.Header.Get("Content-Type"))
		require.NoError(s.t, json.Unmarshal(a.body, &a.problem))
		require.Equal(s.t, response.StatusCode, a.problem.Status)
	}
	return a
}

func (s *site) get(who, path string, headers ...string) answer {
	s.t.Helper()
	return s.send(who, http.MethodGet, path, nil, headers...)
}

// decode reads a good answer.
func decode[T any](t *testing.T, a answer, status int) (v T) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.NoError(t, ledger.DecodeAnswer(a.body, &v))
	return v
}

func (s *site) verse() datanet.Content { return rulestest.Verse(s.ledger.Members()...) }

const verse = "/v1/datanets/" + rulestest.A + "/verse"

// content is a datanet's content as the body of a PUT, whose name stands in the path.
func (s *site) createVerse() answer { return s.send("curator1", http.MethodPut, verse, s.verse()) }

func TestEveryFunctionOfTheLedgerHasARoute(t *testing.T) {
	s := newSite(t)
	document := string(s.api.OpenAPI())
	for _, f := range rules.New(nil).Functions() {
		require.Contains(t, document, "Function "+f.Name+" of the ledger.")
	}
}

func TestTheDocumentDescribesTheBodiesThatTheLedgerTakes(t *testing.T) {
	s := newSite(t)
	described := map[string]map[string]any{}
	for _, op := range operations(t, s.api.OpenAPI()) {
		described[op.method+" "+op.path] = op.schema
	}
	schema := described["PUT /v1/datanets/{organisation}/{name}"]
	body, err := ledger.Encode(s.verse())
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(body, &fields))
	require.ElementsMatch(t, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(schema["properties"].(map[string]any))))
	require.Equal(t, false, schema["additionalProperties"])
}

func TestWhatIsWrittenIsReadBackAtTheHeightOfItsBlock(t *testing.T) {
	s := newSite(t)
	made := s.createVerse()
	require.Equal(t, http.StatusCreated, made.status, "%s", made.body)
	require.NotEmpty(t, made.header.Get("Datanet-Transaction"))
	height := made.header.Get("Datanet-Block")
	require.NotEmpty(t, height)

	found := decode[datanet.Datanet](t, s.get("consumer1", verse+"?min_height="+height), http.StatusOK)
	require.Equal(t, rulestest.A+"/verse", found.Name)
	fromPeer := s.get("consumer1", verse+"?at=ledger")
	require.Equal(t, found, decode[datanet.Datanet](t, fromPeer, http.StatusOK))

	list := s.get("consumer1", "/v1/datanets?limit=1")
	require.Len(t, decode[ledger.Page[datanet.Datanet]](t, list, http.StatusOK).Items, 1)
	require.NotEmpty(t, list.header.Get("Datanet-Height"))
}

func TestAHeightThatTheIndexDoesNotReachIsAProblemToTryAgain(t *testing.T) {
	a := newSite(t, func(o *rest.Options) { o.HeightWait = time.Millisecond }).get("consumer1", "/v1/members?min_height=999999")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "behind", a.problem.Code)
	require.True(t, a.problem.Retryable)
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

func TestAnAnswerThatTheCallerHasIsNotSentAgain(t *testing.T) {
	s := newSite(t)
	s.createVerse()
	first := s.get("consumer1", verse+"/versions/1")
	require.Contains(t, first.header.Get("Cache-Control"), "immutable")
	second := s.get("consumer1", verse+"/versions/1", "If-None-Match", first.header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, second.status)
	require.Empty(t, second.body)
}

func TestTheSameKeyGetsTheSameOutcomeAndAnotherRequestIsRefused(t *testing.T) {
	s := newSite(t)
	open := func(key string) answer {
		return s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", key)
	}
	first := open("one")
	require.Equal(t, http.StatusOK, first.status, "%s", first.body)
	require.Empty(t, first.header.Get("Idempotency-Replayed"))
	before := s.fingerprint()
	again := open("one")
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Datanet-Transaction"), again.header.Get("Datanet-Transaction"))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, before, s.fingerprint())
	other := s.send("consumer1", http.MethodPost, "/v1/account/refresh", "{}", "Idempotency-Key", "one")
	require.Equal(t, "key_conflict", other.problem.Code)
	require.Equal(t, http.StatusConflict, other.status)
}

func TestAFunctionIsCalledByItsNameAsByItsOwnPath(t *testing.T) {
	s := newSite(t)
	call := func(who, key, function, document string) answer {
		return s.send(who, http.MethodPost, "/v1/transactions", `{"function":"`+function+`","document":`+document+`}`, "Idempotency-Key", key)
	}
	first := call("consumer1", "one", "account:Open", "{}")
	require.Equal(t, http.StatusOK, first.status, "%s", first.body)
	require.NotEmpty(t, first.header.Get("Datanet-Block"))
	before := s.fingerprint()
	byPath := s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "one")
	require.Equal(t, first.body, byPath.body, "one request by either way")
	require.Equal(t, "true", byPath.header.Get("Idempotency-Replayed"))
	require.Equal(t, "function", call("consumer1", "two", "account:Get", "{}").problem.Field, "a query writes nothing")
	require.Equal(t, "function", call("consumer1", "two", "account:Close", "{}").problem.Field)
	require.Equal(t, "invalid", call("consumer1", "two", "account:Open", `{"other":1}`).problem.Code)
	require.Equal(t, "forbidden", call("consumer1", "two", "datanet:Retire", `{"name":"AMSP/verse"}`).problem.Code, "the ledger's rules are the same")
	require.Equal(t, before, s.fingerprint())
}

func TestAnActionWithoutAKeyIsRefused(t *testing.T) {
	s := newSite(t)
	for _, headers := range [][]string{nil, {"Idempotency-Key", ""}, {"Idempotency-Key", strings.Repeat("x", 256)}, {"Idempotency-Key", "é"}} {
		a := s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", headers...)
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		require.Equal(t, "Idempotency-Key", a.problem.Field)
	}
}

func TestAPathThatFailedForGoodIsDecidedAgainByTheLedger(t *testing.T) {
	s := newSite(t)
	payer, payee := caller(s.people["consumer1"]), caller(s.people["host1"])
	s.ledger.OpenAll(t, payer, payee)
	s.ledger.SetSchedule(t)
	id := s.ledger.ID()
	pay := func(amount money.Amount) answer {
		return s.send("consumer1", http.MethodPut, "/v1/transfers/"+id, map[string]any{"to": payee.Account(), "amount": amount})
	}
	short := pay(5)
	require.Equal(t, http.StatusPaymentRequired, short.status, "%s", short.body)
	require.Equal(t, "insufficient", short.problem.Code)
	s.ledger.Mint(t, payer, 100)
	credits := decode[ledger.Page[token.Credit]](t, s.get("consumer1", "/v1/accounts/"+string(payer.Account())+"/credits"), http.StatusOK)
	s.ledger.Must(t, payer, "token:Fold", token.Fold{ID: s.ledger.ID(), Credits: []string{credits.Items[0].ID}})
	spend := decode[token.Spend](t, pay(5), http.StatusCreated)
	require.Equal(t, id, spend.ID)
	require.Equal(t, http.StatusCreated, pay(5).status, "a repetition is answered as done")
	other := pay(6)
	require.Equal(t, "exists", other.problem.Code)
}

func TestAnOutcomeThatIsNotKnownIsAskedForLater(t *testing.T) {
	s := newSite(t)
	tx := hash("tx")
	s.next = func(r outbox.Request) (outbox.Entry, error) {
		return outbox.Entry{Account: r.Account, Key: r.Key, TxID: tx, State: outbox.Submitted}, nil
	}
	a := s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", "k", "Prefer", "wait=0")
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, "/v1/transactions/"+tx, a.header.Get("Location"))
	require.Equal(t, tx, decode[rest.Pending](t, a, http.StatusAccepted).Transaction)
}

func TestEachFailureOfAWriteKeepsItsMeaning(t *testing.T) {
	s := newSite(t)
	for name, want := range map[string]struct {
		entry  outbox.Entry
		err    error
		status int
		code   string
		retry  bool
		at     string
	}{
		"conflict":     {entry: outbox.Entry{State: outbox.Failed, Code: "MVCC_READ_CONFLICT", TxID: "t"}, status: 409, code: "conflict", retry: true},
		"policy":       {entry: outbox.Entry{State: outbox.Failed, Code: "ENDORSEMENT_POLICY_FAILURE", TxID: "t"}, status: 409, code: "invalidated"},
		"orderers":     {entry: outbox.Entry{State: outbox.Failed, Code: outbox.CodeRefused, TxID: "t"}, status: 403, code: "refused_by_orderers"},
		"unavailable":  {err: &fabric.UnavailableError{Organisation: "BMSP", Cause: io.EOF}, status: 503, code: "unavailable", retry: true, at: "BMSP"},
		"disagreement": {err: &fabric.DisagreementError{Organisation: "CMSP", Cause: io.EOF}, status: 503, code: "disagreement", retry: true, at: "CMSP"},
		"unknown":      {err: &fabric.UnknownError{TxID: "t", Cause: io.EOF}, status: 504, code: "outcome_unknown", retry: true},
		"pending":      {err: outbox.ErrPending, status: 503, code: "unavailable", retry: true},
		"internal":     {err: io.ErrUnexpectedEOF, status: 500, code: "internal"},
	} {
		s.next = func(outbox.Request) (outbox.Entry, error) { return want.entry, want.err }
		a := s.send("consumer1", http.MethodPost, "/v1/account/open", "{}", "Idempotency-Key", name)
		require.Equal(t, want.status, a.status, "%s: %s", name, a.body)
		require.Equal(t, want.code, a.problem.Code, name)
		require.Equal(t, want.retry, a.problem.Retryable, name)
		require.Equal(t, want.at, a.problem.Organisation, name)
		require.Equal(t, want.entry.TxID, a.header.Get("Datanet-Transaction"), name)
	}
	require.Contains(t, s.logs.String(), "unexpected EOF")
}

func TestABodyIsReadStrictly(t *testing.T) {
	s := newSite(t)
	for body, field := range map[string]string{
		`{"tags":1}`:                 "tags",
		`{"name":"AMSP/other"}`:      "name",
		`{"unknown":1}`:              "unknown",
		`{"title":"a","title":"b"}`:  "title",
		`[]`:                         "",
		`null`:                       "body",
		`{"title":"a"}{"title":"b"}`: "",
		``:                           "",
		"{\"title\":\"\xff\"}":       "title",
	} {
		a := s.send("curator1", http.MethodPut, verse, body)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, "%s: %s", body, a.body)
		require.Equal(t, field, a.problem.Field, "%s: %s", body, a.body)
	}
	large := s.send("curator1", http.MethodPut, verse, `{"title":"`+strings.Repeat("x", ledger.MaxDocument)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, large.status)
	other := s.send("curator1", http.MethodPut, verse, `{}`, "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, other.status)
}

func TestWhoIsNotKnownOrLacksTheRoleIsRefused(t *testing.T) {
	s := newSite(t)
	a := s.get("", "/v1/members")
	require.Equal(t, http.StatusUnauthorized, a.status)
	require.NotEmpty(t, a.header.Get("WWW-Authenticate"))
	before := s.fingerprint()
	require.Equal(t, "forbidden", s.send("consumer1", http.MethodPut, verse, s.verse()).problem.Code)
	require.Equal(t, before, s.fingerprint())
}

func TestAGatewayWithoutAnOutboxHasNoWayToWrite(t *testing.T) {
	s := newSite(t, func(o *rest.Options) { o.Outbox = nil })
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(s.api.OpenAPI(), &document))
	require.NotEmpty(t, document.Paths)
	for path, methods := range document.Paths {
		for method := range methods {
			if path == "/v1/audit/receipts" { // a question with a body
				continue
			}
			require.Equal(t, "get", method, path)
		}
	}
	require.Equal(t, http.StatusMethodNotAllowed, s.send("curator1", http.MethodPut, verse, s.verse()).status)
}

func TestCallersThatSendTooMuchAreSlowedDownEachForItself(t *testing.T) {
	s := newSite(t, func(o *rest.Options) { o.Rate, o.Burst = 1, 3 })
	for range 3 {
		require.Equal(t, http.StatusOK, s.get("consumer1", "/v1/members").status)
	}
	a := s.get("consumer1", "/v1/members")
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.True(t, a.problem.Retryable)
	require.Equal(t, http.StatusOK, s.get("host1", "/v1/members").status)
}

func TestThePageOfTheDocumentLoadsNothingFromElsewhere(t *testing.T) {
	s := newSite(t)
	page := s.get("", "/docs/")
	require.Equal(t, http.StatusOK, page.status)
	require.NotContains(t, string(page.body), "//cdn")
	require.NotContains(t, string(page.body), "src=\"http")
	require.NotContains(t, string(page.body), "href=\"http")
	require.Contains(t, page.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(t, http.StatusOK, s.get("", "/docs/swagger-ui-bundle.js").status)
	require.Equal(t, http.StatusOK, s.get("", "/openapi.json").status)
}
