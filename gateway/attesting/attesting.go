// Package attesting recomputes what hosts claim of paid uses, and votes for its organisation (docs/usage.md, section 5).
//
//	claim open ──► leaves of every session, from those on that were verified before: roots, numbers, sums, fees
//	                 ──► receipts of all uses; of those that are drawn also texts, units, and the receipt again
//	                      ──► pay-out table ──► claim:Attest ──(snapshot revised)──► again
//	                      └──► the first difference ──► claim:Object, with the digest of a report
//
// Life of a sample: a secret is drawn and its commitment registered ahead of need. Claims that are settled after it, and
// before the next one, are drawn with it. As soon as a vote names it the next is registered; when all claims that it drew
// are paid it is revealed, and used no more. Claims older than the first secret are recomputed whole.
//
// A use whose session discloses no text, and one whose receipt names an earlier revision of a snapshot, counts as coverage
// 0. What the host's gateway refuses, leaves out or answers out of form for longer than [Options.Patience] is withheld; a
// gateway that cannot be reached is asked again. While a contribution is erased and its snapshot not yet revised, claims
// wait.
package attesting

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Tables are those whose rows a backup of the gateway keeps.
var Tables = []string{"attesting_claims", "attesting_pages"}

// Prepare makes the tables ready, also for the rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "attesting")
}

// Engine is the way in which receipts are computed again.
type Engine string

const (
	Streaming Engine = "streaming" // by passing over the corpus, which shares little with what hosts use
	Indexed   Engine = "indexed"   // by an index of one's own
)

// Host gives what a host's gateway has archived; [*archive.Client] does.
type Host interface {
	About(ctx context.Context, n claim.Named) (archive.About, error)
	Leaves(ctx context.Context, n claim.Named, from ...archive.Place) (io.ReadCloser, error)
	Receipts(ctx context.Context, n claim.Named, of []archive.Place, each func(i int, receipt []byte) error) error
	Texts(ctx context.Context, n claim.Named, rate int, of []archive.Place, each func(i int, encoded []byte) error) error
}

// Corpora gives corpora; [*corpus.Library] does.
type Corpora interface {
	Open(ctx context.Context, snapshots []snapshot.Named, right corpus.Right) (*corpus.Corpus, error)
	Stream(ctx context.Context, snapshots []snapshot.Named, right corpus.Right) (*corpus.Corpus, error)
}

// Index lists what is on the ledger and finds transactions; [*index.Index] does.
type Index interface {
	Entries(ctx context.Context, f index.Filter, page ledger.PageRequest) (ledger.Page[index.Entry], error)
	Transaction(ctx context.Context, id string) (index.Transaction, error)
}

// Secrets keeps sampling secrets; [*content.Store] does.
type Secrets interface {
	DrawKey(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	Key(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	DestroyKey(ctx context.Context, purpose content.Purpose, name string) error
}

// Options are what a worker works with.
type Options struct {
	Organisation string // the gateway's, by its MSP ID
	// Recipient is the account to which contents are released for attestation.
	Recipient ledger.Account
	// Rate is how many of a million uses are recomputed; all of them need no secret.
	Rate   int
	Engine Engine
	// Patience is how long after a settlement what its host does not show counts as not there yet.
	Patience time.Duration
	// Every is how often is looked for what is to be done, beside what the index tells.
	Every   time.Duration
	Host    Host
	Corpora Corpora
	Ledger  query.Evaluator
	Index   Index
	Secrets Secrets
	DB      *database.DB
	// Submit sends a function as a validator of the organisation, and returns when it is committed. A refusal is a
	// [*ledger.Fault]. Nil: the worker examines and does not vote.
	Submit func(ctx context.Context, function string, request any) ([]byte, error)
	Log    *slog.Logger
	Now    func() time.Time // nil: the system's clock
}

// Worker attests for one organisation.
type Worker struct {
	Options
	turn    chan struct{} // holds one: whoever takes it examines, since an examination may take much memory
	changed chan struct{} // holds one when there may be something to do

	mu    sync.Mutex
	later map[claim.Named]delay // claims that are left alone for a while
}

type delay struct {
	until time.Time
	last  time.Duration
}

const (
	// aside is how long a claim is left alone after an examination has failed for the first time; each further time is
	// twice as long, up to longestAside.
	aside        = 2 * time.Second
	longestAside = 10 * time.Minute
)

// Open opens a worker, which does nothing by itself before [Worker.Run].
func Open(ctx context.Context, o Options) (*Worker, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rate < 1 || o.Rate > use.All {
		return nil, fmt.Errorf("attest: a rate is from 1 to %d", use.All)
	}
	if err := Prepare(ctx, o.DB); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	w := &Worker{Options: o, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), later: map[claim.Named]delay{}}
	w.turn <- struct{}{}
	return w, nil
}

// Changed tells that claims, votes or snapshots have changed.
func (w *Worker) Changed() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run works until the context ends. Failures are logged, and what failed is done again.
func (w *Worker) Run(ctx context.Context) {
	if w.Submit == nil {
		return
	}
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		if err := w.Work(ctx); err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "attestation failed and is done again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}

// Work does once all that is to be done: secrets, votes, objections.
func (w *Worker) Work(ctx context.Context) error {
	claims, err := w.open(ctx)
	if err != nil {
		return err
	}
	faults := []error{w.renewSecrets(ctx, claims)}
	for _, c := range claims {
		if c.State != claim.Open || w.waits(c.Named) {
			continue
		}
		err := w.attest(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.note(c.Named, err)
		if err != nil {
			faults = append(faults, fmt.Errorf("settlement %s of %s: %w", c.ID, c.Host, err))
		}
	}
	return errors.Join(append(faults, w.forget(ctx), w.forgetSessions(ctx))...)
}

// waits tells whether a claim is left alone for now.
func (w *Worker) waits(n claim.Named) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, known := w.later[n]
	return known && w.Now().Before(d.until)
}

func (w *Worker) note(n claim.Named, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		delete(w.later, n)
		return
	}
	last := min(max(2*w.later[n].last, aside), longestAside)
	w.later[n] = delay{w.Now().Add(last), last}
}

// open are the claims that are not paid yet and that the organisation is an attestor of, the oldest first.
func (w *Worker) open(ctx context.Context) (list []claim.Claim, err error) {
	for _, state := range []claim.State{claim.Open, claim.Frozen, claim.Decided, claim.Releasing} {
		err := each(ctx, w.Index, index.Filter{Kind: "claim", State: string(state)}, func(c claim.Claim) error {
			if c.Data > 0 && slices.Contains(c.Attestors, w.Organisation) {
				list = append(list, c)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list claims: %w", err)
		}
	}
	return list, nil
}

// each decodes what a list of the index has.
func each[T any](ctx context.Context, from Index, f index.Filter, do func(T) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		got, err := from.Entries(ctx, f, page)
		if err != nil {
			return err
		}
		for _, entry := range got.Items {
			var item T
			if err := ledger.DecodeAnswer(entry.Value, &item); err != nil {
				return err
			}
			if err := do(item); err != nil {
				return err
			}
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			return nil
		}
	}
}
