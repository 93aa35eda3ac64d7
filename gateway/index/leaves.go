package index

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// About is what contributions are counted by.
type About struct {
	MediaType    string          `json:"mediaType"`
	Provenance   json.RawMessage `json:"provenance"`
	Organisation string          `json:"organisation"` // the contributor's
	State        string          `json:"state"`
}

// Sealed is what leaves that are equal in [About] come to.
type Sealed struct {
	About
	Contributions, Records, Tokens int64
}

// Extent is what a snapshot of a datanet holds: leaves before a position, but those that were retired before it.
type Extent struct {
	Number int
	Count  int64
}

// Held is what the leaves of some snapshots of one datanet come to, each leaf once.
type Held struct {
	// Alike are the leaves whose contributions nobody wrote since they were sealed, counted by what they say.
	Alike []Sealed
	// Changed are the ids of the other contributions: what they say now stands in their entries.
	Changed []string
	// Last is the id of the one that was sealed last.
	Last string
}

// sealing is a write of the place of a leaf: where it is sealed, and later where it is retired.
type sealing struct {
	at          place
	datanet, id string
	position    int64
	gone        int64 // the number of the first snapshot without it
}

// contributed is a write of a contribution.
type contributed struct {
	at    place
	value []byte // nil when it was deleted
}

// addLeaf notes what leaves are made of.
func (b *batch) addLeaf(at place, kind string, parts []string, key ledger.Key, value []byte) {
	switch {
	case len(parts) != 2:
	case kind == "contribution":
		b.contributed[key] = append(b.contributed[key], contributed{at, value})
	case kind == "sealed" && value != nil:
		var v struct {
			Position int64 `json:"position"`
			From     int64 `json:"from"`
		}
		if json.Unmarshal(value, &v) == nil {
			b.sealings = append(b.sealings, sealing{at, parts[0], parts[1], v.Position, v.From})
		}
	}
}

// leafChanges are what a batch brings to the table of leaves: new rows, then retirements, then what was written since.
type leafChanges struct{ sealed, retired, changed [][]any }

// The bounds of what a leaf may say. What is beyond them, which no rule writes, gets no row, so that snapshots with it are not
// summed up.
const (
	maxAbout  = 4096
	maxTokens = 1 << 40
)

// leaves makes the changes to the table of leaves.
func (b *batch) leaves(ctx context.Context, tx *database.Tx) (l leafChanges, err error) {
	began := map[ledger.Key]place{} // where it was sealed in this batch
	for _, s := range b.sealings {
		if key := contributionKey(s); s.gone == 0 {
			began[key] = s.at
		}
	}
	values, err := b.whenSealed(ctx, tx, began)
	if err != nil {
		return l, err
	}
	type leaf struct {
		datanet  string
		position int64
	}
	rows := map[leaf][]any{}
	for _, s := range b.sealings {
		datanet, id := clip(s.datanet, maxColumn), clip(s.id, maxColumn)
		if s.gone != 0 {
			l.retired = append(l.retired, []any{s.gone, datanet, s.position, id})
		} else if about, records, tokens, ok := leafOf(values[contributionKey(s)]); ok {
			rows[leaf{datanet, s.position}] = []any{datanet, s.position, id, about, records, tokens, 0, 0}
		}
	}
	l.sealed = slices.SortedFunc(maps.Values(rows), func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(int64), b[1].(int64)))
	})
	for key, writes := range b.contributed {
		if b.entries[key].columns.State == "pending" {
			continue // it cannot have been sealed
		}
		for _, w := range writes {
			if at, now := began[key]; !now || w.at > at {
				_, parts, _ := key.Split()
				l.changed = append(l.changed, []any{int64(w.at), clip(parts[0], maxColumn), clip(parts[1], maxColumn)})
				break
			}
		}
	}
	return l, nil
}

func contributionKey(s sealing) ledger.Key { return ledger.NewKey("contribution", s.datanet, s.id) }

// whenSealed are the values of contributions at the places at which they were sealed in this batch.
func (b *batch) whenSealed(ctx context.Context, tx *database.Tx, began map[ledger.Key]place) (map[ledger.Key][]byte, error) {
	values := make(map[ledger.Key][]byte, len(began))
	var keys []ledger.Key
	for key, at := range began {
		found := false
		for _, w := range b.contributed[key] {
			if w.at <= at {
				values[key], found = w.value, true
			}
		}
		if !found {
			keys = append(keys, key)
		}
	}
	for some := range slices.Chunk(keys, manyKeys) {
		err := current(ctx, tx, some, func(key ledger.Key, value []byte) { values[key] = value })
		if err != nil {
			return nil, fmt.Errorf("read contributions that were sealed: %w", err)
		}
	}
	return values, nil
}

