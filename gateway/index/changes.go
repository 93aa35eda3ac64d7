package index

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Cursor is a place in the chain: a block and a transaction's position in it. The zero cursor is the beginning. Its
// text, "block.position", stays good for ever.
type Cursor struct {
	Block    uint64
	Position int
}

func (c Cursor) String() string { return fmt.Sprintf("%d.%d", c.Block, c.Position) }

// ParseCursor reads a cursor's text; what is none is an invalid fault.
func ParseCursor(text string) (Cursor, error) {
	block, position, _ := strings.Cut(text, ".")
	b, err := strconv.ParseUint(block, 10, 63-positions)
	if err != nil {
		return Cursor{}, ledger.Invalid("cursor", "%q is not block.position", ledger.Clip(text))
	}
	p, err := strconv.ParseUint(position, 10, positions)
	c := Cursor{Block: b, Position: int(p)}
	if err != nil || c.String() != text {
		return Cursor{}, ledger.Invalid("cursor", "%q is not block.position", ledger.Clip(text))
	}
	return c, nil
}

// Change is what one valid transaction did.
type Change struct {
	Cursor  Cursor
	Tx      Transaction // without Writes
	Changed []Changed   // by key; those that the filter chose
}

// Changed is an entry that a transaction wrote.
type Changed struct {
	Key                                   ledger.Key
	Kind                                  string
	Datanet, Organisation, Account, State string // as the entry is listed by
	Deleted                               bool
}

// ChangeFilter chooses changes. All that is set must hold, of one entry that the transaction wrote; Account may also be
// who signed it.
type ChangeFilter struct {
	Kind, Datanet, Account, Organisation string
}

// scanned bounds how many transactions one call of [Index.Changes] looks at.
const scanned = 500

// Changes lists what changed after a place, in the order of the chain, at most limit transactions. next is where to go
// on, even when no change was found: the place up to which the chain was looked through. Nothing new is there when next
// equals after; then wait for [Index.Notify].
func (x *Index) Changes(ctx context.Context, after Cursor, f ChangeFilter, limit int) (changes []Change, next Cursor, err error) {
	if limit < 1 || limit > ledger.MaxPage {
		return nil, after, ledger.Invalid("limit", "must be from 1 to %d", ledger.MaxPage)
	}
	next = after
	transactions, err := x.transactions(ctx, `SELECT `+transactionColumns+` WHERE t.place > ? ORDER BY t.place LIMIT ?`,
		int64(placeOf(after.Block, after.Position)), scanned)
	if err != nil || len(transactions) == 0 {
		return nil, next, err
	}
	last := transactions[len(transactions)-1]
	writes, err := x.changes(ctx, placeOf(after.Block, after.Position), placeOf(last.Block, last.Position))
	if err != nil {
		return nil, next, err
	}
	for _, tx := range transactions {
		if len(changes) == limit {
			break
		}
		next = Cursor{tx.Block, tx.Position}
		chosen := slices.DeleteFunc(writes[placeOf(tx.Block, tx.Position)], func(c Changed) bool { return !f.chooses(tx, c) })
		if len(chosen) > 0 {
			changes = append(changes, Change{Cursor: next, Tx: tx, Changed: chosen})
		}
	}
	return changes, next, nil
}

// Last is the place of the last transaction that is indexed: from there on, only what is new comes.
func (x *Index) Last(ctx context.Context) (Cursor, error) {
	var at int64
	if err := x.db.QueryRowContext(ctx, `SELECT coalesce(max(place), 0) FROM transactions`).Scan(&at); err != nil {
		return Cursor{}, fmt.Errorf("read the last transaction: %w", err)
	}
	return Cursor{place(at).block(), place(at).position()}, nil
}

func (f ChangeFilter) chooses(tx Transaction, c Changed) bool {
	return (f.Kind == "" || f.Kind == c.Kind) && (f.Datanet == "" || f.Datanet == c.Datanet) &&
		(f.Organisation == "" || f.Organisation == c.Organisation) &&
		(f.Account == "" || f.Account == c.Account || f.Account == string(tx.By))
}

// changes reads what was written after one place up to another.
func (x *Index) changes(ctx context.Context, after, until place) (map[place][]Changed, error) {
	entries, err := x.entries(ctx, `SELECT v.key, v.value, v.place, '', 0, NULL, ''
		FROM versions v WHERE v.place > ? AND v.place <= ? ORDER BY v.place, v.key LIMIT ?`, int64(after), int64(until), math.MaxInt32)
	if err != nil {
		return nil, err
	}
	changed := map[place][]Changed{}
	for _, e := range entries {
		kind, parts, _ := e.Key.Split()
		c := project(kind, parts, e.Value)
		at := placeOf(e.Block, e.Position)
		changed[at] = append(changed[at], Changed{Key: e.Key, Kind: kind, Datanet: c.Datanet, Organisation: c.Organisation,
			Account: c.Account, State: c.State, Deleted: e.Deleted})
	}
	return changed, nil
}
