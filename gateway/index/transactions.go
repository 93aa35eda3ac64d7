package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Transaction is a transaction as it stands in its block, valid or not.
type Transaction struct {
	Written
	MSP     string // of who signed it
	Code    string // the peers' verdict: VALID, MVCC_READ_CONFLICT, …
	Event   string
	Payload []byte // of the event
	// Writes are the entries that a valid transaction wrote, by key; only [Index.Transaction] and [Index.TransactionAt] give them.
	Writes []Entry
}

// TxFilter chooses transactions. All that is set must hold.
type TxFilter struct {
	Account      ledger.Account // who signed
	Organisation string         // of who signed
	Function     string         // "token:Transfer"
	Code         string         // the verdict
	// From and Until bound the proposal's time, From included. With either, the list goes by time, else by place in
	// the chain.
	From, Until time.Time
}

const transactionColumns = `t.place, t.txid, t.time, t.msp, t.account, t.function, t.event, t.payload, t.code FROM transactions t`

// Transaction finds a transaction by its id, the valid one if an id was used again. A missing one is a not_found fault.
func (x *Index) Transaction(ctx context.Context, id string) (Transaction, error) {
	if id == "" {
		return Transaction{}, noTransaction(id)
	}
	return x.transaction(ctx, ledger.Clip(id), `t.txid = ? ORDER BY CASE t.code WHEN 'VALID' THEN 0 ELSE 1 END, t.place`, clip(id, maxColumn))
}

// TransactionAt finds a transaction by its place. A missing one is a not_found fault.
func (x *Index) TransactionAt(ctx context.Context, block uint64, position int) (Transaction, error) {
	name := fmt.Sprintf("%d.%d", block, position)
	if block >= 1<<(63-positions) || position < 0 || position >= 1<<positions {
		return Transaction{}, noTransaction(name)
	}
	return x.transaction(ctx, name, `t.place = ?`, int64(placeOf(block, position)))
}

func noTransaction(name string) error {
	return ledger.Refuse(ledger.CodeNotFound, "no transaction %s is indexed", name)
}

func (x *Index) transaction(ctx context.Context, name, which string, value any) (Transaction, error) {
	found, err := x.transactions(ctx, `SELECT `+transactionColumns+` WHERE `+which+` LIMIT 1`, value)
	if err == nil && len(found) == 0 {
		err = noTransaction(name)
	}
	if err != nil {
		return Transaction{}, err
	}
	tx := found[0]
	if tx.Writes, err = x.writes(ctx, placeOf(tx.Block, tx.Position)); err != nil {
		return Transaction{}, err
	}
	return tx, nil
}

func (x *Index) writes(ctx context.Context, at place) ([]Entry, error) {
	return x.entries(ctx, `SELECT v.key, v.value, v.place, t.txid, t.time, t.account, t.function
		FROM versions v JOIN transactions t ON t.place = v.place WHERE v.place = ? ORDER BY v.key`, int64(at))
}

// Transactions lists transactions, the latest first.
func (x *Index) Transactions(ctx context.Context, f TxFilter, page ledger.PageRequest) (ledger.Page[Transaction], error) {
	size, err := page.Size()
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	q, err := f.query()
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	list := fmt.Sprintf("transactions %q %d %d", []string{string(f.Account), f.Organisation, f.Function, f.Code}, microseconds(f.From), microseconds(f.Until))
	at, when, begins, err := openCursor(list, page.Cursor)
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	q.order = "t.place DESC"
	byTime := !f.From.IsZero() || !f.Until.IsZero()
	if byTime {
		q.order = "t.time DESC, t.place DESC"
	}
	if !begins && byTime {
		last, err := time.Parse(time.RFC3339Nano, string(when))
		if err != nil {
			return ledger.Page[Transaction]{}, ledger.Invalid("cursor", "not a cursor of this list")
		}
		q.and("(t.time, t.place) < (?, ?)", microseconds(last), int64(at))
	} else if !begins {
		q.and("t.place < ?", int64(at))
	}
	items, err := x.transactions(ctx, q.sql(`SELECT `+transactionColumns, size+1), q.args...)
	if err != nil {
		return ledger.Page[Transaction]{}, err
	}
	result := ledger.Page[Transaction]{Items: items}
	if len(items) > size {
		result.Items = items[:size]
		last := items[size-1]
		result.Next = sealCursor(list, placeOf(last.Block, last.Position), ledger.Key(last.Time.Format(time.RFC3339Nano)))
	}
	return result, nil
}

func (f TxFilter) query() (query, error) {
	var q query
	for _, text := range []struct{ field, column, value string }{{"account", "account", string(f.Account)},
		{"organisation", "msp", f.Organisation}, {"function", "function", f.Function}, {"code", "code", f.Code}} {
		if text.value != clip(text.value, maxColumn) {
			return q, ledger.Invalid(text.field, "%q is no name", ledger.Clip(text.value))
		}
		if text.value != "" {
			q.and("t."+text.column+" = ?", text.value)
		}
	}
	if !f.From.IsZero() {
		q.and("t.time >= ?", f.From.UnixMicro())
	}
	if !f.Until.IsZero() {
		q.and("t.time < ?", f.Until.UnixMicro())
	}
	return q, nil
}

func (x *Index) transactions(ctx context.Context, statement string, args ...any) ([]Transaction, error) {
	rows, err := x.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read transactions: %w", err)
	}
	defer rows.Close()
	list := []Transaction{}
	for rows.Next() {
		var t Transaction
		var at, when int64
		var by sql.NullString
		if err := rows.Scan(&at, &t.Tx, &when, &t.MSP, &by, &t.Function, &t.Event, &t.Payload, &t.Code); err != nil {
			return nil, fmt.Errorf("read transactions: %w", err)
		}
		t.Block, t.Position, t.Time, t.By = place(at).block(), place(at).position(), timeOf(when), ledger.Account(by.String)
		list = append(list, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read transactions: %w", err)
	}
	return list, nil
}
