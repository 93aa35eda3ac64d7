package exchange_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

var (
	ann     = rulestest.User(rulestest.B, "ann", ledger.Contributor)
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
)

// service is the account under which an organisation's gateway acts.
func service(msp string) ledger.Caller {
	return rulestest.User(msp, "gateway", ledger.Operator, ledger.Host)
}

// a network is three members' gateways on a ledger with the real rules.
type network struct {
	*rulestest.Consortium
	t         *testing.T
	mu        sync.Mutex // the in-memory ledger is for one at a time
	gateways  map[string]*gateway
	addresses map[string]string
	pool      string
	epoch     contribution.Epoch
}

type gateway struct {
	*content.Store
	msp     string
	bucket  *blob.Bucket
	network *network
	client  *exchange.Client
	serve   func(http.Handler) http.Handler // what a test puts before the gateway
	handler http.Handler
}

// mspHeader stands for the client certificate in these tests.
const mspHeader = "Test-Organisation"

type as struct{ msp string }

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(mspHeader, a.msp)
	return http.DefaultTransport.RoundTrip(r)
}

func start(t *testing.T) *network {
	n := &network{Consortium: rulestest.New(t), t: t, gateways: map[string]*gateway{}}
	addresses := map[string]string{}
	for _, msp := range []string{rulestest.A, rulestest.B, rulestest.C} {
		g := &gateway{msp: msp, network: n, serve: func(h http.Handler) http.Handler { return h }}
		n.gateways[msp] = g
		folder := t.TempDir()
		keys, err := content.CreateMasterKeys(filepath.Join(folder, "master.keys"))
		require.NoError(t, err)
		db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		g.bucket, err = content.OpenBucket(t.Context(), "file://"+filepath.Join(folder, "objects"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.bucket.Close()) })
		g.Store, err = content.New(t.Context(), db, g.bucket, keys, content.Options{Organisation: msp, PartBytes: 10_000})
		require.NoError(t, err)
		caller := func(r *http.Request) (string, bool) { m := r.Header.Get(mspHeader); return m, m != "" }
		g.handler, err = exchange.Handler(t.Context(), db, g.Store, g.service(), caller, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(g.handler).ServeHTTP(w, r) }))
		t.Cleanup(server.Close)
		addresses[msp] = server.URL
	}
	n.addresses = addresses
	for msp, g := range n.gateways {
		g.client = exchange.NewClient(as{msp}, addresses)
	}
	check, err := n.gateways[rulestest.A].DrawSecret(t.Context())
	require.NoError(t, err)
	n.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: check})
	n.epoch = contribution.Epoch{Epoch: 1, Check: check}
	n.pool = rulestest.A + "/verse"
	n.Must(t, curator, "datanet:Create", datanet.Create{Name: n.pool, Content: rulestest.Verse(n.Members()...)})
	n.OpenAll(t, ann)
	return n
}

func (g *gateway) service() exchange.Service {
	return exchange.Service{MSP: g.msp, Functions: g, Now: func() time.Time { return g.network.Clock }}
}

func (g *gateway) Evaluate(_ context.Context, function string, request any) ([]byte, error) {
	g.network.mu.Lock()
	defer g.network.mu.Unlock()
	return g.network.Consortium.Evaluate(rulestest.Proposal(g.network.t, service(g.msp), function, request), "")
}

func (g *gateway) Submit(_ context.Context, function string, request any) ([]byte, error) {
	g.network.mu.Lock()
	defer g.network.mu.Unlock()
	envelope, flag, err := g.network.Invoke(rulestest.Proposal(g.network.t, service(g.msp), function, request))
	if err == nil && flag != memledger.Valid {
		err = errors.New(string(flag))
	}
	if err != nil {
		return nil, err
	}
	return envelope.Response, nil
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

var poem = strings.Repeat("Of all the gardens that the river knows\nthe smallest keeps the rose\n\n", 1000)

// submit has ann's gateway take a text and registers it.
func (n *network) submit(t *testing.T, text string) contribution.Contribution {
	t.Helper()
	g := n.gateways[rulestest.B]
	require.NoError(t, g.client.FetchSecret(t.Context(), g.Store, n.epoch, rulestest.C, rulestest.A))
	id := newID()
	_, err := g.Begin(t.Context(), ann.Account(), content.Upload{ID: id, Files: []content.File{{Name: "a.txt", Bytes: int64(len(text))}}, Rules: ingest.Rules{Split: true}})
	require.NoError(t, err)
	_, err = g.Append(t.Context(), ann.Account(), id, 0, strings.NewReader(text))
	require.NoError(t, err)
	p, err := g.Finish(t.Context(), ann.Account(), id, content.Descriptor{Author: "Ann"}, n.epoch)
	require.NoError(t, err)
	name := contribution.Named{Datanet: n.pool, ID: newID()}
	require.NoError(t, g.Assign(t.Context(), ann.Account(), id, name))
	var c contribution.Contribution
	answer := n.Must(t, ann, "contribution:Submit", contribution.Submit{Datanet: name.Datanet, ID: name.ID,
		Content: p.Content(contribution.Provenance{Method: "authored", FromYear: 2020, ToYear: 2021, Languages: []string{"en"}}, nil)})
	require.NoError(t, ledger.DecodeAnswer(answer, &c))
	return c
}

// approve has a contribution approved, sealed and in the next snapshot.
func (n *network) approve(t *testing.T, c contribution.Contribution, number int) {
	t.Helper()
	n.seal(t, c, number)
	n.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: n.pool, Number: number})
}

