package index

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Entry is a key's current value, or one of its earlier ones, and the transaction that wrote it.
type Entry struct {
	Key     ledger.Key
	Value   []byte // the document as the ledger's functions answer it; nil when Deleted
	Deleted bool   // only in a history
	Written
}

// Written is where and by whom something was written.
type Written struct {
	Block    uint64
	Position int // of the transaction in the block
	Tx       string
	Time     time.Time      // the proposal's, as its client says; zero if it says none
	By       ledger.Account // who signed it
	Function string
}

// Order is the order of a list. Entries that come while a list is paged through stand at its end (Oldest) or are not
// part of it (Newest); by key they stand where they belong.
type Order string

// The orders: by key, as the ledger's own lists, or by when the entry came into being. No order means Oldest for a list
// by Datanet, Organisation, Account, State or Awaits, which by key would have to be sorted for every page, and ByKey
// for all others.
const (
	ByKey  Order = "key"
	Oldest Order = "oldest"
	Newest Order = "newest"
)

// Filter chooses entries. All that is set must hold.
type Filter struct {
	Kind   string   // of the keys; always set
	Within []string // the parts that the key begins with, after the kind
	// What a kind is listed by is said in project.go: a contribution's Account is its contributor, a grant's the
	// grantee (an organisation's MSP ID or an account), a release's the recipient. Organisation is mostly the account's.
	Datanet      string
	Organisation string
	Account      string
	State        string
	// Parent is the key of what an entry belongs to: of a slot what it is a slot of, of a release its training ticket.
	Parent ledger.Key
	// Awaits is an organisation that has not filled its slot yet: contributions that it is to vote on, proposals to
	// approve, erasures to acknowledge, models whose offered rate card it is to accept, claims to attest. Only what still
	// runs.
	Awaits string
	Order  Order
}

const entryColumns = `v.key, v.value, v.place, t.txid, t.time, t.account, t.function
	FROM entries e JOIN versions v ON v.key = e.key AND v.place = e.changed JOIN transactions t ON t.place = e.changed`

// Entry is the current value of a key. A missing one is a not_found fault.
func (x *Index) Entry(ctx context.Context, key ledger.Key) (Entry, error) {
	entries, err := x.entries(ctx, `SELECT `+entryColumns+` WHERE e.key = ?`, []byte(key))
	if err == nil && len(entries) == 0 {
		err = ledger.Refuse(ledger.CodeNotFound, "there is no %s", ledger.Clip(key.String()))
	}
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}

// Entries lists current values. A malformed request is an invalid fault.
func (x *Index) Entries(ctx context.Context, f Filter, page ledger.PageRequest) (ledger.Page[Entry], error) {
	size, err := page.Size()
	if err != nil {
		return ledger.Page[Entry]{}, err
	}
	f.Order = f.order()
	q, err := f.query(page.Cursor)
	if err != nil {
		return ledger.Page[Entry]{}, err
	}
	rows, err := x.db.QueryContext(ctx, q.sql(`SELECT e.created, `+entryColumns, size+1), q.args...)
	if err != nil {
		return ledger.Page[Entry]{}, fmt.Errorf("list %s: %w", f.Kind, err)
	}
	defer rows.Close()
	var created int64
	result := ledger.Page[Entry]{Items: []Entry{}}
	for rows.Next() {
		before := created
		entry, err := scanEntry(rows, &created)
		if err != nil {
			return ledger.Page[Entry]{}, fmt.Errorf("list %s: %w", f.Kind, err)
		}
		if len(result.Items) == size {
			result.Next = sealCursor(f.list(), place(before), result.Items[size-1].Key)
			break
		}
		result.Items = append(result.Items, entry)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return ledger.Page[Entry]{}, fmt.Errorf("list %s: %w", f.Kind, err)
	}
	return result, nil
}

// History lists every value that a key has had, the latest first.
func (x *Index) History(ctx context.Context, key ledger.Key, page ledger.PageRequest) (ledger.Page[Entry], error) {
	var q query
	q.and("v.key = ?", []byte(key))
	return x.written(ctx, fmt.Sprintf("history %q", key), `versions v JOIN transactions t ON t.place = v.place`, q, page)
}

// Statement lists what came to an account and what left it, credits and spends, the latest first: also credits that are
// spent by now.
func (x *Index) Statement(ctx context.Context, account ledger.Account, page ledger.PageRequest) (ledger.Page[Entry], error) {
	var q query
	q.and("m.account = ?", string(account))
	return x.written(ctx, fmt.Sprintf("statement %q", account),
		`movements m JOIN versions v ON v.key = m.key AND v.place = m.place JOIN transactions t ON t.place = m.place`, q, page)
}

