package serving

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/gateway/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Tables are those of the database of receipts whose rows a backup of the gateway keeps.
var Tables = []string{"receipts"}

// Prepare makes the tables of the database of receipts ready, also for the rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "serving")
}

// ErrNoReceipt says that this gateway has made no such receipt.
var ErrNoReceipt = errors.New("this gateway has no such receipt")

const (
	// receiptBatch is how many receipts one statement stores, receiptPause how long is waited for more of them.
	receiptBatch = 200
	receiptPause = 50 * time.Millisecond
	// maxUnstored is how many receipts may wait to be stored; then answers wait for the database.
	maxUnstored = 20_000
	// receiptRetry is the wait after the database failed.
	receiptRetry = time.Second
)

// receipts stores receipts in batches, behind the answers: those of paid answers lie in the meter's journal until they are
// settled, and a crash loses none of them. It is safe for concurrent use.
type receipts struct {
	db  *database.DB
	log *slog.Logger

	mu       sync.Mutex
	waiting  map[merkle.Hash][]byte
	queue    []merkle.Hash // those that wait, in order
	added    uint64        // ever
	stored   uint64        // the same
	progress chan struct{} // closed at the next change
	wake     chan struct{} // holds one when something waits
	first    bool          // whether those of former runs are added
	former   uint64        // added when they were
}

func openReceipts(ctx context.Context, db *database.DB, log *slog.Logger) (*receipts, error) {
	if err := Prepare(ctx, db); err != nil {
		return nil, err
	}
	return &receipts{db: db, log: log, waiting: map[merkle.Hash][]byte{}, progress: make(chan struct{}), wake: make(chan struct{}, 1)}, nil
}

// add keeps a receipt. It waits while too many are to be stored.
func (r *receipts) add(ctx context.Context, id merkle.Hash, receipt []byte) error {
	r.mu.Lock()
	for len(r.queue) >= maxUnstored {
		progress := r.progress
		r.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.mu.Lock()
	}
	if _, known := r.waiting[id]; !known {
		r.waiting[id] = receipt
		r.queue = append(r.queue, id)
		r.added++
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// ready says that the receipts of former runs are added.
func (r *receipts) ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first, r.former = true, r.added
	r.moved()
}

// moved tells whoever waits, with mu locked.
func (r *receipts) moved() {
	close(r.progress)
	r.progress = make(chan struct{})
}

// flush returns once all that were added before are stored, those of former runs too.
func (r *receipts) flush(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for goal := r.added; !r.first || r.stored < max(goal, r.former); {
		progress := r.progress
		r.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
		}
		r.mu.Lock()
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("store receipts: %w", err)
		}
	}
	return nil
}

// run stores what is added until the context ends, and then the rest.
func (r *receipts) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			r.drain(context.WithoutCancel(ctx))
			return
		}
		select {
		case <-time.After(receiptPause):
		case <-ctx.Done():
		}
		if err := r.drain(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("store receipts", "error", err)
			select {
			case <-time.After(receiptRetry):
			case <-ctx.Done():
			}
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}
}

// drain stores all that wait, one batch after the other.
func (r *receipts) drain(ctx context.Context) error {
	for {
		r.mu.Lock()
		batch := r.queue[:min(len(r.queue), receiptBatch)]
		values := make([][]byte, len(batch))
		for i, id := range batch {
			values[i] = r.waiting[id]
		}
		r.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		if err := r.store(ctx, batch, values); err != nil {
			return err
		}
		r.mu.Lock()
		for _, id := range batch {
			delete(r.waiting, id)
		}
		r.queue = r.queue[len(batch):]
		if len(r.queue) == 0 {
			r.queue = nil // so that the list does not grow at its end for ever
		}
		r.stored += uint64(len(batch))
		r.moved()
		r.mu.Unlock()
	}
}

func (r *receipts) store(ctx context.Context, ids []merkle.Hash, values [][]byte) error {
	now := time.Now().Unix()
	args := make([]any, 0, 3*len(ids))
	for i, id := range ids {
		args = append(args, id[:], values[i], now)
	}
	return r.db.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO receipts (id, receipt, stored) VALUES (?, ?, ?)`+strings.Repeat(", (?, ?, ?)", len(ids)-1)+
			` ON CONFLICT (id) DO NOTHING`, args...)
		return err
	})
}

// get finds a receipt, or [ErrNoReceipt].
func (r *receipts) get(ctx context.Context, id merkle.Hash) ([]byte, error) {
	r.mu.Lock()
	receipt, ok := r.waiting[id]
	r.mu.Unlock()
	if ok {
		return receipt, nil
	}
	err := r.db.QueryRowContext(ctx, `SELECT receipt FROM receipts WHERE id = ?`, id[:]).Scan(&receipt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoReceipt
	}
	if err != nil {
		return nil, fmt.Errorf("read a receipt: %w", err)
	}
	return receipt, nil
}

// has tells whether all of some receipts are stored, 1,000 at most.
func (r *receipts) has(ctx context.Context, ids []merkle.Hash) (bool, error) {
	args := make([]any, len(ids))
	for i := range ids {
		args[i] = ids[i][:]
	}
	var n int
	if err := r.db.QueryRowContext(ctx, `SELECT count(*) FROM receipts WHERE id IN (?`+strings.Repeat(", ?", len(ids)-1)+`)`, args...).Scan(&n); err != nil {
		return false, fmt.Errorf("look for receipts: %w", err)
	}
	return n == len(ids), nil
}

// Receipt finds a receipt that this gateway has made, or [ErrNoReceipt].
func (h *Host) Receipt(ctx context.Context, id merkle.Hash) ([]byte, error) {
	return h.receipts.get(ctx, id)
}