// leafOf is a contribution as a leaf: what it is counted by, its records and tokens.
func leafOf(value []byte) (about string, records, tokens int64, ok bool) {
	var v struct {
		About
		Contributor ledger.Account `json:"contributor"`
		Records     int64          `json:"records"`
		Tokens      int64          `json:"tokens"`
	}
	if json.Unmarshal(value, &v) != nil || min(v.Records, v.Tokens) < 0 || max(v.Records, v.Tokens) > maxTokens {
		return "", 0, 0, false
	}
	v.Organisation = v.Contributor.MSP()
	text, err := json.Marshal(v.About)
	if err != nil || len(text) > maxAbout || clip(string(text), maxAbout) != string(text) {
		return "", 0, 0, false
	}
	return string(text), v.Records, v.Tokens, true
}

// write writes the changes.
func (l leafChanges) write(ctx context.Context, tx *database.Tx) error {
	sealed := statement{"INSERT INTO leaves (datanet, position, id, about, records, tokens, gone, changed) VALUES ", "(?, ?, ?, ?, ?, ?, ?, ?)",
		" ON CONFLICT (datanet, position) DO UPDATE SET id = excluded.id, about = excluded.about, records = excluded.records, tokens = excluded.tokens, gone = 0, changed = 0"}
	if err := sealed.run(ctx, tx, l.sealed); err != nil {
		return err
	}
	if err := each(ctx, tx, `UPDATE leaves SET gone = ? WHERE datanet = ? AND position = ? AND id = ?`, l.retired); err != nil {
		return err
	}
	return each(ctx, tx, `UPDATE leaves SET changed = ? WHERE datanet = ? AND id = ? AND changed = 0`, l.changed)
}

// each runs a statement once for each row.
func each(ctx context.Context, tx *database.Tx, query string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	prepared, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	for _, row := range rows {
		if _, err := prepared.ExecContext(ctx, row...); err != nil {
			return errors.Join(fmt.Errorf("write the index: %w", err), prepared.Close())
		}
	}
	return prepared.Close()
}

// Held sums up what snapshots of a datanet hold. It is false when the index does not have all of their leaves, so that they have
// to be counted one by one; the rules write none such.
func (v *View) Held(ctx context.Context, datanet string, snapshots []Extent) (h Held, whole bool, err error) {
	if len(snapshots) == 0 {
		return h, true, nil
	}
	count := int64(0)
	var in []string
	within := []any{datanet}
	for _, s := range snapshots {
		count = max(count, s.Count)
		// What is retired later is gone only from snapshots that were not taken then, so this holds at every height.
		in = append(in, "l.position < ? AND (l.gone = 0 OR l.gone > ?)")
		within = append(within, s.Count, s.Number)
	}
	held := ` FROM leaves l WHERE l.datanet = ? AND l.position >= 0 AND (` + strings.Join(in, " OR ") + `)`
	var there int64
	if err := v.index.db.QueryRowContext(ctx, `SELECT count(*) FROM leaves WHERE datanet = ? AND position >= 0 AND position < ?`, datanet, count).Scan(&there); err != nil {
		return h, false, fmt.Errorf("count leaves: %w", err)
	}
	if there != count {
		return h, false, nil
	}
	if h.Alike, err = v.alike(ctx, held, within); err != nil {
		return h, false, fmt.Errorf("sum up leaves: %w", err)
	}
	if h.Changed, err = v.ids(ctx, `SELECT l.id`+held+` AND l.changed <> 0 AND l.changed < ? ORDER BY l.position`, append(slices.Clone(within), v.before())...); err != nil {
		return h, false, fmt.Errorf("list leaves: %w", err)
	}
	last, err := v.ids(ctx, `SELECT l.id`+held+` ORDER BY l.position DESC LIMIT 1`, within...)
	if err != nil {
		return h, false, fmt.Errorf("list leaves: %w", err)
	}
	if len(last) > 0 {
		h.Last = last[0]
	}
	return h, true, nil
}

func (v *View) alike(ctx context.Context, held string, within []any) ([]Sealed, error) {
	rows, err := v.index.db.QueryContext(ctx, `SELECT l.about, count(*), CAST(sum(l.records) AS BIGINT), CAST(sum(l.tokens) AS BIGINT)`+held+
		` AND (l.changed = 0 OR l.changed >= ?) GROUP BY l.about`, append(slices.Clone(within), v.before())...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Sealed
	for rows.Next() {
		var one Sealed
		var about string
		if err := rows.Scan(&about, &one.Contributions, &one.Records, &one.Tokens); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(about), &one.About); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func (v *View) ids(ctx context.Context, query string, args ...any) (list []string, err error) {
	rows, err := v.index.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		list = append(list, id)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
