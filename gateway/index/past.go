package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/block"
)

// What audits read: the state at a view's height together with the transactions that made it, and the blocks themselves.

// ViewAt is the state as it was after the first height blocks, which must be indexed.
func (x *Index) ViewAt(ctx context.Context, height uint64) (*View, error) {
	now, err := x.Height(ctx)
	if err != nil {
		return nil, err
	}
	if height > now {
		return nil, ledger.Refuse(ledger.CodeNotFound, "%d blocks are indexed, not %d", now, height).At("height")
	}
	return &View{index: x, height: height}, nil
}

func (v *View) before() int64 { return int64(placeOf(v.height, 0)) }

// Lookup is the value of each key, with the transaction that wrote it, in the order of the keys. An absent one has no
// Value and no Tx.
func (v *View) Lookup(ctx context.Context, keys ...ledger.Key) ([]Entry, error) {
	found := make(map[ledger.Key]Entry, len(keys))
	for rest := keys; len(rest) > 0; {
		some := rest[:min(len(rest), manyKeys)]
		rest = rest[len(some):]
		args := make([]any, 0, len(some)+1)
		for _, key := range some {
			args = append(args, []byte(key))
		}
		entries, err := v.index.entries(ctx, `SELECT v.key, v.value, v.place, t.txid, t.time, t.account, t.function
			FROM versions v JOIN transactions t ON t.place = v.place WHERE v.key IN (?`+strings.Repeat(", ?", len(some)-1)+`)
			AND v.place = (SELECT max(w.place) FROM versions w WHERE w.key = v.key AND w.place < ?)`, append(args, v.before())...)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Deleted {
				found[e.Key] = e
			}
		}
	}
	list := make([]Entry, len(keys))
	for i, key := range keys {
		list[i] = found[key]
		list[i].Key = key
	}
	return list, nil
}

// Versions lists every value that a key had, the earliest first.
func (v *View) Versions(ctx context.Context, key ledger.Key, limit int) ([]Entry, error) {
	return v.index.entries(ctx, `SELECT v.key, v.value, v.place, t.txid, t.time, t.account, t.function
		FROM versions v JOIN transactions t ON t.place = v.place WHERE v.key = ? AND v.place < ? ORDER BY v.place LIMIT ?`, []byte(key), v.before(), limit)
}

// Find lists entries by what never changes of them: all of a [Filter] but State and Awaits. What was deleted after the
// view's height is not found.
func (v *View) Find(ctx context.Context, f Filter, page ledger.PageRequest) (ledger.Page[Entry], error) {
	fail := func(err error) (ledger.Page[Entry], error) { return ledger.Page[Entry]{}, err }
	if f.State != "" || f.Awaits != "" {
		return fail(ledger.Invalid("state", "a view finds entries by what never changes"))
	}
	size, err := page.Size()
	if err != nil {
		return fail(err)
	}
	f.Order = f.order()
	q, err := f.query(page.Cursor)
	if err != nil {
		return fail(err)
	}
	q.and("e.created < ?", v.before())
	statement := q.sql(`SELECT e.created, v.key, v.value, v.place, t.txid, t.time, t.account, t.function FROM entries e
		JOIN versions v ON v.key = e.key AND v.place = (SELECT max(w.place) FROM versions w WHERE w.key = e.key AND w.place < ?)
		JOIN transactions t ON t.place = v.place`, size+1)
	rows, err := v.index.db.QueryContext(ctx, statement, append([]any{v.before()}, q.args...)...)
	if err != nil {
		return fail(fmt.Errorf("list %s: %w", f.Kind, err))
	}
	defer rows.Close()
	result := ledger.Page[Entry]{Items: []Entry{}}
	var created int64
	for rows.Next() {
		last := created
		entry, err := scanEntry(rows, &created)
		if err != nil {
			return fail(fmt.Errorf("list %s: %w", f.Kind, err))
		}
		if len(result.Items) == size {
			result.Next = sealCursor(f.list(), place(last), result.Items[size-1].Key)
			break
		}
		result.Items = append(result.Items, entry)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fail(fmt.Errorf("list %s: %w", f.Kind, err))
	}
	return result, nil
}