// written lists versions by place and key, the latest first.
func (x *Index) written(ctx context.Context, list, from string, q query, page ledger.PageRequest) (ledger.Page[Entry], error) {
	size, err := page.Size()
	if err != nil {
		return ledger.Page[Entry]{}, err
	}
	at, key, begins, err := openCursor(list, page.Cursor)
	if err != nil {
		return ledger.Page[Entry]{}, err
	}
	alias := from[strings.IndexByte(from, ' ')+1:][:1]
	if !begins {
		q.and("("+alias+".place, "+alias+".key) < (?, ?)", int64(at), []byte(key))
	}
	q.order = alias + ".place DESC, " + alias + ".key DESC"
	entries, err := x.entries(ctx, q.sql(`SELECT v.key, v.value, v.place, t.txid, t.time, t.account, t.function FROM `+from, size+1), q.args...)
	if err != nil {
		return ledger.Page[Entry]{}, err
	}
	result := ledger.Page[Entry]{Items: entries}
	if len(entries) > size {
		result.Items = entries[:size]
		last := result.Items[size-1]
		result.Next = sealCursor(list, placeOf(last.Block, last.Position), last.Key)
	}
	return result, nil
}

func (x *Index) entries(ctx context.Context, statement string, args ...any) ([]Entry, error) {
	rows, err := x.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	defer rows.Close()
	entries := []Entry{}
	for rows.Next() {
		entry, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		entries = append(entries, entry)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return entries, nil
}

// scanEntry reads a row of [entryColumns] that follow the given columns.
func scanEntry(rows *sql.Rows, first ...any) (Entry, error) {
	var e Entry
	var key, value []byte
	var at, when int64
	var by sql.NullString
	if err := rows.Scan(append(first, &key, &value, &at, &e.Tx, &when, &by, &e.Function)...); err != nil {
		return Entry{}, err
	}
	e.Key, e.By, e.Time = ledger.Key(key), ledger.Account(by.String), timeOf(when)
	e.Block, e.Position = place(at).block(), place(at).position()
	if e.Deleted = value == nil; !e.Deleted {
		e.Value = present(e.Key, value)
	}
	return e, nil
}

func timeOf(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds).UTC()
}

// query is the conditions and the order of a list.
type query struct {
	conditions []string
	args       []any
	order      string
}

func (q *query) and(condition string, args ...any) {
	q.conditions = append(q.conditions, condition)
	q.args = append(q.args, args...)
}

func (q *query) sql(selection string, limit int) string {
	where := ""
	if len(q.conditions) > 0 {
		where = " WHERE " + strings.Join(q.conditions, " AND ")
	}
	return fmt.Sprintf("%s%s ORDER BY %s LIMIT %d", selection, where, q.order, limit)
}

// order is the list's order, which the filter may leave open.
func (f Filter) order() Order {
	switch {
	case f.Order != "":
		return f.Order
	case f.Datanet+f.Organisation+f.Account+f.State+f.Awaits+string(f.Parent) != "":
		return Oldest
	}
	return ByKey
}

// list names the list that a cursor belongs to.
func (f Filter) list() string {
	return fmt.Sprintf("entries %q", append([]string{f.Kind, f.Datanet, f.Organisation, f.Account, f.State, f.Awaits, string(f.Parent), string(f.Order)}, f.Within...))
}

// query checks the filter, whose order is set, and turns it into conditions for what follows the cursor.
func (f Filter) query(cursor string) (query, error) {
	var q query
	if err := f.validate(); err != nil {
		return q, err
	}
	f.choose(&q)
	at, key, begins, err := openCursor(f.list(), cursor)
	if err != nil {
		return q, err
	}
	switch f.Order {
	case ByKey:
		if !begins {
			q.and("e.key > ?", []byte(key))
		}
		q.order = "e.key"
	case Oldest:
		if !begins {
			q.and("(e.created, e.key) > (?, ?)", int64(at), []byte(key))
		}
		q.order = "e.created, e.key"
	case Newest:
		if !begins {
			q.and("(e.created, e.key) < (?, ?)", int64(at), []byte(key))
		}
		q.order = "e.created DESC, e.key DESC"
	default:
		return q, ledger.Invalid("order", "must be %s, %s or %s", ByKey, Oldest, Newest)
	}
	return q, nil
}