func (n *network) seal(t *testing.T, c contribution.Contribution, number int) {
	t.Helper()
	for _, msp := range c.Eligible {
		n.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: c.Name(), Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	n.Must(t, ann, "approval:Finalise", c.Name())
	n.Must(t, curator, "seal:Append", seal.Append{Datanet: n.pool, From: int64(number - 1), Contributions: []string{c.ID}})
}

func validate(c contribution.Contribution, msp string) access.Handover {
	return access.Handover{Named: access.Named{Datanet: c.Datanet, ID: newID()}, Contributions: []string{c.ID}, To: service(msp).Account(), Reason: access.Validation}
}

func (n *network) releases(t *testing.T, c contribution.Contribution) []access.Released {
	t.Helper()
	answer, err := n.Evaluate(rulestest.Proposal(t, ann, "access:ReleasesOf", access.OfContribution{Named: c.Name()}), "")
	require.NoError(t, err)
	var page ledger.Page[access.Released]
	require.NoError(t, ledger.DecodeAnswer(answer, &page))
	return page.Items
}

func (g *gateway) text(t *testing.T, info content.Info) string {
	t.Helper()
	c, err := g.Open(t.Context(), info.ID)
	require.NoError(t, err)
	r := c.Reader(t.Context())
	defer r.Close()
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(data)
}

func TestAValidatorGetsContentAndTheLedgerKnows(t *testing.T) {
	n := start(t)
	c := n.submit(t, poem)
	g := n.gateways[rulestest.C]
	h := validate(c, rulestest.C)
	recorded := 0
	n.gateways[rulestest.B].serve = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				recorded = len(n.releases(t, c))
			}
			next.ServeHTTP(w, r)
		})
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			_, err := g.client.Fetch(t.Context(), g.Store, c, h, exchange.Holders(c)...)
			require.NoError(t, err)
		})
	}
	group.Wait()
	require.Equal(t, 1, recorded, "the release was on the ledger before any byte left")
	info, err := g.Find(t.Context(), c.Name(), c.Commitment)
	require.NoError(t, err)
	require.True(t, info.Replica)
	require.Equal(t, c.Contributor, info.Account)
	require.Equal(t, poem, g.text(t, info))
	opened, err := g.Open(t.Context(), info.ID)
	require.NoError(t, err)
	require.NoError(t, opened.Verify(t.Context()))
	descriptor, err := opened.Descriptor()
	require.NoError(t, err)
	require.Equal(t, "Ann", descriptor.Author)
	require.Len(t, n.releases(t, c), 1, "three fetches at once are one release")

	require.NoError(t, g.Drop(t.Context(), info.ID))
	info, err = g.client.Fetch(t.Context(), g.Store, c, h, rulestest.B)
	require.NoError(t, err, "a replica that was dropped comes again, under the same release")
	require.Equal(t, poem, g.text(t, info))
	require.Len(t, n.releases(t, c), 1)
}

func TestAFetchGoesOnWhereItBroke(t *testing.T) {
	n := start(t)
	c := n.submit(t, poem)
	g := n.gateways[rulestest.C]
	var sent []int64
	n.gateways[rulestest.B].serve = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w = &cut{ResponseWriter: w, left: 25_000}
				sent = append(sent, 0)
			}
			next.ServeHTTP(w, r)
		})
	}
	info, err := g.client.Fetch(t.Context(), g.Store, c, validate(c, rulestest.C), rulestest.B)
	require.NoError(t, err)
	require.Equal(t, poem, g.text(t, info))
	require.Greater(t, len(sent), 2)
}

