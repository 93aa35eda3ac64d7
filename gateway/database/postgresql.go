package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

var schemaPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func openPostgreSQL(ctx context.Context, address string) (*DB, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("open database: the URL is malformed")
	}
	options := u.Query()
	schema := options.Get("schema")
	options.Del("schema")
	u.RawQuery = options.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err) // pgx redacts the password
	}
	if schema != "" {
		if !schemaPattern.MatchString(schema) {
			return nil, errors.New("open database: a schema's name is lower-case letters, digits and underscores")
		}
		config.RuntimeParams["search_path"] = schema
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(4 * max(2, runtime.GOMAXPROCS(0)))
	db.SetMaxIdleConns(2 * max(2, runtime.GOMAXPROCS(0)))
	d := &DB{Dialect: PostgreSQL, read: db, write: db}
	if err := d.createSchema(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s on %s: %w", config.Database, config.Host, err), db.Close())
	}
	return d, nil
}

// createSchema makes the schema if it is missing. The lock keeps two gateways that start at once apart, since IF NOT
// EXISTS does not.
func (d *DB) createSchema(ctx context.Context, schema string) error {
	if schema == "" {
		return d.PingContext(ctx)
	}
	return d.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtext(?))`, "datanet schema "+schema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize())
		return err
	})
}

// conflict tells whether PostgreSQL gave up a transaction for another one's sake: serialization failure or deadlock.
func conflict(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && (failure.Code == "40001" || failure.Code == "40P01")
}
