// Package settling brings what consumers have signed for to the ledger, and sees to it that what is held there is paid.
//
// Life of a settlement, in the gateway of a host: the meter chooses sessions that owe enough, for long enough, or that have
// expired, and keeps the choice on disk under an id. The evidence of their uses goes to the archive, where attestors find
// it. The outbox sends claim:Settle as the host under that id. Only when the outcome is known does the meter move on:
//
//	meter.Settle ──► archive ──► outbox: claim:Settle ──► committed ──► meter.Settled
//	                                                 └──► refused ────► meter.Refused: due again under a new id
//
// A gateway that ends between any two of these goes on with the same id, and archive, outbox and ledger take a repetition
// for what it is. So a settlement happens once.
//
// One session that the ledger refuses, as one that has been ended meanwhile, makes a whole settlement fail: it is left out
// for a while, and the others are settled without it.
//
// What any member's gateway may do is done here too: pages of a claim's pay-out table are paid once a quorum has agreed on
// it, and what consumers of the own organisation have left in a session comes back after expiry and grace.
package settling

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// Meter is the host's meter; [*meter.Meter] is one.
type Meter interface {
	Settle(now time.Time, id string, policy meter.Policy) (*meter.Settlement, error)
	Pending() []meter.Settlement
	Settled(id string) error
	Refused(id string) error
	End(session merkle.Hash) error
}

// Archive keeps the evidence of uses for attestors. It returns once what the settlement takes out of the meter is on disk.
// The same settlement comes again after a failure, and comes before the ledger has it: it may still be refused.
type Archive interface {
	Archive(ctx context.Context, s meter.Settlement) error
}

// Outbox brings a host's write to the ledger once; [*outbox.Outbox] is one.
type Outbox interface {
	Submit(ctx context.Context, r outbox.Request) (outbox.Entry, error)
}

// Functions calls the ledger as the gateway itself. A refusal is a [*ledger.Fault]. What is submitted here may be repeated.
type Functions interface {
	Evaluate(ctx context.Context, function string, request any) (answer []byte, err error)
	Submit(ctx context.Context, function string, request any) (answer []byte, err error)
}

// Index lists what is on the ledger; [*index.Index] is one.
type Index interface {
	Entries(ctx context.Context, f index.Filter, page ledger.PageRequest) (ledger.Page[index.Entry], error)
}

// ErrNoPage says that a gateway does not know a page.
var ErrNoPage = errors.New("this gateway does not know the page")

// Pages knows pages of pay-out tables by their digests: a host's or an attestor's gateway, which has worked them out. The
// error is [ErrNoPage] for one that it does not know.
type Pages interface {
	Page(ctx context.Context, of claim.Claim, digest merkle.Hash) (payout.Page, error)
}

// Options are what a worker works with.
type Options struct {
	Organisation string // the gateway's, by its MSP ID
	// Meter, Archive and Outbox are nil together in a gateway that hosts nothing.
	Meter     Meter
	Archive   Archive
	Outbox    Outbox
	Functions Functions
	Index     Index
	Pages     Pages // nil: none are known
	// Amount and Age say when a session is settled: when it owes so many micro-credits, or its oldest use is so old.
	Amount uint64
	Age    time.Duration
	// Every is how often is looked for what is due; Refund how often for sessions of the own consumers that are over.
	Every, Refund time.Duration
	// Courtesy is how long pages of other hosts' claims are left to those hosts.
	Courtesy time.Duration
	Log      *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
}

const (
	// abreast is how many settlements are on their way at a time.
	abreast = 4
	// aside is how long a session is left out after the ledger has refused it for the first time; each further time is
	// twice as long, up to longestAside.
	aside        = 30 * time.Second
	longestAside = time.Hour
	// patience bounds the wait for one outcome. The outbox goes on when it is over.
	patience = 2 * time.Minute
)

// Worker settles, releases and refunds.
type Worker struct {
	Options
	turn    chan struct{}    // holds one: whoever takes it settles
	changed chan struct{}    // holds one when claims may be released
	fail    func(step) error // tests crash here

	mutex sync.Mutex
	left  map[merkle.Hash]delay // sessions that are left out
	seen  map[claim.Named]time.Time
}

type delay struct {
	until time.Time
	last  time.Duration
}

// step is a place between two steps of a settlement.
type step string

const (
	afterChoosing  step = "after-choosing"
	afterArchiving step = "after-archiving"
	afterOutcome   step = "after-outcome"
)

// New makes a worker, which does nothing before [Worker.Run].
func New(o Options) *Worker {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Worker{Options: o, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), fail: func(step) error { return nil },
		left: map[merkle.Hash]delay{}, seen: map[claim.Named]time.Time{}}
	w.turn <- struct{}{}
	return w
}

// Changed tells that somebody has voted, decided or released.
func (w *Worker) Changed() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run works until the context ends. Failures are logged, and what failed is done again.
func (w *Worker) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	if w.Meter != nil {
		running.Go(func() {
			w.repeat(ctx, w.Every, nil, "settle", func(ctx context.Context) error {
				_, err := w.settle(ctx, w.policy())
				return err
			})
		})
	}
	if w.Pages != nil {
		running.Go(func() { w.repeat(ctx, w.Every, w.changed, "release claims", w.release) })
	}
	running.Go(func() { w.repeat(ctx, w.Refund, nil, "refund sessions", w.refund) })
}

func (w *Worker) repeat(ctx context.Context, every time.Duration, early <-chan struct{}, what string, do func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error(what+" failed and is done again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-early:
		case <-ctx.Done():
			return
		}
	}
}

// policy is the standing one.
func (w *Worker) policy() meter.Policy {
	return meter.Policy{Amount: w.Amount, Age: w.Age, Sessions: claim.MaxSessions, Funds: session.MaxFunds, Except: w.excepted}
}

// excepted tells whether a session is left out for now.
func (w *Worker) excepted(sid merkle.Hash) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	d, known := w.left[sid]
	return known && w.Now().Before(d.until)
}

// leaveOut leaves a session out for longer than the last time.
func (w *Worker) leaveOut(sid merkle.Hash) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := min(max(2*w.left[sid].last, aside), longestAside)
	w.left[sid] = delay{w.Now().Add(last), last}
}

func (w *Worker) takeBack(sid merkle.Hash) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.left, sid)
}

func query[Res any](ctx context.Context, f Functions, function string, request any) (response Res, err error) {
	answer, err := f.Evaluate(ctx, function, request)
	if err != nil {
		return response, err
	}
	return response, ledger.DecodeAnswer(answer, &response)
}
