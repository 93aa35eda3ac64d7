// Package serving is the host's gateway: it answers paid requests for models, with a receipt for each answer.
//
// Life of a use, from the host's side:
//
//	ledger ──index──► session, top-ups ──► meter          model, rate card ──► runner; corpus of its lineage ──► engine
//	request + voucher ──meter.Admit──► runner: parts of the text, within the cap ──► the client, as they come
//	      the whole text ──engine──► receipt, nonces ──sealed evidence──► meter.Commit ──► the last event leaves
//	      the receipt ──► the store of receipts, for good
//
// What a request's voucher does not allow is refused before anything is run. What a runner fails at has no leaf and costs
// nothing. A stream that its client breaks off is committed as far as it was written; an answer that is no stream is
// finished all the same, and waits for the same request to come again.
//
// A model is served when this gateway keeps the key of its rate card's host: by the built-in model when its artifact is
// one, else by the servers that the configuration names. Receipts are made over the corpus of its lineage in the latest
// revisions of its snapshots; while it is being built or changed, requests are asked to come again.
package serving

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	ledgerindex "github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter"
)

// Ledger runs the ledger's query functions.
type Ledger interface {
	Evaluate(ctx context.Context, function string, request any) (answer []byte, err error)
}

// Corpus is the corpus of a lineage as it stands.
type Corpus struct {
	View  *index.View
	Roots []merkle.Hash   // of the latest revisions of its snapshots
	Stale <-chan struct{} // closed when it is to be closed and opened again
	Close func() error    // once nobody uses the view any more
}

// Keys keeps the keys that seal evidence; [*content.Store] does.
type Keys interface {
	DrawKey(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	Key(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	DestroyKey(ctx context.Context, purpose content.Purpose, name string) error
}

// Options are what a host works with.
type Options struct {
	Organisation string // the gateway's, by its MSP ID
	Channel      string
	Index        *ledgerindex.Index
	Ledger       Ledger
	Meter        *meter.Meter
	Keys         Keys
	// Receipts is the database of receipts, apart from all others for its size.
	Receipts *database.DB
	// Hosts tells whether this gateway keeps the key of an account of its organisation.
	Hosts func(ledger.Account) (bool, error)
	// Open opens the corpus of a rate card's lineage, and builds it first when it must be.
	Open func(ctx context.Context, card model.Card) (*Corpus, error)
	// Artifact gives the content of a registered artifact that is at hand and no larger than [MaxArtifact]; its error is
	// fs.ErrNotExist when it is not.
	Artifact func(ctx context.Context, m model.Model, digest string) ([]byte, error)
	// Upstreams are the servers behind models, by name@version.
	Upstreams map[string]Upstream
	// Abreast is how many requests for one model are answered at a time, Tokens the most of an answer's.
	Abreast int
	Tokens  uint64
	// Timeout bounds the making of an answer, BodyTimeout the sending of a request's body.
	Timeout, BodyTimeout time.Duration
	Metrics              prometheus.Registerer
	Log                  *slog.Logger
	Now                  func() time.Time // nil: time.Now
}

const (
	// sessionPatience is how long a request waits for its session to come out of the index; sessionWaiters bounds how many
	// wait, since anyone can name a session that does not exist.
	sessionPatience = 5 * time.Second
	sessionWaiters  = 256
	// writeStall is how long a client may take for a part of an answer.
	writeStall = 30 * time.Second
)

// Host answers for the models of one gateway. It is safe for concurrent use.
type Host struct {
	Options
	receipts *receipts
	stopping chan struct{} // closed when the context of Run has ended
	metrics  *metrics
	client   *http.Client // to upstreams

	mutex    sync.RWMutex
	models   map[string]*served    // that are served here, by name@version
	offers   map[string]model.Card // those in force, by name@version
	sessions map[merkle.Hash]*session
	names    map[ledgersession.Named]*session
	lost     map[merkle.Hash]bool // sessions of which uses are settled that the meter knows nothing of
	appeared chan struct{}        // closed when a session appears, or turns out to be lost
	waiting  int
}

// New makes a host, which knows no model and no session before [Host.Run].
func New(ctx context.Context, o Options) (_ *Host, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{Options: o, models: map[string]*served{}, offers: map[string]model.Card{}, sessions: map[merkle.Hash]*session{},
		names: map[ledgersession.Named]*session{}, lost: map[merkle.Hash]bool{}, appeared: make(chan struct{}),
		client: newUpstreamClient(), stopping: make(chan struct{})}
	if h.receipts, err = openReceipts(ctx, o.Receipts, o.Log); err != nil {
		return nil, fmt.Errorf("open the host: %w", err)
	}
	if h.metrics, err = newMetrics(o.Metrics, h); err != nil {
		return nil, fmt.Errorf("open the host: %w", err)
	}
	return h, nil
}

// Run follows the ledger, looks after upstreams and corpora, and stores receipts, until the context ends.
func (h *Host) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	defer context.AfterFunc(ctx, func() { close(h.stopping) })()
	work.Go(func() { h.receipts.run(ctx) })
	work.Go(func() { h.tidy(ctx) })
	h.follow(ctx, &work)
}

// Flush returns once the receipts of all answers that were committed before are stored.
func (h *Host) Flush(ctx context.Context) error { return h.receipts.flush(ctx) }
