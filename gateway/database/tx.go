package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Tx is a transaction that writes.
type Tx struct {
	db *DB
	tx *sql.Tx
}

// ExecContext runs a statement.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.db.Rebind(query), args...)
}

// QueryContext reads, and sees what the transaction has written.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.db.Rebind(query), args...)
}

// QueryRowContext reads one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.db.Rebind(query), args...)
}

// PrepareContext prepares a statement for the rest of the transaction.
func (t *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, t.db.Rebind(query))
}

// InTx runs f in a serializable transaction and commits it when f returns nil. When PostgreSQL gives the transaction up
// for another one's sake, f runs again, so f must have no effect but on the transaction, and must return the errors
// that it meets (wrapped or not). After any other failure nothing is written, but for a connection that breaks during
// the commit itself: then the caller must look.
func (d *DB) InTx(ctx context.Context, f func(tx *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := d.inTx(ctx, f)
		if err == nil || !conflict(err) {
			return err
		}
		pause := time.NewTimer(rand.N(time.Duration(min(attempt, 20)) * 5 * time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (d *DB) inTx(ctx context.Context, f func(tx *Tx) error) error {
	options := &sql.TxOptions{}
	if d.Dialect == PostgreSQL {
		options.Isolation = sql.LevelSerializable
	}
	tx, err := d.write.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin a database transaction: %w", err)
	}
	defer tx.Rollback() // an error here says only that the transaction is over
	if err := f(&Tx{db: d, tx: tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit a database transaction: %w", err)
	}
	return nil
}
