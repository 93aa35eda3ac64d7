// Package corpustest is a network of three members' gateways in memory, with contents, a model and its rate card, for
// the tests of what is computed from corpora.
package corpustest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// The people of the network.
var (
	Curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	Trainer = rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	Host    = rulestest.User(rulestest.C, "host1", ledger.Host)
	Ann     = rulestest.User(rulestest.B, "ann", ledger.Contributor)
	Bob     = rulestest.User(rulestest.C, "bob", ledger.Contributor)
)

// Network is three members, A, B and C, with a datanet of A that all validate.
type Network struct {
	Consortium *rulestest.Consortium
	Index      *index.Index
	Gateways   map[string]*Gateway
	Pool       string
	Epoch      contribution.Epoch
	Card       model.Card // once Publish was called

	t     *testing.T
	texts attribution.Corpus

	addresses map[string]string
	mu        sync.Mutex // the in-memory ledger is for one at a time
	sealed    int64
	taken     int
}

// Gateway is what a member's gateway stands on.
type Gateway struct {
	MSP    string
	DB     *database.DB
	Store  *content.Store
	Client *exchange.Client
	*query.Functions

	// Away makes the gateway answer to nobody.
	Away atomic.Bool

	network *Network
	mux     *http.ServeMux
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.Away.Load() {
		panic(http.ErrAbortHandler)
	}
	g.mux.ServeHTTP(w, r)
}

// mspHeader stands for the client certificate.
const mspHeader = "Test-Organisation"

type as struct{ msp string }

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(mspHeader, a.msp)
	return http.DefaultTransport.RoundTrip(r)
}

// Caller tells which member's gateway sent a request.
func Caller(r *http.Request) (msp string, ok bool) {
	msp = r.Header.Get(mspHeader)
	return msp, msp != ""
}

// Start founds the network.
func Start(t *testing.T) *Network {
	n := &Network{t: t, Gateways: map[string]*Gateway{}}
	chain := blocktest.New("datanet")
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	n.Index, err = index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, n.Index.Apply(t.Context(), chain.Blocks[0]))
	follow := func(b *memledger.Block) { require.NoError(t, n.Index.Apply(t.Context(), chain.Append(b))) }
	n.Consortium = rulestest.Watched(t, follow, rulestest.A, rulestest.B, rulestest.C)
	n.addresses = map[string]string{}
	for _, msp := range []string{rulestest.A, rulestest.B, rulestest.C} {
		g := n.gateway(msp)
		n.Gateways[msp] = g
		server := httptest.NewServer(g)
		t.Cleanup(server.Close)
		n.addresses[msp] = server.URL
	}
	for msp, g := range n.Gateways {
		g.Client = exchange.NewClient(as{msp}, n.addresses)
	}
	check, err := n.Gateways[rulestest.A].Store.DrawSecret(t.Context())
	require.NoError(t, err)
	c := n.Consortium
	c.OpenAll(t, Trainer, Host, Ann, Bob)
	c.SetSchedule(t)
	c.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: check})
	n.Epoch = contribution.Epoch{Epoch: 1, Check: check}
	n.Pool = rulestest.A + "/verse"
	n.Must(Curator, "datanet:Create", datanet.Create{Name: n.Pool, Content: rulestest.Verse(c.Members()...)})
	return n
}

