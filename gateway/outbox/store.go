package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// row is an entry as it lies in the database.
type row struct {
	Entry
	digest   [32]byte
	document []byte
	holder   []byte // PEM
	unsigned []byte // fabric.Unsigned.Bytes of what is to be signed next
	message  []byte // fabric.Unsigned.Message of it
	envelope []byte
}

func (o *Outbox) newRow(req Request) row {
	return row{digest: req.digest(), document: req.Document,
		Entry: Entry{Account: req.Account, Key: req.Key, Function: req.Function, Created: o.now()}}
}

// now is as exact as the database keeps it.
func (o *Outbox) now() time.Time { return o.options.Now().UTC().Truncate(time.Microsecond) }

const columns = `account, request_key, digest, function, document, state, txid, attempt, holder, unsigned, message, envelope,
	response, block, fault, code, created, updated`

func scan(s interface{ Scan(...any) error }) (r row, err error) {
	var digest []byte
	var block, created, updated int64
	var fault string
	err = s.Scan(&r.Account, &r.Key, &digest, &r.Function, &r.document, &r.State, &r.TxID, &r.Attempt, &r.holder, &r.unsigned, &r.message,
		&r.envelope, &r.Response, &block, &fault, &r.Code, &created, &updated)
	if err != nil {
		return r, err
	}
	if len(digest) != len(r.digest) {
		return r, fmt.Errorf("entry of transaction %s: the digest has %d bytes", r.TxID, len(digest))
	}
	copy(r.digest[:], digest)
	r.Block, r.Created, r.Updated = uint64(block), time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if fault != "" {
		var ok bool
		if r.Fault, ok = ledger.ParseFault(fault); !ok {
			return r, fmt.Errorf("entry of transaction %s: not a fault: %q", r.TxID, fault)
		}
	}
	return r, nil
}

func (o *Outbox) load(ctx context.Context, n name) (r row, found bool, err error) {
	r, err = scan(o.db.QueryRowContext(ctx, `SELECT `+columns+` FROM outbox_entries WHERE account = ? AND request_key = ?`, n.account, n.key))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, false, nil
	}
	if err != nil {
		return row{}, false, fmt.Errorf("read the outbox: %w", err)
	}
	return r, true, nil
}

// find looks an entry up by the id of any of its transactions.
func (o *Outbox) find(ctx context.Context, account ledger.Account, txID string) (row, error) {
	n := name{account: account}
	err := o.db.QueryRowContext(ctx, `SELECT request_key FROM outbox_attempts WHERE txid = ? AND account = ?`, txID, account).Scan(&n.key)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, ErrNone
	}
	if err != nil {
		return row{}, fmt.Errorf("read the outbox: %w", err)
	}
	r, found, err := o.load(ctx, n)
	if err == nil && !found {
		err = ErrNone
	}
	return r, err
}

// save writes an entry, and drops what is not needed any more once nothing is under way.
func (o *Outbox) save(ctx context.Context, r *row) error {
	r.Updated = o.now()
	if r.State == Committed || r.State == Failed {
		r.document, r.envelope, r.unsigned, r.message = nil, nil, nil, nil
	}
	// A save that has begun is finished although the outbox closes.
	ctx = context.WithoutCancel(ctx)
	job := saving{row: *r, done: make(chan error, 1)}
	select {
	case o.saves <- job:
		return <-job.done
	case <-o.ctx.Done():
		return write(ctx, o.db, []saving{job})
	}
}

type saving struct {
	row  row
	done chan error
}

// saveTogether writes what waits to be written in one database transaction, since each costs a write through to the disk.
func (o *Outbox) saveTogether() {
	defer o.running.Done()
	for {
		var batch []saving
		select {
		case first := <-o.saves:
			batch = append(batch, first)
		case <-o.ctx.Done():
			return
		}
		for more := true; more && len(batch) < maxTogether; {
			select {
			case next := <-o.saves:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		ctx := context.WithoutCancel(o.ctx)
		if err := write(ctx, o.db, batch); err == nil || len(batch) == 1 {
			for _, job := range batch {
				job.done <- err
			}
			continue
		}
		for _, job := range batch { // one of them fails: not the others for its sake
			job.done <- write(ctx, o.db, []saving{job})
		}
	}
}

// maxTogether bounds a database transaction.
const maxTogether = 64

func write(ctx context.Context, db *database.DB, batch []saving) error {
	err := db.InTx(ctx, func(tx *database.Tx) error {
		for _, job := range batch {
			if err := upsert(ctx, tx, job.row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	return nil
}

func upsert(ctx context.Context, tx *database.Tx, r row) error {
	fault := ""
	if r.Fault != nil {
		fault = r.Fault.Wire()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox_entries (`+columns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, request_key) DO UPDATE SET document = excluded.document, state = excluded.state, txid = excluded.txid,
			attempt = excluded.attempt, holder = excluded.holder, unsigned = excluded.unsigned, message = excluded.message,
			envelope = excluded.envelope, response = excluded.response, block = excluded.block, fault = excluded.fault,
			code = excluded.code, updated = excluded.updated`,
		r.Account, r.Key, r.digest[:], r.Function, r.document, r.State, r.TxID, r.Attempt, r.holder, r.unsigned, r.message, r.envelope,
		r.Response, int64(r.Block), fault, r.Code, r.Created.UnixMicro(), r.Updated.UnixMicro())
	if err != nil || r.TxID == "" {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox_attempts (txid, account, request_key) VALUES (?, ?, ?) ON CONFLICT (txid) DO NOTHING`,
		r.TxID, r.Account, r.Key)
	return err
}
