package serving_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	ledgerindex "github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

var corpus = attribution.Corpus{
	{ID: "1", Account: rulestest.B + ":ann", Records: [][]byte{[]byte("We few, we happy few, we band of brothers; for he today that sheds his blood with me shall be my brother"),
		[]byte("The quality of mercy is not strained; it droppeth as the gentle rain from heaven upon the place beneath")}},
	{ID: "2", Account: rulestest.C + ":bob", Records: [][]byte{[]byte("Shall I compare thee to a summer's day? Thou art more lovely and more temperate")}},
}

var roots = []merkle.Hash{{1, 2, 3}}

// keys keeps keys in memory.
type keys struct {
	mu   sync.Mutex
	keys map[string][32]byte
}

func (k *keys) DrawKey(_ context.Context, purpose content.Purpose, name string) ([32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.keys[name]; !ok {
		var key [32]byte
		rand.Read(key[:])
		k.keys[name] = key
	}
	return k.keys[name], nil
}

func (k *keys) Key(_ context.Context, _ content.Purpose, name string) ([32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.keys[name]; ok {
		return key, nil
	}
	return [32]byte{}, content.ErrNoKey
}

func (k *keys) DestroyKey(_ context.Context, _ content.Purpose, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, name)
	return nil
}

// safeBuffer is a log that can be read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// house is a host before a ledger in memory.
type house struct {
	t      testing.TB
	market *rulestest.Market
	index  *ledgerindex.Index
	view   *index.View
	keys   *keys
	medium journal.Medium
	db     *database.DB
	limits meter.Limits
	change func(*serving.Options)
	logs   *safeBuffer

	ledger sync.Mutex // the market is for one at a time

	mu    sync.Mutex
	clock time.Time
	stale chan struct{}
	roots []merkle.Hash

	meter  *meter.Meter
	host   *serving.Host
	server *httptest.Server
	stop   func()
}

func newHouse(t testing.TB, change func(*serving.Options), asks ...func(*datanet.Content)) *house {
	t.Helper()
	h := &house{t: t, keys: &keys{keys: map[string][32]byte{}}, medium: &journaltest.Memory{}, change: change, stale: make(chan struct{}), roots: roots,
		limits: meter.Limits{Exposure: 1 << 40, Unsettled: 1000}, logs: new(safeBuffer)}
	open := func(name string) *database.DB {
		db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), name)))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
	h.db = open("receipts.db")
	var err error
	h.index, err = ledgerindex.Open(t.Context(), open("index.db"), "datanet")
	require.NoError(t, err)
	chain := blocktest.New("datanet")
	apply := func(b *memledger.Block) {
		if err := h.index.Apply(context.Background(), chain.Append(b)); err != nil {
			t.Errorf("index a block: %v", err)
		}
	}
	for _, b := range chain.Blocks {
		require.NoError(t, h.index.Apply(t.Context(), b))
	}
	h.market = rulestest.MarketOn(t, rulestest.Watched(t, apply, rulestest.A, rulestest.B, rulestest.C), asks...)
	h.clock = h.market.Clock
	h.view, err = index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	h.start()
	t.Cleanup(func() {
		h.stop()
		if t.Failed() {
			t.Log(h.logs.String())
		}
	})
	return h
}

// Evaluate runs a query.
func (h *house) Evaluate(_ context.Context, function string, request any) ([]byte, error) {
	document, err := ledger.Encode(request)
	if err != nil {
		return nil, err
	}
	h.ledger.Lock()
	defer h.ledger.Unlock()
	return h.market.Evaluate(memledger.Proposal{Caller: rulestest.User(rulestest.C, "gateway", ledger.Operator), Function: function, Document: document}, "")
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) open(context.Context, model.Card) (*serving.Corpus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &serving.Corpus{View: h.view, Roots: h.roots, Stale: h.stale, Close: func() error { return nil }}, nil
}

// start starts the host on what is there.
func (h *house) start() {
	t := h.t
	var err error
	h.meter, err = meter.Open(h.medium, h.limits)
	require.NoError(t, err)
	options := serving.Options{Organisation: rulestest.C, Channel: "datanet", Index: h.index, Ledger: h, Meter: h.meter, Keys: h.keys, Receipts: h.db,
		Hosts: func(a ledger.Account) (bool, error) { return a == h.market.Host.Account(), nil },
		Open:  h.open,
		Artifact: func(_ context.Context, _ model.Model, digest string) ([]byte, error) {
			if digest != rulestest.Hash {
				return nil, fs.ErrNotExist
			}
			return []byte(`{"format":"infgram/1","interpolation":{"discount":0,"escape":10},"maxContext":3,"corpus":{}}`), nil
		},
		Abreast: 8, Tokens: 100, Timeout: time.Minute, BodyTimeout: time.Minute, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(h.logs, nil)), Now: h.now}
	if h.change != nil {
		h.change(&options)
	}
	h.host, err = serving.New(t.Context(), options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { h.host.Run(ctx); close(ended) }()
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.host.Answer(w, r, r.Header.Get("X-Member") != "")
	}))
	h.stop = func() {
		h.server.Close()
		cancel()
		<-ended
	}
}

// must calls a function of the ledger.
func (h *house) must(by ledger.Caller, function string, request any) []byte {
	h.t.Helper()
	h.ledger.Lock()
	defer h.ledger.Unlock()
	return h.market.Must(h.t, by, function, request)
}

// restart starts the host anew, as after a crash of the process.
func (h *house) restart() {
	h.stop()
	h.start()
}

