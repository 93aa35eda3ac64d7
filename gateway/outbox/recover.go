package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Recover takes up every write that an earlier process left without an outcome: it asks for the outcome and sends the same
// envelope again until there is one. It returns when all are taken up, not when they are done (see [Outbox.Wait]).
func (o *Outbox) Recover(ctx context.Context) error {
	rows, err := o.db.QueryContext(ctx, `SELECT account, request_key FROM outbox_entries WHERE state = ?`, Submitted)
	if err != nil {
		return fmt.Errorf("recover the outbox: %w", err)
	}
	defer rows.Close()
	var unfinished []name
	for rows.Next() {
		var n name
		if err := rows.Scan(&n.account, &n.key); err != nil {
			return fmt.Errorf("recover the outbox: %w", err)
		}
		unfinished = append(unfinished, n)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("recover the outbox: %w", err)
	}
	for _, n := range unfinished {
		o.running.Add(1)
		go func() {
			defer o.running.Done()
			if r, err := o.resume(o.ctx, n); err != nil {
				o.options.Log.Warn("a write of an earlier run is not finished", "function", r.Function, "transaction", r.TxID, "error", err)
			}
		}()
	}
	if len(unfinished) > 0 {
		o.options.Log.Info("writes of an earlier run are taken up", "count", len(unfinished))
	}
	return nil
}

func (o *Outbox) resume(ctx context.Context, n name) (row, error) {
	return o.do(ctx, n, func(ctx context.Context, f *flight) (row, error) {
		r, found, err := o.load(ctx, n)
		if err == nil && !found {
			err = ErrNone
		}
		if err != nil {
			return r, err
		}
		return o.finish(ctx, f, r)
	})
}

// Get shows a write of an account by the id of any of its transactions. The error is [ErrNone] when there is none.
func (o *Outbox) Get(ctx context.Context, account ledger.Account, txID string) (Entry, error) {
	r, err := o.find(ctx, account, txID)
	return r.Entry, err
}

// Wait is [Outbox.Get] after the outcome of a write that is under way, or after the context ends.
func (o *Outbox) Wait(ctx context.Context, account ledger.Account, txID string) (Entry, error) {
	r, err := o.find(context.WithoutCancel(ctx), account, txID)
	if err != nil || r.State != Submitted {
		return r.Entry, err
	}
	latest, err := o.resume(ctx, name{account, r.Key})
	if errors.Is(err, ErrPending) {
		return r.Entry, nil
	}
	return latest.Entry, err
}

// Unfinished is how many writes have no outcome yet.
func (o *Outbox) Unfinished(ctx context.Context) (count int, err error) {
	err = o.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox_entries WHERE state = ?`, Submitted).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("read the outbox: %w", err)
	}
	return count, nil
}

// Purge forgets outcomes that are older than Options.Keep, and what its holder has not signed within a day. A write
// without an outcome is never forgotten.
func (o *Outbox) Purge(ctx context.Context) (forgotten int64, err error) {
	now := o.now()
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		forgotten = 0
		for _, old := range []struct {
			first, second State
			before        time.Time
		}{{Committed, Failed, now.Add(-o.options.Keep)}, {Proposed, Endorsed, now.Add(-unsignedKeep)}} {
			const these = `WHERE state IN (?, ?) AND updated < ?`
			_, err := tx.ExecContext(ctx, `DELETE FROM outbox_attempts WHERE EXISTS (SELECT 1 FROM outbox_entries e `+these+`
				AND e.account = outbox_attempts.account AND e.request_key = outbox_attempts.request_key)`, old.first, old.second, old.before.UnixMicro())
			if err != nil {
				return err
			}
			result, err := tx.ExecContext(ctx, `DELETE FROM outbox_entries `+these, old.first, old.second, old.before.UnixMicro())
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			forgotten += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("purge the outbox: %w", err)
	}
	return forgotten, nil
}