// A cut breaks the connection after some bytes.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		n, _ := c.ResponseWriter.Write(p[:len(p)+c.left])
		return n, errors.New("the connection broke")
	}
	return c.ResponseWriter.Write(p)
}

func TestWhatIsNotHandedOver(t *testing.T) {
	n := start(t)
	c := n.submit(t, poem)
	other := n.submit(t, poem+"Another line that nobody has written before this one\n")
	b := n.gateways[rulestest.B]
	ask := func(msp, method, path, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set(mspHeader, msp)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		require.NotContains(t, w.Body.String(), "gardens")
		return w.Code, w.Body.String()
	}
	document := func(h access.Handover) string {
		d, err := ledger.Encode(h)
		require.NoError(t, err)
		return string(d)
	}
	mine := validate(c, rulestest.C)
	bytesOf := func(c contribution.Contribution, release string) string {
		return "/v1/exchange/contents/" + c.Commitment + "?datanet=" + c.Datanet + "&contribution=" + c.ID + "&release=" + release
	}
	for claim, test := range map[string]struct {
		msp, method, path, body string
		status                  int
	}{
		"a release to nobody that is known":    {"", "POST", "/v1/exchange/releases", document(mine), 403},
		"bytes to nobody that is known":        {"", "GET", bytesOf(c, mine.ID), "", 403},
		"a secret to nobody that is known":     {"", "GET", "/v1/exchange/fingerprint-secrets/1", "", 403},
		"a release to another than who asks":   {rulestest.A, "POST", "/v1/exchange/releases", document(mine), 403},
		"a release for training, no ticket":    {rulestest.C, "POST", "/v1/exchange/releases", strings.Replace(document(mine), "validation", "training", 1), 422},
		"a release that says too much":         {rulestest.C, "POST", "/v1/exchange/releases", strings.Replace(document(mine), `{"datanet"`, `{"x":1,"datanet"`, 1), 422},
		"a release that is no JSON":            {rulestest.C, "POST", "/v1/exchange/releases", "{", 422},
		"a release larger than a document":     {rulestest.C, "POST", "/v1/exchange/releases", strings.Repeat(" ", 2<<20), 413},
		"to who may not validate":              {rulestest.Regulator, "POST", "/v1/exchange/releases", document(validate(c, rulestest.Regulator)), 403},
		"bytes without a release":              {rulestest.C, "GET", bytesOf(c, mine.ID), "", 404},
		"bytes of a contribution without name": {rulestest.C, "GET", "/v1/exchange/contents/" + c.Commitment, "", 422},
		"a path trick":                         {rulestest.C, "GET", "/v1/exchange/contents/..%2f..%2fmaster.keys?datanet=" + c.Datanet + "&contribution=" + c.ID, "", 404},
		"an offset that is none":               {rulestest.C, "GET", bytesOf(c, mine.ID) + "&offset=-1", "", 422},
		"the secret of another epoch":          {rulestest.C, "GET", "/v1/exchange/fingerprint-secrets/2", "", 404},
		"a secret to who is no member":         {rulestest.Regulator, "GET", "/v1/exchange/fingerprint-secrets/1", "", 403},
	} {
		status, body := ask(test.msp, test.method, test.path, test.body)
		require.Equal(t, test.status, status, "%s: %s", claim, body)
	}
	require.Empty(t, n.releases(t, c), "nothing was recorded")

	status, body := ask(rulestest.C, "POST", "/v1/exchange/releases", document(mine))
	require.Equal(t, 200, status, body)
	status, body = ask(rulestest.C, "POST", "/v1/exchange/releases", strings.Replace(document(mine), c.ID, other.ID, 1))
	require.Equal(t, 409, status, body)
	status, _ = ask(rulestest.A, "GET", bytesOf(c, mine.ID), "")
	require.Equal(t, 404, status, "another organisation's release")
	status, body = ask(rulestest.C, "GET", bytesOf(other, mine.ID), "")
	require.Equal(t, 403, status, "%s: another contribution than the released one", body)
	status, body = ask(rulestest.C, "GET", strings.Replace(bytesOf(c, mine.ID), c.Commitment, other.Commitment, 1), "")
	require.Equal(t, 404, status, body)
	status, body = ask(rulestest.C, "GET", bytesOf(c, mine.ID)+"&offset=99999999", "")
	require.Equal(t, 422, status, body)

	n.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Suspended})
	status, body = ask(rulestest.C, "POST", "/v1/exchange/releases", document(validate(c, rulestest.C)))
	require.Equal(t, 403, status, body)
	status, body = ask(rulestest.C, "GET", "/v1/exchange/fingerprint-secrets/1", "")
	require.Equal(t, 403, status, body)

	n.Must(t, ann, "erasure:Request", c.Name())
	status, body = ask(rulestest.C, "GET", bytesOf(c, mine.ID), "")
	require.Equal(t, 409, status, "%s: a release from before an erasure", body)
}