func (n *Network) gateway(msp string) *Gateway {
	t := n.t
	g := &Gateway{MSP: msp, network: n, mux: http.NewServeMux(), Functions: query.New(n.Index, "datanet", msp)}
	folder := t.TempDir()
	keys, err := content.CreateMasterKeys(filepath.Join(folder, "master.keys"))
	require.NoError(t, err)
	g.DB, err = database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.DB.Close()) })
	bucket, err := content.OpenBucket(t.Context(), "file://"+filepath.Join(folder, "objects"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	g.Store, err = content.New(t.Context(), g.DB, bucket, keys, content.Options{})
	require.NoError(t, err)
	handler, err := exchange.Handler(t.Context(), g.DB, g.Store, g.Exchange(), Caller, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	g.mux.Handle("/v1/exchange/", handler)
	return g
}

// Handle adds a route to the gateway.
func (g *Gateway) Handle(pattern string, handler http.Handler) { g.mux.Handle(pattern, handler) }

// Transport is how the gateway reaches others.
func (g *Gateway) Transport() http.RoundTripper { return as{g.MSP} }

// Exchange is the ledger as the gateway's exchange uses it.
func (g *Gateway) Exchange() exchange.Service {
	return exchange.Service{MSP: g.MSP, Functions: g, Now: g.network.Now}
}

// Account is the gateway's own.
func (g *Gateway) Account() ledger.Account { return g.user().Account() }

func (g *Gateway) user() ledger.Caller {
	return rulestest.User(g.MSP, "gateway", ledger.Operator, ledger.Host, ledger.Validator)
}

// Submit calls a function as the gateway.
func (g *Gateway) Submit(_ context.Context, function string, request any) ([]byte, error) {
	return g.network.Try(g.user(), function, request)
}

// Try calls a function.
func (n *Network) Try(user ledger.Caller, function string, request any) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer, fault := n.Consortium.Try(n.t, user, function, request)
	if fault != nil {
		return nil, fault
	}
	return answer, nil
}

// Must calls a function that has to succeed.
func (n *Network) Must(user ledger.Caller, function string, request any) []byte {
	n.t.Helper()
	answer, err := n.Try(user, function, request)
	require.NoError(n.t, err, "%s by %s", function, user.Account())
	return answer
}

// ID is a random id.
func ID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Upload has a contributor's gateway take a text, which is one record, and registers it.
func (n *Network) Upload(by ledger.Caller, text string) contribution.Contribution {
	n.t.Helper()
	return n.UploadAs(by, ID(), text)
}

// Begin makes another datanet that is uploaded to from now on.
func (n *Network) Begin(datanetName string) {
	n.t.Helper()
	n.Must(Curator, "datanet:Create", datanet.Create{Name: datanetName, Content: rulestest.Verse(n.Consortium.Members()...)})
	n.Pool, n.sealed, n.taken = datanetName, 0, 0
}

// UploadAs is Upload under a contribution's id.
func (n *Network) UploadAs(by ledger.Caller, contributionID, text string) contribution.Contribution {
	t := n.t
	t.Helper()
	g := n.Gateways[by.MSP]
	require.NoError(t, g.Client.FetchSecret(t.Context(), g.Store, n.Epoch, rulestest.A))
	id := ID()
	_, err := g.Store.Begin(t.Context(), by.Account(), content.Upload{ID: id, Files: []content.File{{Name: "a.txt", Bytes: int64(len(text))}}})
	require.NoError(t, err)
	_, err = g.Store.Append(t.Context(), by.Account(), id, 0, strings.NewReader(text))
	require.NoError(t, err)
	p, err := g.Store.Finish(t.Context(), by.Account(), id, content.Descriptor{Author: "somebody"}, n.Epoch)
	require.NoError(t, err)
	name := contribution.Named{Datanet: n.Pool, ID: contributionID}
	require.NoError(t, g.Store.Assign(t.Context(), by.Account(), id, name))
	var c contribution.Contribution
	answer := n.Must(by, "contribution:Submit", contribution.Submit{Datanet: name.Datanet, ID: name.ID,
		Content: p.Content(contribution.Provenance{Method: "authored", FromYear: 2020, ToYear: 2021, Languages: []string{"en"}}, nil)})
	require.NoError(t, ledger.DecodeAnswer(answer, &c))
	n.texts = append(n.texts, attribution.Contribution{ID: c.ID, Account: string(c.Contributor), Records: [][]byte{[]byte(text)}})
	return c
}

// Approve has contributions approved and sealed, in the given order, and takes the next snapshot.
func (n *Network) Approve(list ...contribution.Contribution) snapshot.Named {
	n.t.Helper()
	for _, c := range list {
		for _, msp := range c.Eligible {
			n.Must(rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: c.Name(), Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
		}
		n.Must(Curator, "approval:Finalise", c.Name())
		n.Must(Curator, "seal:Append", seal.Append{Datanet: n.Pool, From: n.sealed, Contributions: []string{c.ID}})
		n.sealed++
	}
	n.taken++
	taken := snapshot.Named{Datanet: n.Pool, Number: n.taken}
	n.Must(Curator, "snapshot:Take", taken)
	return taken
}

// Publish has A train a model on a snapshot and C host it, at 1,000 micro-credits for each token in and 5,000 for each out.
func (n *Network) Publish(on snapshot.Named, artifact string, tokens int64) model.Card {
	n.t.Helper()
	open := ticket.Open{ID: ID(), Snapshots: []snapshot.Named{on}, Purpose: licence.CommercialService}
	n.Must(Trainer, "ticket:Open", open)
	trained := model.Register{Named: model.Named{Name: rulestest.A + "/verse", Version: fmt.Sprint(on.Number)}, Tickets: []string{open.ID}, Bases: []model.Named{},
		Artifacts: []string{artifact}, Manifest: rulestest.Hash, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: tokens, Distinct: 1, Digest: rulestest.Hash}}
	n.Must(Trainer, "model:Register", trained)
	publish := model.Publish{Named: trained.Named, Card: 1, PriceIn: 1_000_000, PriceOut: 5_000_000, Host: Host.Account(), HostPpm: 100_000, OwnerPpm: 150_000}
	n.Card = model.Card{} // what was returned before keeps its lists
	require.NoError(n.t, ledger.DecodeAnswer(n.Must(Trainer, "model:Publish", publish), &n.Card))
	n.Must(Host, "model:Accept", model.CardName{Named: trained.Named, Card: 1})
	return n.Card
}