// Breach is the first value of an entry that broke the separation of duties, also when it was written again; see duties.go.
type Breach struct {
	Entry
	Why string
}

// Breaches lists them, the oldest first, at most limit.
func (v *View) Breaches(ctx context.Context, limit int) ([]Breach, error) {
	rows, err := v.index.db.QueryContext(ctx, `SELECT b.why, v.key, v.value, v.place, t.txid, t.time, t.account, t.function
		FROM breaches b JOIN versions v ON v.key = b.key AND v.place = b.place JOIN transactions t ON t.place = b.place
		WHERE b.place < ? ORDER BY b.place, b.key LIMIT ?`, v.before(), limit)
	if err != nil {
		return nil, fmt.Errorf("read breaches: %w", err)
	}
	defer rows.Close()
	list := []Breach{}
	for rows.Next() {
		var one Breach
		if one.Entry, err = scanEntry(rows, &one.Why); err != nil {
			return nil, fmt.Errorf("read breaches: %w", err)
		}
		list = append(list, one)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// Transaction is [Index.Transaction] for one within the height.
func (v *View) Transaction(ctx context.Context, id string) (Transaction, error) {
	tx, err := v.index.Transaction(ctx, id)
	return v.within(ledger.Clip(id), tx, err)
}

// TransactionAt is [Index.TransactionAt] for one within the height.
func (v *View) TransactionAt(ctx context.Context, block uint64, position int) (Transaction, error) {
	tx, err := v.index.TransactionAt(ctx, block, position)
	return v.within(fmt.Sprintf("%d.%d", block, position), tx, err)
}

func (v *View) within(name string, tx Transaction, err error) (Transaction, error) {
	if err == nil && tx.Block >= v.height {
		err = ledger.Refuse(ledger.CodeNotFound, "transaction %s came after %d blocks", name, v.height)
	}
	return tx, err
}

// Transactions lists the transactions of blocks from first to before end, in the order of the chain.
func (v *View) Transactions(ctx context.Context, first, end uint64, page ledger.PageRequest) (ledger.Page[Transaction], error) {
	size, err := page.Size()
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	end = min(end, v.height)
	list := fmt.Sprintf("chain %d %d", first, end)
	at, _, begins, err := openCursor(list, page.Cursor)
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	if begins {
		at = placeOf(first, 0) - 1
	}
	items, err := v.index.transactions(ctx, `SELECT `+transactionColumns+` WHERE t.place > ? AND t.place < ? ORDER BY t.place LIMIT ?`, int64(at), int64(placeOf(end, 0)), size+1)
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	result := ledger.Page[Transaction]{Items: items}
	if len(items) > size {
		result.Items = items[:size]
		result.Next = sealCursor(list, placeOf(items[size-1].Block, items[size-1].Position), "")
	}
	return result, nil
}

// Header is a block's header, and what it holds.
type Header struct {
	Number                   uint64
	Hash, PreviousHash, Data [32]byte
	Transactions             int
	Clock                    time.Time // the latest time of a valid proposal up to here
}

// Headers lists the headers of blocks from first to before end, at most limit, each with the hash of the one before. A
// header whose hash does not follow from its parts, or that is missing, is an internal fault: the index is damaged.
func (v *View) Headers(ctx context.Context, first, end uint64, limit int) (headers []Header, err error) {
	return headers, v.eachHeader(ctx, first, min(end, first+uint64(limit)), func(h Header) { headers = append(headers, h) })
}

// Chained recomputes the chain of hashes from first to before end, and returns the first and the last header.
func (v *View) Chained(ctx context.Context, first, end uint64) (begin, last Header, err error) {
	err = v.eachHeader(ctx, first, end, func(h Header) {
		if h.Number == first {
			begin = h
		}
		last = h
	})
	return begin, last, err
}

func (v *View) eachHeader(ctx context.Context, first, end uint64, each func(Header)) error {
	end = min(end, v.height)
	if first >= end {
		return ledger.Invalid("from", "blocks from %d to before %d are none", first, end)
	}
	from := first
	if first > 0 {
		from-- // for the hash
	}
	rows, err := v.index.db.QueryContext(ctx, `SELECT number, hash, data_hash, transactions, clock FROM blocks WHERE number >= ? AND number < ? ORDER BY number`, int64(from), int64(end))
	if err != nil {
		return fmt.Errorf("read the chain: %w", err)
	}
	defer rows.Close()
	damaged := func(number uint64) error {
		return ledger.Refuse(ledger.CodeInternal, "the index is damaged: block %d is missing or has not the hash of its header", number)
	}
	previous := []byte(nil)
	next := from
	for rows.Next() {
		var number, count, clock int64
		var hash, data []byte
		if err := rows.Scan(&number, &hash, &data, &count, &clock); err != nil {
			return fmt.Errorf("read the chain: %w", err)
		}
		if uint64(number) != next || len(hash) != 32 || len(data) != 32 {
			return damaged(next)
		}
		if next >= first {
			h := Header{Number: next, Hash: [32]byte(hash), Data: [32]byte(data), Transactions: int(count), Clock: timeOf(clock)}
			copy(h.PreviousHash[:], previous)
			computed, err := block.HeaderHash(next, previous, data)
			if err != nil {
				return err
			}
			if computed != h.Hash {
				return damaged(next)
			}
			each(h)
		}
		previous = hash
		next++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("read the chain: %w", err)
	}
	if next != end {
		return damaged(next)
	}
	return nil
}

// Blocks are those, from first to before end, that may have been cut from one time to before another, by the clock of the
// chain: the latest time of a valid proposal in a block or before it. The zero time is no bound. Blocks right before these
// that hold no valid call of a function may have been cut at any later time, and are among them.
func (v *View) Blocks(ctx context.Context, from, until time.Time) (first, end uint64, err error) {
	end = v.height
	for _, bound := range []struct {
		at   time.Time
		into *uint64
	}{{from, &first}, {until, &end}} {
		if bound.at.IsZero() {
			continue
		}
		var number sql.NullInt64
		if err := v.index.db.QueryRowContext(ctx, `SELECT number FROM blocks WHERE clock >= ? ORDER BY clock, number LIMIT 1`, bound.at.UnixMicro()).Scan(&number); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, 0, fmt.Errorf("find blocks by time: %w", err)
		}
		*bound.into = v.height
		if number.Valid {
			*bound.into = min(uint64(number.Int64), v.height)
		}
	}
	if !from.IsZero() && first > 0 {
		var dated int64
		err := v.index.db.QueryRowContext(ctx, `SELECT place FROM transactions WHERE place < ? AND code = 'VALID' AND function <> '' AND time <> 0
			ORDER BY place DESC LIMIT 1`, int64(placeOf(first, 0))).Scan(&dated)
		switch {
		case err == nil:
			first = place(dated).block() + 1
		case errors.Is(err, sql.ErrNoRows):
			first = 0
		default:
			return 0, 0, fmt.Errorf("find blocks by time: %w", err)
		}
	}
	return first, max(first, end), nil
}

// Activity is how often a function met a verdict.
type Activity struct {
	Function string // "" for a change of the channel, or another chaincode
	Code     string
	Count    int64
}

// Activity counts the transactions of blocks from first to before end.
func (v *View) Activity(ctx context.Context, first, end uint64) ([]Activity, error) {
	end = min(end, v.height)
	const span = 1 << spanBits
	whole, rest := (first+span-1)/span, end/span // spans that lie within the range
	if whole >= rest {
		whole, rest = 0, 0
	}
	edges := "t.place >= ? AND t.place < ?"
	args := []any{int64(whole), int64(rest), int64(placeOf(first, 0)), int64(placeOf(end, 0))}
	if whole < rest {
		edges = "(t.place >= ? AND t.place < ?) OR (t.place >= ? AND t.place < ?)"
		args = []any{int64(whole), int64(rest), int64(placeOf(first, 0)), int64(placeOf(whole*span, 0)), int64(placeOf(rest*span, 0)), int64(placeOf(end, 0))}
	}
	rows, err := v.index.db.QueryContext(ctx, `SELECT function, code, sum(n) FROM (
			SELECT function, code, count AS n FROM activity WHERE span >= ? AND span < ?
			UNION ALL SELECT t.function, t.code, 1 AS n FROM transactions t WHERE `+edges+`
		) counted GROUP BY function, code ORDER BY function, code`, args...)
	if err != nil {
		return nil, fmt.Errorf("count transactions: %w", err)
	}
	defer rows.Close()
	list := []Activity{}
	for rows.Next() {
		var one Activity
		if err := rows.Scan(&one.Function, &one.Code, &one.Count); err != nil {
			return nil, fmt.Errorf("count transactions: %w", err)
		}
		list = append(list, one)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// Supply is where all credits stand at the view's height.
type Supply struct {
	Issued, Redeemed, Balances, Credits, Escrow, Sessions, Claims, Payouts int64 // micro-credits

	Unreadable int64  // entries that no rule writes, counted as nothing
	Block      uint64 // that moved credits last
}

// Supply sums up all entries that hold credits.
func (v *View) Supply(ctx context.Context) (s Supply, err error) {
	var block int64
	err = v.index.db.QueryRowContext(ctx, `SELECT block, `+strings.Join(supplyColumns, ", ")+` FROM supply WHERE block < ? ORDER BY block DESC LIMIT 1`, int64(min(v.height, math.MaxInt64))).
		Scan(&block, &s.Issued, &s.Redeemed, &s.Balances, &s.Credits, &s.Escrow, &s.Sessions, &s.Claims, &s.Payouts, &s.Unreadable)
	if errors.Is(err, sql.ErrNoRows) {
		return Supply{}, nil
	}
	if err != nil {
		return Supply{}, fmt.Errorf("read the supply: %w", err)
	}
	s.Block = uint64(block)
	return s, nil
}

// Unbalanced lists the first blocks, at most limit, after which issued − redeemed was not the sum of all that is held.
func (v *View) Unbalanced(ctx context.Context, limit int) ([]uint64, error) {
	rows, err := v.index.db.QueryContext(ctx, `SELECT block FROM supply WHERE issued - redeemed <> balances + credits + escrow + sessions + claims + payouts AND block < ?
		ORDER BY block LIMIT ?`, int64(v.height), limit)
	if err != nil {
		return nil, fmt.Errorf("read the supply: %w", err)
	}
	defer rows.Close()
	list := []uint64{}
	for rows.Next() {
		var block int64
		if err := rows.Scan(&block); err != nil {
			return nil, fmt.Errorf("read the supply: %w", err)
		}
		list = append(list, uint64(block))
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// Shown is that certificates of an account have shown roles.
type Shown struct {
	Account     ledger.Account
	Roles       []ledger.Role
	First, Last Written // the first and the last transaction so signed, valid or not; no Last when it came after the view's height
}

// Shown lists the roles that accounts' certificates have shown, by account; an empty one stands for all. after is the
// account after which the list goes on.
func (v *View) Shown(ctx context.Context, account, after ledger.Account, limit int) ([]Shown, error) {
	condition, bound := "s.account > ?", string(after)
	if account != "" {
		condition, bound = "s.account = ?", string(account)
	}
	rows, err := v.index.db.QueryContext(ctx, `SELECT s.account, s.roles, s.began, b.txid, b.time, b.function, s.latest, l.txid, l.time, l.function
		FROM shown_roles s JOIN transactions b ON b.place = s.began JOIN transactions l ON l.place = s.latest
		WHERE `+condition+` AND s.began < ? ORDER BY s.account, s.began LIMIT ?`, bound, v.before(), limit)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	defer rows.Close()
	list := []Shown{}
	for rows.Next() {
		var one Shown
		var roles string
		var began, latest, beganTime, latestTime int64
		if err := rows.Scan(&one.Account, &roles, &began, &one.First.Tx, &beganTime, &one.First.Function, &latest, &one.Last.Tx, &latestTime, &one.Last.Function); err != nil {
			return nil, fmt.Errorf("read roles: %w", err)
		}
		one.Roles = ledger.ParseRoles(roles)
		one.First.Block, one.First.Position, one.First.Time, one.First.By = place(began).block(), place(began).position(), timeOf(beganTime), one.Account
		if latest >= v.before() {
			one.Last = Written{}
			list = append(list, one)
			continue
		}
		one.Last.Block, one.Last.Position, one.Last.Time, one.Last.By = place(latest).block(), place(latest).position(), timeOf(latestTime), one.Account
		list = append(list, one)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