// payer is a consumer with a session and a wallet.
type payer struct {
	house   *house
	session ledgersession.Session
	key     ed25519.PrivateKey
	wallet  *wallet.Wallet
	subject evidence.Subject
	bodies  map[uint64][]byte
	by      ledger.Caller
}

func (h *house) payer(escrow uint64, change func(*ledgersession.Terms)) *payer {
	t := h.t
	h.ledger.Lock()
	defer h.ledger.Unlock()
	by := h.market.Consumer(t, rulestest.B, 1<<40)
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	name := h.market.ID()
	terms := h.market.Terms(name, 0)
	terms.Escrow, terms.Key = money.Amount(escrow), use.Key{Algorithm: use.Ed25519, Public: key.Public().(ed25519.PublicKey)}
	if change != nil {
		change(&terms)
	}
	p := &payer{house: h, key: key, by: by, bodies: map[uint64][]byte{}, subject: evidence.Subject{Model: h.market.Card.Named.String(), Artifacts: []merkle.Hash{digest(t, rulestest.Hash)}}}
	require.NoError(t, ledger.DecodeAnswer(h.market.Must(t, by, "session:Open", ledgersession.Open{Name: name, Terms: terms}), &p.session))
	p.wallet, err = wallet.Open(&journaltest.Memory{})
	require.NoError(t, err)
	signed, err := p.session.Signed()
	require.NoError(t, err)
	sid, err := p.wallet.Track("datanet", signed, wallet.Prices{In: uint64(h.market.Card.PriceIn), Out: uint64(h.market.Card.PriceOut)})
	require.NoError(t, err)
	require.Equal(t, p.session.ID, sid)
	require.NoError(t, p.wallet.SetBudget("key", wallet.Budget{Total: 1 << 50, Request: 1 << 50}))
	return p
}

func digest(t require.TestingT, text string) (d merkle.Hash) {
	_, err := hex.Decode(d[:], []byte(text))
	require.NoError(t, err)
	return d
}

// ask signs a request.
func (p *payer) ask(body string, cap uint64) openai.Ask {
	a, err := p.wallet.Ask(p.house.now(), p.session.ID, "key", cap, sha256.Sum256([]byte(body)), p.key)
	require.NoError(p.house.t, err)
	p.bodies[a.Request.Number] = []byte(body)
	return openai.Ask(a)
}

// said is what came back.
type said struct {
	status int
	header http.Header
	text   string
	finish string
	usage  openai.Usage
	paid   *openai.Datanet
	fault  *openai.Error
	raw    string
}

func (h *house) send(ctx context.Context, path, body string, headers ...string) (said, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.server.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return said{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return said{}, err
	}
	defer response.Body.Close()
	s := said{status: response.StatusCode, header: response.Header}
	kind, err := openai.KindOf(path)
	if err != nil {
		return s, err
	}
	if response.Header.Get("Content-Type") == openai.StreamType {
		reader := openai.NewReader(kind, response.Body)
		for {
			e, err := reader.Next()
			if err == io.EOF {
				return s, nil
			}
			if errors.As(err, &s.fault) {
				return s, nil
			}
			if err != nil {
				return s, err
			}
			s.text += e.Text
			if e.Finish != "" {
				s.finish = e.Finish
			}
			if e.Usage != nil {
				s.usage, s.paid = *e.Usage, e.Datanet
			}
		}
	}
	all, err := io.ReadAll(response.Body)
	if err != nil {
		return s, err
	}
	s.raw = string(all)
	if response.StatusCode != http.StatusOK {
		s.fault = openai.ReadError(response.StatusCode, all)
		return s, nil
	}
	a, err := openai.ReadAnswer(kind, all)
	if err != nil {
		return s, err
	}
	s.text, s.finish, s.usage, s.paid = a.Text, a.Finish, a.Usage, a.Datanet
	return s, nil
}

// post sends a signed request.
func (p *payer) post(a openai.Ask, path, body string) said {
	t := p.house.t
	t.Helper()
	header, err := a.Encode()
	require.NoError(t, err)
	var s said
	ready := func() bool { // the corpus may not be open yet, nor the artifact there
		s, err = p.house.send(t.Context(), path, body, openai.VoucherHeader, header)
		return err != nil || s.fault == nil || s.fault.Code != openai.CodeUpstream ||
			!strings.Contains(s.fault.Message, "being prepared") && !strings.Contains(s.fault.Message, "not here")
	}
	if !ready() {
		soon(t, ready)
	}
	require.NoError(t, err)
	return s
}

// take checks an answer and accepts it.
func (p *payer) take(path, text string, d *openai.Datanet) error {
	leaf, a, err := d.Paid()
	if err != nil {
		return err
	}
	check := wallet.CheckFunc(func(r use.Request, leaf use.Leaf, _ []byte) error {
		body := p.bodies[r.Number]
		if sha256.Sum256(body) != r.Body {
			return fmt.Errorf("the body of request %d is not at hand", r.Number)
		}
		e := evidence.Evidence{Receipt: d.Receipt, Path: path, Body: body, Output: []byte(text), Nonces: d.Nonces()}
		return e.Check(leaf, p.subject)
	})
	return p.wallet.Accept(wallet.Answer{Place: d.Place, Leaf: leaf, Ask: wallet.Ask(a)}, check)
}

// soon waits until something holds.
func soon(t testing.TB, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, time.Minute, 2*time.Millisecond)
}

func digestOf(t testing.TB) merkle.Hash { return digest(t, rulestest.Hash) }