func TestAHolderThatLiesIsNotBelieved(t *testing.T) {
	n := start(t)
	c := n.submit(t, poem)
	g := n.gateways[rulestest.C]
	for claim, lie := range map[string]func(answer []byte) []byte{
		"another text": func(a []byte) []byte { return bytes.ReplaceAll(a, []byte("rose"), []byte("weed")) },
		"another salt": func(a []byte) []byte { return bytes.Replace(a, []byte(`"salt":"`), []byte(`"salt":"AAAA`), 1)[:len(a)] },
		"another author": func(a []byte) []byte {
			return bytes.Replace(a, []byte(`"descriptor":"ey`), []byte(`"descriptor":"fy`), 1)
		},
		"no content at all":   func([]byte) []byte { return []byte("<html>") },
		"a head without end":  func(a []byte) []byte { a[len("DATANET-CONTENT/1")] = 0x7f; return a },
		"fewer bytes":         func(a []byte) []byte { return a[:len(a)-1] },
		"files out of bounds": func(a []byte) []byte { return bytes.Replace(a, []byte("a.txt"), []byte("/.txt"), 1) },
	} {
		n.gateways[rulestest.B].serve = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					next.ServeHTTP(w, r)
					return
				}
				recorder := httptest.NewRecorder()
				next.ServeHTTP(recorder, r)
				_, _ = w.Write(lie(recorder.Body.Bytes()))
			})
		}
		_, err := g.client.Fetch(t.Context(), g.Store, c, validate(c, rulestest.C), rulestest.B)
		require.Error(t, err, claim)
		info, err := g.Find(t.Context(), c.Name(), c.Commitment)
		if !errors.Is(err, content.ErrNotFound) {
			require.NoError(t, err)
			require.Equal(t, content.Uploading, info.State, claim)
			require.NoError(t, g.Drop(t.Context(), info.ID)) // the next lie is not to be mended by what came of this one
		}
	}
	n.gateways[rulestest.B].serve = func(next http.Handler) http.Handler { return next }
	info, err := g.client.Fetch(t.Context(), g.Store, c, validate(c, rulestest.C), rulestest.B)
	require.NoError(t, err, "the truth is believed afterwards")
	require.Equal(t, poem, g.text(t, info))
}

func TestAReplicaOfARejectedContributionIsPruned(t *testing.T) {
	n := start(t)
	c, kept := n.submit(t, poem), n.submit(t, poem+"Another line that nobody has written before this one\n")
	g, own := n.gateways[rulestest.C], n.gateways[rulestest.B]
	var info content.Info
	for _, each := range []contribution.Contribution{kept, c} {
		var err error
		info, err = g.client.Fetch(t.Context(), g.Store, each, validate(each, rulestest.C), rulestest.B)
		require.NoError(t, err)
	}
	for _, msp := range c.Eligible {
		n.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: c.Name(), Revision: 1, Verdict: rulestest.Verdict(approval.Reject)})
	}
	n.Must(t, ann, "approval:Finalise", c.Name())
	dropped, err := g.Prune(t.Context(), g.service())
	require.NoError(t, err)
	require.Equal(t, []string{info.ID}, dropped)
	dropped, err = own.Prune(t.Context(), own.service())
	require.NoError(t, err)
	require.Empty(t, dropped, "the contributor keeps it, to revise it")
}

func TestASecretThatIsNotTheLedgersIsRefused(t *testing.T) {
	n := start(t)
	g := n.gateways[rulestest.C]
	n.gateways[rulestest.B].serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"epoch":1,"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
		})
	}
	require.ErrorContains(t, g.client.FetchSecret(t.Context(), g.Store, n.epoch, rulestest.B), "not the one")
	require.NoError(t, g.client.FetchSecret(t.Context(), g.Store, n.epoch, rulestest.B, rulestest.A))
	mine, err := g.Secret(t.Context(), n.epoch.Check)
	require.NoError(t, err)
	require.Equal(t, n.epoch.Check, mine.Check())
}

