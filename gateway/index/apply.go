package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// place orders transactions: block · 2²⁰ + position. A block holds at most 10 MB, so fewer than 2²⁰ transactions.
type place int64

const positions = 20

func placeOf(number uint64, position int) place { return place(number<<positions) + place(position) }

func (p place) block() uint64 { return uint64(p) >> positions }

func (p place) position() int { return int(p & (1<<positions - 1)) }

// checkpoint is where the index stands.
type checkpoint struct {
	height uint64
	hash   []byte // of the last block
	digest [32]byte
	clock  int64 // the latest time of a valid proposal so far
}

func loadCheckpoint(ctx context.Context, tx *database.Tx) (checkpoint, error) {
	var c checkpoint
	var number int64
	var digest []byte
	err := tx.QueryRowContext(ctx, `SELECT number, hash, digest, clock FROM blocks ORDER BY number DESC LIMIT 1`).Scan(&number, &c.hash, &digest, &c.clock)
	if errors.Is(err, sql.ErrNoRows) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("read the checkpoint: %w", err)
	}
	c.height = uint64(number) + 1
	copy(c.digest[:], digest)
	return c, nil
}

// apply indexes blocks that follow on each other, all of them or none. Those that are indexed already are passed over.
func (x *Index) apply(ctx context.Context, blocks []block.Block) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	height := uint64(0)
	err := x.db.InTx(ctx, func(tx *database.Tx) error {
		c, err := loadCheckpoint(ctx, tx)
		if err != nil {
			return err
		}
		batch := newBatch()
		for _, b := range blocks {
			if b.Number < c.height {
				continue
			}
			if b.Number > c.height {
				return fmt.Errorf("index block %d: block %d is the next one", b.Number, c.height)
			}
			if b.Number > 0 && string(b.PreviousHash[:]) != string(c.hash) {
				return fmt.Errorf("index block %d: %w", b.Number, ErrOtherChannel)
			}
			c = checkpoint{height: b.Number + 1, hash: b.Hash[:], digest: chain(c.digest, b), clock: max(c.clock, latestTime(b))}
			batch.add(b, c)
		}
		height = c.height
		return batch.write(ctx, tx)
	})
	if err != nil {
		return err
	}
	x.advance(height)
	return nil
}

// batch is what some blocks bring, by table.
type batch struct {
	blocks, transactions, versions, policies, movements, breaches [][]any

	entries map[ledger.Key]entry
	deleted map[ledger.Key]bool // keys that were deleted at some moment, written again or not

	activity map[activity]int64
	shown    map[shownRoles]tenure
	moved    []moved // what holds credits, in the order of the chain

	sealings    []sealing // in the order of the chain
	contributed map[ledger.Key][]contributed
}

type entry struct {
	kind             string
	columns          columns
	created, changed place
}

func newBatch() *batch {
	return &batch{entries: map[ledger.Key]entry{}, deleted: map[ledger.Key]bool{}, activity: map[activity]int64{}, shown: map[shownRoles]tenure{},
		contributed: map[ledger.Key][]contributed{}}
}

// add adds a block, after which the checkpoint is c.
func (b *batch) add(bl block.Block, c checkpoint) {
	b.blocks = append(b.blocks, []any{int64(bl.Number), bl.Hash[:], c.digest[:], bl.DataHash[:], int64(len(bl.Transactions)), c.clock})
	for _, tx := range bl.Transactions {
		at := placeOf(bl.Number, tx.Position)
		b.activity[activity{at.span(), clip(tx.Function, maxColumn), tx.Code}]++
		b.addRoles(at, tx)
		b.transactions = append(b.transactions, transactionRow(at, tx))
		if !tx.Valid() {
			continue
		}
		for _, w := range tx.Writes {
			b.addWrite(at, w)
		}
		for _, g := range tx.Guards {
			if _, _, ok := g.Key.Split(); ok && len(g.Key) <= MaxKey {
				var policy any // NULL
				if g.Policy != nil {
					policy = g.Policy
				}
				b.policies = append(b.policies, []any{[]byte(g.Key), int64(at), policy})
			}
		}
	}
}

func (b *batch) addWrite(at place, w block.Write) {
	kind, parts, ok := w.Key.Split()
	if !ok || len(w.Key) > MaxKey {
		return
	}
	if holding[kind] {
		b.moved = append(b.moved, moved{at.block(), w.Key, w.Value})
	}
	if w.Delete {
		b.addLeaf(at, kind, parts, w.Key, nil)
		b.versions = append(b.versions, []any{[]byte(w.Key), int64(at), nil})
		delete(b.entries, w.Key)
		b.deleted[w.Key] = true
		return
	}
	b.versions = append(b.versions, []any{[]byte(w.Key), int64(at), w.Value})
	b.addLeaf(at, kind, parts, w.Key, w.Value)
	e := entry{kind: kind, columns: project(kind, parts, w.Value), created: at, changed: at}
	if before, there := b.entries[w.Key]; there {
		e.created = before.created
	}
	b.entries[w.Key] = e
	if why := e.columns.Breach; why != "" {
		b.breaches = append(b.breaches, []any{[]byte(w.Key), why, int64(at)})
	}
	if movementKinds[kind] && len(parts) > 0 {
		b.movements = append(b.movements, []any{clip(parts[0], maxColumn), int64(at), []byte(w.Key)})
	}
}

