// Package index follows a channel's blocks into SQL, so that everything on the ledger can be listed and followed back.
//
//	a peer's block ──block.Decoder──► transactions and their writes ──one SQL transaction──► blocks (checkpoint, digest)
//	                                                                                        transactions
//	                                                                                        versions (history)
//	                                                                                        policies (of keys, likewise)
//	                                                                                        entries (current state)
//	                                                                                        movements (statements)
//	                                                                                        activity, shown_roles, supply, leaves (audits)
//
// A block and the checkpoint are written together, so a process that dies at any moment goes on where it was. The index
// can be thrown away and filled from the peer again at any time ([Index.Reset]); what it holds depends on the blocks
// alone, and its digest at a height equals that of every other organisation.
//
// Keys that no rule of the ledger can have written (not in composite form, or longer than [MaxKey]) stand in the digest
// and nowhere else.
package index

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// MaxKey bounds a key that is indexed, in bytes: PostgreSQL's indexes take no longer ones.
const MaxKey = 2000

// ErrOtherChannel says that a block does not follow on those that were indexed: the peer is on another channel, or its
// ledger has forked. Nothing but [Index.Reset], or another peer, helps.
var ErrOtherChannel = errors.New("the block does not follow on the indexed ones: the peer has another channel")

// Index is the index of one channel. It is safe for concurrent use; one process at a time writes.
type Index struct {
	db        *database.DB
	chaincode string
	log       *slog.Logger

	applying sync.Mutex // one writer

	mu      sync.Mutex
	height  uint64
	changed chan struct{} // closed when the height changes
	emptied chan struct{} // closed when the index is emptied
}

// Option is an option of [Open].
type Option func(*Index)

// WithLog logs what [Index.Follow] meets.
func WithLog(log *slog.Logger) Option { return func(x *Index) { x.log = log } }

// Open migrates the database and opens the index in it. An index that an older program has filled in another way is
// emptied, to be filled again by [Index.Follow]; one of another chaincode is refused.
func Open(ctx context.Context, db *database.DB, chaincode string, options ...Option) (*Index, error) {
	x := &Index{db: db, chaincode: chaincode, log: slog.New(slog.DiscardHandler), changed: make(chan struct{}), emptied: make(chan struct{})}
	for _, option := range options {
		option(x)
	}
	if err := db.Migrate(ctx, migrations, "index"); err != nil {
		return nil, err
	}
	if err := x.claim(ctx); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	var err error
	if x.height, err = x.stored(ctx); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	return x, nil
}

// claim checks what the database is an index of, and writes it into a new one.
func (x *Index) claim(ctx context.Context) error {
	return x.db.InTx(ctx, func(tx *database.Tx) error {
		about := map[string]string{}
		rows, err := tx.QueryContext(ctx, `SELECT name, value FROM index_about`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				return err
			}
			about[name] = value
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if indexed, known := about["chaincode"]; known && indexed != x.chaincode {
			return fmt.Errorf("the database holds the index of chaincode %q, not of %q: choose another database", indexed, x.chaincode)
		}
		if version, known := about["projection"]; known && version == projectionVersion {
			return nil
		} else if known {
			x.log.Info("the index was filled by another version of the program and is filled anew", "version", version)
			if err := empty(ctx, tx); err != nil {
				return err
			}
		}
		for name, value := range map[string]string{"chaincode": x.chaincode, "projection": projectionVersion} {
			_, err := tx.ExecContext(ctx, `INSERT INTO index_about (name, value) VALUES (?, ?)
				ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Reset empties the index. A running [Index.Follow] fills it from the peer again.
func (x *Index) Reset(ctx context.Context) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	if err := x.db.InTx(ctx, func(tx *database.Tx) error { return empty(ctx, tx) }); err != nil {
		return fmt.Errorf("empty the index: %w", err)
	}
	x.advance(0)
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.emptied)
	x.emptied = make(chan struct{})
	return nil
}

func empty(ctx context.Context, tx *database.Tx) error {
	for _, table := range []string{"blocks", "transactions", "versions", "policies", "entries", "movements", "activity", "shown_roles", "supply", "leaves", "breaches"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	return nil
}

// Apply indexes the next block. A block that was applied already is passed over.
func (x *Index) Apply(ctx context.Context, b *common.Block) error {
	decoded, err := block.NewDecoder(x.chaincode).Decode(b)
	if err != nil {
		return err
	}
	return x.apply(ctx, []block.Block{decoded})
}

// Height is the number of blocks that are indexed, which is the number of the next one.
func (x *Index) Height(context.Context) (uint64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.height, nil
}

// WaitHeight waits until so many blocks are indexed: to read what a transaction of block n wrote, wait for n + 1. It
// fails only when ctx ends first.
func (x *Index) WaitHeight(ctx context.Context, height uint64) error {
	for {
		x.mu.Lock()
		now, changed := x.height, x.changed
		x.mu.Unlock()
		if now >= height {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait until %d blocks are indexed (there are %d): %w", height, now, ctx.Err())
		}
	}
}

// Notify returns a channel that is closed when the next block is indexed. Get it before reading, so that nothing is
// missed between.
func (x *Index) Notify() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

func (x *Index) advance(height uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.height != height {
		x.height = height
		close(x.changed)
		x.changed = make(chan struct{})
	}
}

// Digest is the digest of the channel's first blocks, height of them; see [chain] for its definition. It equals that of
// every other organisation's index.
func (x *Index) Digest(ctx context.Context, height uint64) ([32]byte, error) {
	if height == 0 {
		return [32]byte{}, nil
	}
	var digest []byte
	err := x.db.QueryRowContext(ctx, `SELECT digest FROM blocks WHERE number = ?`, int64(height-1)).Scan(&digest)
	if errors.Is(err, sql.ErrNoRows) {
		return [32]byte{}, ledger.Refuse(ledger.CodeNotFound, "block %d is not indexed yet", height-1).At("height")
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("read the digest of %d blocks: %w", height, err)
	}
	return [32]byte(digest), nil
}

func (x *Index) stored(ctx context.Context) (uint64, error) {
	var last sql.NullInt64
	if err := x.db.QueryRowContext(ctx, `SELECT max(number) FROM blocks`).Scan(&last); err != nil {
		return 0, err
	}
	if !last.Valid {
		return 0, nil
	}
	return uint64(last.Int64) + 1, nil
}
