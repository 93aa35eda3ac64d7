package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// View is the committed state of the ledger at one height, in which the ledger's own query functions can be run. It holds
// no connection, and blocks that come do not change it; [Index.Reset] empties it.
type View struct {
	index  *Index
	height uint64
}

// View is the state as it is now.
func (x *Index) View(ctx context.Context) (*View, error) {
	height, err := x.Height(ctx)
	return &View{index: x, height: height}, err
}

// Height is the number of blocks that the state is made of.
func (v *View) Height() uint64 { return v.height }

// manyKeys is how many keys are asked for in one statement.
const manyKeys = 200

// States returns the values of keys in their order, as the ledger holds them, nil for an absent one.
func (v *View) States(ctx context.Context, keys []ledger.Key) ([][]byte, error) {
	found := make(map[ledger.Key][]byte, len(keys))
	for rest := keys; len(rest) > 0; {
		some := rest[:min(len(rest), manyKeys)]
		rest = rest[len(some):]
		args := make([]any, 0, len(some)+1)
		for _, key := range some {
			args = append(args, []byte(key))
		}
		entries, _, err := v.read(ctx, `v.key IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, "", args, len(some))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found[e.Key] = e.Value
		}
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i] = found[key]
	}
	return values, nil
}

// Range returns up to limit keys with the prefix, ascending, beginning with the first one that is not below from, and the
// key to go on from, "" at the end.
func (v *View) Range(ctx context.Context, prefix, from ledger.Key, limit int) ([]ledger.Entry, ledger.Key, error) {
	if prefix == "" {
		return nil, "", errors.New("read a range of the index: no prefix")
	}
	from = max(from, prefix)
	// The keys with a prefix end where its last byte, which is U+0000, is followed by the next one.
	end := append([]byte(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
	return v.read(ctx, `v.key >= ? AND v.key < ?`, ` ORDER BY v.key`, []any{[]byte(from), end}, limit)
}

// KeyPolicy is the endorsement policy of a key; ok is false when the chaincode's own governs it. A policy that the rules
// cannot have set is an error, as it is for a peer.
func (v *View) KeyPolicy(ctx context.Context, key ledger.Key) (policy ledger.Policy, ok bool, err error) {
	before := int64(placeOf(v.height, 0))
	var stored []byte
	err = v.index.db.QueryRowContext(ctx, `SELECT p.policy FROM policies p WHERE p.key = ? AND p.policy IS NOT NULL
		AND p.place = (SELECT max(q.place) FROM policies q WHERE q.key = p.key AND q.place < ?)
		AND (SELECT v.value IS NOT NULL FROM versions v WHERE v.key = p.key AND v.place <= p.place ORDER BY v.place DESC LIMIT 1)
		AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.key = p.key AND v.place > p.place AND v.place < ? AND v.value IS NULL)`,
		[]byte(key), before, before).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Policy{}, false, nil
	}
	if err != nil {
		return ledger.Policy{}, false, fmt.Errorf("read the index: %w", err)
	}
	if policy, err = contract.DecodePolicy(stored); err != nil {
		return ledger.Policy{}, false, fmt.Errorf("policy of %s: %w", key, err)
	}
	return policy, true, nil
}

// read reads the latest versions before the height.
func (v *View) read(ctx context.Context, condition, order string, args []any, limit int) (entries []ledger.Entry, next ledger.Key, err error) {
	rows, err := v.index.db.QueryContext(ctx, fmt.Sprintf(`SELECT v.key, v.value FROM versions v WHERE %s AND v.value IS NOT NULL
		AND v.place = (SELECT max(w.place) FROM versions w WHERE w.key = v.key AND w.place < ?)%s LIMIT %d`, condition, order, limit+1),
		append(args, int64(placeOf(v.height, 0)))...)
	if err != nil {
		return nil, "", fmt.Errorf("read the index: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return nil, "", fmt.Errorf("read the index: %w", err)
		}
		if len(entries) == limit {
			next = ledger.Key(key)
			break
		}
		entries = append(entries, ledger.Entry{Key: ledger.Key(key), Value: value})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, "", fmt.Errorf("read the index: %w", err)
	}
	return entries, next, nil
}
