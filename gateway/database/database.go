// Package database opens the gateway's SQL databases, SQLite or PostgreSQL, so that the packages above write one SQL.
//
// What both dialects share, and callers keep to:
//   - Parameters are written "?"; every method here rebinds them, so [DB.Rebind] is only for a caller's own statements.
//   - Column types are BIGINT, TEXT and BYTEA ([]byte). TEXT holds no U+0000, and PostgreSQL orders it by locale: order
//     by BIGINT or BYTEA. A time is a BIGINT, a flag a BIGINT of 0 or 1.
//   - INSERT … ON CONFLICT (…) DO UPDATE SET c = excluded.c works in both, and so does RETURNING inside [DB.InTx].
//   - A transaction is serializable: one at a time on SQLite, repeated on a conflict on PostgreSQL.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// Dialect is the kind of database.
type Dialect string

// The dialects.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgresql"
)

// DB is an open database. It is safe for concurrent use. On SQLite, reads go to a pool of connections that cannot
// write, and see what was committed when they began; writes go one after another through one connection.
type DB struct {
	Dialect Dialect
	read    *sql.DB
	write   *sql.DB // the same as read on PostgreSQL

	mutex      sync.RWMutex
	statements map[string]*sql.Stmt // queries that are kept prepared, on SQLite
}

// Open opens, and on SQLite creates, the database of a URL:
//
//	sqlite:/folder/state.db                         every commit survives a loss of power
//	sqlite:/folder/index.db?synchronous=normal      a loss of power may take the last commits, never part of one
//	postgres://user:password@host/base?schema=state everything PostgreSQL's clients know; the schema is created
//
// Errors never quote the URL, which may hold a password.
func Open(ctx context.Context, address string) (*DB, error) {
	scheme, _, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, address)
	case "postgres", "postgresql":
		return openPostgreSQL(ctx, address)
	}
	return nil, errors.New("open database: the URL must begin with sqlite: or postgres:")
}

// SQLiteURL is the URL of a database file.
func SQLiteURL(path string) string { return "sqlite:" + (&url.URL{Path: path}).EscapedPath() }

// Close closes all connections.
func (d *DB) Close() error {
	if d.read == d.write {
		return d.read.Close()
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for query, s := range d.statements {
		delete(d.statements, query)
		_ = s.Close() // which closing the connections does too
	}
	return errors.Join(d.read.Close(), d.write.Close())
}

// PingContext tells whether the database answers.
func (d *DB) PingContext(ctx context.Context) error { return d.read.PingContext(ctx) }

// QueryContext reads. On SQLite a statement that writes fails here; see [DB.InTx].
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := d.prepared(ctx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return d.read.QueryContext(ctx, d.Rebind(query), args...)
}

// QueryRowContext reads one row; see [DB.QueryContext].
func (d *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := d.prepared(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return d.read.QueryRowContext(ctx, d.Rebind(query), args...)
}

// maxStatements bounds the statements that are kept prepared.
const maxStatements = 128

// prepared is a query that is kept prepared, since SQLite takes longer to read one than to find a row; nil when it is
// not. PostgreSQL's client does the same by itself.
func (d *DB) prepared(ctx context.Context, query string) *sql.Stmt {
	if d.Dialect != SQLite {
		return nil
	}
	d.mutex.RLock()
	s, full := d.statements[query], len(d.statements) >= maxStatements
	d.mutex.RUnlock()
	if s != nil || full {
		return s
	}
	s, err := d.read.PrepareContext(ctx, query)
	if err != nil {
		return nil // the query itself tells why
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if first := d.statements[query]; first != nil || len(d.statements) >= maxStatements {
		_ = s.Close() // somebody else was first
		return first
	}
	d.statements[query] = s
	return s
}

// ExecContext runs one statement in a transaction of its own.
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.write.ExecContext(ctx, d.Rebind(query), args...)
}

// Rebind replaces each parameter "?" by what the dialect expects; question marks in quotes and comments stay.
func (d *DB) Rebind(query string) string {
	if d.Dialect != PostgreSQL || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(query); i++ {
		end := 1
		switch rest := query[i:]; {
		case rest[0] == '\'' || rest[0] == '"':
			if close := strings.IndexByte(rest[1:], rest[0]); close >= 0 {
				end = close + 2
			}
		case strings.HasPrefix(rest, "--"):
			if end = strings.IndexByte(rest, '\n'); end < 0 {
				end = len(rest)
			}
		case rest[0] == '?':
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteString(query[i : i+end])
		i += end - 1
	}
	return b.String()
}