func TestASnapshotIsHeldAndErasedEverywhere(t *testing.T) {
	n := start(t)
	first := n.submit(t, poem)
	a, b, c := n.gateways[rulestest.A], n.gateways[rulestest.B], n.gateways[rulestest.C]
	_, err := a.client.Fetch(t.Context(), a.Store, first, validate(first, rulestest.A), rulestest.B)
	require.NoError(t, err)
	keep := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Contributions: []string{first.ID}, To: service(rulestest.A).Account(), Reason: access.Holding}
	require.NoError(t, b.service().Release(t.Context(), keep), "the owner holds it to hand it on")
	n.approve(t, first, 1)
	second := n.submit(t, poem+"Another line that nobody has written before this one\n")
	n.approve(t, second, 2)

	grant := access.Named{Datanet: n.pool, ID: newID()}
	n.Must(t, curator, "access:Grant", access.Terms{Named: grant, Grantee: rulestest.C, Purposes: []licence.Purpose{licence.Research}, Expires: n.Clock.Add(100 * time.Hour)})
	hold := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Snapshot: 1, To: service(rulestest.C).Account(), Reason: access.Holding, Grant: grant.ID}
	info, err := c.client.Fetch(t.Context(), c.Store, first, hold, rulestest.A)
	require.NoError(t, err)
	require.Equal(t, poem, c.text(t, info))
	_, err = c.client.Fetch(t.Context(), c.Store, second, hold, rulestest.A)
	var refusal *exchange.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 403, refusal.Status, "the second is not in the first snapshot")

	n.Must(t, ann, "erasure:Request", first.Name())
	kept := func(why string) {
		for _, g := range []*gateway{a, b, c} {
			done, err := g.Destroy(t.Context(), g.service())
			require.NoError(t, err)
			require.Empty(t, done, why)
			held, err := g.Find(t.Context(), first.Name(), first.Commitment)
			require.NoError(t, err, why)
			require.Equal(t, poem, g.text(t, held))
		}
	}
	kept("claims on the first snapshot may have to be recomputed")
	n.Must(t, curator, "seal:Retire", seal.Retire{Datanet: n.pool, Contributions: []string{first.ID}})
	n.Clock = n.Clock.Add(erasure.Term - time.Second)
	kept("for all of the term")
	n.Clock = n.Clock.Add(time.Second)
	for _, g := range []*gateway{a, b, c} {
		done, err := g.Destroy(t.Context(), g.service())
		require.NoError(t, err)
		require.Equal(t, []contribution.Named{first.Name()}, done, g.msp)
		_, err = g.Find(t.Context(), first.Name(), first.Commitment)
		require.ErrorIs(t, err, content.ErrErased)
		done, err = g.Destroy(t.Context(), g.service())
		require.NoError(t, err)
		require.Empty(t, done, "acknowledged once")
	}
	n.Must(t, ann, "erasure:Complete", first.Name())
	_, err = c.client.Fetch(t.Context(), c.Store, first, hold, rulestest.A)
	require.ErrorIs(t, err, content.ErrErased)
	_, err = b.Find(t.Context(), second.Name(), second.Commitment)
	require.NoError(t, err)
}

func TestWhatNoSnapshotHeldIsErasedAtOnceAndWhatIsSealedOnceItIsRetired(t *testing.T) {
	n := start(t)
	pending := n.submit(t, poem)
	b := n.gateways[rulestest.B]
	destroyed := func() []contribution.Named {
		done, err := b.Destroy(t.Context(), b.service())
		require.NoError(t, err)
		return done
	}
	n.Must(t, ann, "erasure:Request", pending.Name())
	require.Equal(t, []contribution.Named{pending.Name()}, destroyed())
	sealed := n.submit(t, poem+"Another line that nobody has written before this one\n")
	n.seal(t, sealed, 1)
	n.Must(t, ann, "erasure:Request", sealed.Name())
	require.Empty(t, destroyed(), "the next snapshot may take it")
	n.Must(t, curator, "seal:Retire", seal.Retire{Datanet: n.pool, Contributions: []string{sealed.ID}})
	require.Equal(t, []contribution.Named{sealed.Name()}, destroyed())
}