func (f Filter) validate() error {
	if _, listed := projections[f.Kind]; !listed {
		if !keyedOnly[f.Kind] {
			return ledger.Invalid("kind", "there are no entries of kind %q", ledger.Clip(f.Kind))
		}
		if f.Datanet+f.Organisation+f.Account+f.State+string(f.Parent) != "" {
			return ledger.Invalid("kind", "entries of kind %s are listed by their keys only", f.Kind)
		}
	}
	for _, part := range f.Within {
		if _, _, ok := ledger.Key("\x00" + part + "\x00").Split(); !ok || strings.Contains(part, "\x00") {
			return ledger.Invalid("within", "%q is no part of a key", ledger.Clip(part))
		}
	}
	for _, text := range []struct{ field, value string }{{"datanet", f.Datanet}, {"organisation", f.Organisation},
		{"account", f.Account}, {"state", f.State}, {"awaits", f.Awaits}} {
		if text.value != clip(text.value, maxColumn) {
			return ledger.Invalid(text.field, "%q is no name", ledger.Clip(text.value))
		}
	}
	if running[f.Kind] == "" && f.Awaits != "" {
		return ledger.Invalid("awaits", "no organisation has slots of a %s", f.Kind)
	}
	return nil
}

// choose adds the filter's conditions. One of them, the narrowest as far as can be said beforehand, is looked up in a
// database index that also has the list's order; the others are hidden from the planner, which without statistics would
// as soon take the index of a million approved contributions.
func (f Filter) choose(q *query) {
	lookup := ""
	switch {
	case f.Order == ByKey || len(f.Within) > 0:
		prefix := f.prefix()
		q.and("e.key >= ? AND e.key < ?", []byte(prefix), append([]byte(prefix[:len(prefix)-1]), 1))
		lookup = "key"
	case f.Parent != "":
		lookup = "parent"
	case f.Account != "":
		lookup = "account"
	case f.Awaits != "":
		lookup = "running"
	case f.Datanet != "":
		lookup = "datanet state"
	case f.Organisation != "":
		lookup = "organisation"
	default:
		lookup = "state"
	}
	and := func(column, value string) {
		switch {
		case value == "":
		case strings.Contains(lookup, column):
			q.and("e."+column+" = ?", value)
		default:
			q.and("coalesce(e."+column+", '') = ?", value)
		}
	}
	switch lookup {
	case "key":
	case "parent": // hidden too: the planner would look through all of the kind, which are in the list's order
		and("kind", f.Kind)
	default:
		q.and("e.kind = ?", f.Kind)
	}
	if f.Parent != "" {
		q.and("e.parent = ?", []byte(f.Parent))
	}
	and("account", f.Account)
	and("datanet", f.Datanet)
	and("organisation", f.Organisation)
	and("state", f.State)
	if f.Awaits == "" {
		return
	}
	if lookup == "running" {
		lookup = "state"
	}
	and("state", running[f.Kind])
	q.and(`EXISTS (SELECT 1 FROM entries s WHERE s.parent = e.key AND s.organisation = ? AND s.state = ? AND s.number = e.number)`, f.Awaits, OpenSlot)
}

// prefix is what all keys of the list begin with. The filter's parts are valid.
func (f Filter) prefix() ledger.Key {
	return ledger.Key("\x00" + strings.Join(append([]string{f.Kind}, f.Within...), "\x00") + "\x00")
}

var keyedOnly = func() map[string]bool {
	kinds := map[string]bool{}
	for _, kind := range keyed {
		kinds[kind] = true
	}
	return kinds
}()

// A cursor is the place and key of the last item of a page, and a checksum of the list that it belongs to.
func sealCursor(list string, at place, key ledger.Key) string {
	data := binary.BigEndian.AppendUint32(nil, checksum(list))
	data = binary.BigEndian.AppendUint64(data, uint64(at))
	return base64.RawURLEncoding.EncodeToString(append(data, key...))
}

// openCursor reads a cursor of the list; begins is true for "".
func openCursor(list, cursor string) (at place, key ledger.Key, begins bool, err error) {
	if cursor == "" {
		return 0, "", true, nil
	}
	if len(cursor) > 2*MaxKey {
		return 0, "", false, ledger.Invalid("cursor", "too long")
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(data) < 12 || binary.BigEndian.Uint32(data) != checksum(list) || data[4]&0x80 != 0 {
		return 0, "", false, ledger.Invalid("cursor", "not a cursor of this list")
	}
	return place(binary.BigEndian.Uint64(data[4:])), ledger.Key(data[12:]), false, nil
}

func checksum(list string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(list))
	return h.Sum32()
}