func transactionRow(at place, tx block.Transaction) []any {
	var event string
	var payload []byte
	if tx.Event != nil {
		event, payload = tx.Event.Name, tx.Event.Payload
	}
	return []any{int64(at), clip(tx.ID, maxColumn), microseconds(tx.Time), clip(tx.Creator.MSP, maxColumn), optional(string(tx.Creator.Account())),
		clip(tx.Function, maxColumn), clip(event, maxColumn), payload, tx.Code}
}

// microseconds is a time as a column, 0 for none and for one that no document could show.
func microseconds(t time.Time) int64 {
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return 0
	}
	return t.UnixMicro()
}

// optional is a text as a column, NULL for "": the indexes leave it out.
func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (b *batch) write(ctx context.Context, tx *database.Tx) error {
	supply, err := b.supply(ctx, tx)
	if err != nil {
		return err
	}
	leaves, err := b.leaves(ctx, tx)
	if err != nil {
		return err
	}
	deleted := make([][]any, 0, len(b.deleted))
	for key := range b.deleted {
		deleted = append(deleted, []any{[]byte(key)})
	}
	entries := make([][]any, 0, len(b.entries))
	for key, e := range b.entries {
		var parent any
		if e.columns.Parent != "" {
			parent = []byte(e.columns.Parent)
		}
		entries = append(entries, []any{[]byte(key), e.kind, optional(e.columns.Datanet), optional(e.columns.Organisation),
			optional(e.columns.Account), optional(e.columns.State), parent, e.columns.Number, int64(e.created), int64(e.changed)})
	}
	for _, rows := range [][][]any{deleted, entries} { // in the order of the table
		slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(string(a[0].([]byte)), string(b[0].([]byte))) })
	}
	for _, step := range []struct {
		statement statement
		rows      [][]any
	}{
		{statement{"INSERT INTO blocks (number, hash, digest, data_hash, transactions, clock) VALUES ", "(?, ?, ?, ?, ?, ?)", ""}, b.blocks},
		{statement{"INSERT INTO activity (span, function, code, count) VALUES ", "(?, ?, ?, ?)",
			" ON CONFLICT (span, function, code) DO UPDATE SET count = activity.count + excluded.count"}, b.activityRows()},
		{statement{"INSERT INTO shown_roles (account, roles, began, latest) VALUES ", "(?, ?, ?, ?)",
			" ON CONFLICT (account, roles) DO UPDATE SET latest = excluded.latest"}, b.shownRows()},
		{statement{"INSERT INTO supply (block, " + strings.Join(supplyColumns, ", ") + ") VALUES ", "(?" + strings.Repeat(", ?", len(supplyColumns)) + ")", ""}, supply},
		{statement{"INSERT INTO transactions (place, txid, time, msp, account, function, event, payload, code) VALUES ", "(?, ?, ?, ?, ?, ?, ?, ?, ?)", ""}, b.transactions},
		{statement{"INSERT INTO versions (key, place, value) VALUES ", "(?, ?, ?)", ""}, b.versions},
		{statement{"INSERT INTO policies (key, place, policy) VALUES ", "(?, ?, ?)", ""}, b.policies},
		{statement{"INSERT INTO movements (account, place, key) VALUES ", "(?, ?, ?)", ""}, b.movements},
		{statement{"INSERT INTO breaches (key, why, place) VALUES ", "(?, ?, ?)", " ON CONFLICT (key, why) DO NOTHING"}, b.breaches},
		{statement{"DELETE FROM entries WHERE key IN (", "?", ")"}, deleted},
		{statement{"INSERT INTO entries (key, kind, datanet, organisation, account, state, parent, number, created, changed) VALUES ", "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			` ON CONFLICT (key) DO UPDATE SET datanet = excluded.datanet, organisation = excluded.organisation, account = excluded.account,
			state = excluded.state, parent = excluded.parent, number = excluded.number, changed = excluded.changed`}, entries},
	} {
		if err := step.statement.run(ctx, tx, step.rows); err != nil {
			return err
		}
	}
	return leaves.write(ctx, tx)
}

// statement is an SQL statement with a list that takes one row or many.
type statement struct{ head, row, tail string }

// run runs the statement for all rows, many at once: a statement costs more than a row, above all over a network.
func (s statement) run(ctx context.Context, tx *database.Tx, rows [][]any) error {
	for _, size := range []int{128, 16, 1} {
		if len(rows) < size {
			continue
		}
		prepared, err := tx.PrepareContext(ctx, s.head+strings.Repeat(s.row+", ", size-1)+s.row+s.tail)
		if err != nil {
			return fmt.Errorf("write the index: %w", err)
		}
		var args []any
		for ; len(rows) >= size; rows = rows[size:] {
			args = args[:0]
			for _, row := range rows[:size] {
				args = append(args, row...)
			}
			if _, err := prepared.ExecContext(ctx, args...); err != nil {
				return errors.Join(fmt.Errorf("write the index: %w", err), prepared.Close())
			}
		}
		if err := prepared.Close(); err != nil {
			return fmt.Errorf("write the index: %w", err)
		}
	}
	return nil
}
