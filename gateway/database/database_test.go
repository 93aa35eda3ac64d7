package database_test

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
)

//go:embed testdata/migrations/*.sql
var testdata embed.FS

func TestBothDialects(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		migrations, err := fs.Sub(testdata, "testdata")
		require.NoError(t, err)
		require.NoError(t, db.Migrate(ctx, migrations, "example"))

		t.Run("a migration runs once", func(t *testing.T) {
			require.NoError(t, db.Migrate(ctx, migrations, "example"))
		})
		t.Run("a database of a newer program is refused", func(t *testing.T) {
			older := fstest.MapFS{"migrations/00001_example.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
			require.ErrorContains(t, db.Migrate(ctx, older, "example"), "use the newer program")
		})
		t.Run("bytes and numbers come back as they were", func(t *testing.T) {
			_, err := db.ExecContext(ctx, `INSERT INTO example (name, value, number) VALUES (?, ?, ?)`, "question?", []byte{0, 255, '?'}, int64(1)<<62)
			require.NoError(t, err)
			var value []byte
			var number int64
			require.NoError(t, db.QueryRowContext(ctx, `SELECT value, number FROM example WHERE name = 'question?' AND number > ?`, 0).Scan(&value, &number))
			require.Equal(t, []byte{0, 255, '?'}, value)
			require.Equal(t, int64(1)<<62, number)
		})
		t.Run("a failed transaction leaves nothing", func(t *testing.T) {
			failure := errors.New("changed my mind")
			require.ErrorIs(t, db.InTx(ctx, func(tx *database.Tx) error {
				if _, err := tx.ExecContext(ctx, `INSERT INTO example (name, number) VALUES (?, 1)`, "half"); err != nil {
					return err
				}
				return failure
			}), failure)
			var n int
			require.NoError(t, db.QueryRowContext(ctx, `SELECT count(*) FROM example WHERE name = ?`, "half").Scan(&n))
			require.Zero(t, n)
		})
		t.Run("a transaction that panics leaves nothing and blocks nobody", func(t *testing.T) {
			require.Panics(t, func() {
				_ = db.InTx(ctx, func(tx *database.Tx) error { panic("defect") })
			})
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return nil }))
		})
		t.Run("read, add one, write: no transaction loses another's", func(t *testing.T) {
			const workers, rounds = 8, 10
			_, err := db.ExecContext(ctx, `INSERT INTO example (name, number) VALUES ('counter', 0)`)
			require.NoError(t, err)
			var group sync.WaitGroup
			errs := make(chan error, workers*rounds)
			for range workers {
				group.Go(func() {
					for range rounds {
						errs <- db.InTx(ctx, func(tx *database.Tx) error {
							var n int64
							if err := tx.QueryRowContext(ctx, `SELECT number FROM example WHERE name = ?`, "counter").Scan(&n); err != nil {
								return err
							}
							_, err := tx.ExecContext(ctx, `UPDATE example SET number = ? WHERE name = ?`, n+1, "counter")
							return err
						})
					}
				})
			}
			group.Wait()
			close(errs)
			for err := range errs {
				require.NoError(t, err)
			}
			var n int64
			require.NoError(t, db.QueryRowContext(ctx, `SELECT number FROM example WHERE name = 'counter'`).Scan(&n))
			require.Equal(t, int64(workers*rounds), n)
		})
		t.Run("bytes are ordered bytewise", func(t *testing.T) {
			for i, value := range []string{"b", "a\x00", "B", "\xff", "a"} {
				_, err := db.ExecContext(ctx, `INSERT INTO example (name, value, number) VALUES (?, ?, 7)`, fmt.Sprint("order ", i), []byte(value))
				require.NoError(t, err)
			}
			rows, err := db.QueryContext(ctx, `SELECT value FROM example WHERE number = 7 ORDER BY value`)
			require.NoError(t, err)
			defer rows.Close()
			var got []string
			for rows.Next() {
				var value []byte
				require.NoError(t, rows.Scan(&value))
				got = append(got, string(value))
			}
			require.NoError(t, rows.Err())
			require.Equal(t, []string{"B", "a", "a\x00", "b", "\xff"}, got)
		})
	})
}

func TestSQLite(t *testing.T) {
	ctx := t.Context()

	t.Run("a path may hold any character", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b?c#d%20ü.db")
		if runtime.GOOS == "windows" {
			path = filepath.Join(t.TempDir(), "a b#d%20ü.db")
		}
		db, err := database.Open(ctx, database.SQLiteURL(path))
		require.NoError(t, err)
		require.NoError(t, db.Close())
		require.FileExists(t, path)
	})
	t.Run("nobody else may read the file", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("Windows has no permission bits")
		}
		path := filepath.Join(t.TempDir(), "state.db")
		db, err := database.Open(ctx, database.SQLiteURL(path))
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(ctx, `CREATE TABLE secret (value TEXT)`)
		require.NoError(t, err)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
		}
	})
	t.Run("a read cannot write", func(t *testing.T) {
		db, err := database.Open(ctx, database.SQLiteURL(filepath.Join(t.TempDir(), "x.db"))+"?synchronous=normal")
		require.NoError(t, err)
		defer db.Close()
		rows, err := db.QueryContext(ctx, `CREATE TABLE x (y TEXT)`)
		if err == nil {
			rows.Next()
			err = errors.Join(rows.Err(), rows.Close())
		}
		require.ErrorContains(t, err, "readonly")
	})
}

func TestOpenRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"another kind of database":    "mysql://localhost/x",
		"a SQLite URL with a host":    "sqlite://host/x.db",
		"a SQLite URL without a path": "sqlite:",
		"an unknown option":           "sqlite:/tmp/x.db?sync=off",
		"an unsafe option":            "sqlite:/tmp/x.db?synchronous=off",
		"a schema that needs quoting": "postgres://u:hunter2@127.0.0.1:1/x?schema=a%22b",
		"a server that is not there":  "postgres://u:hunter2@127.0.0.1:1/x?schema=state",
		"a malformed PostgreSQL URL":  "postgres://u:hunter2@127.0.0.1:port/x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := database.Open(t.Context(), url)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func FuzzRebind(f *testing.F) {
	for _, query := range []string{"a = ? AND b = '?' AND \"?\" = ? -- ?\n?", "'", "--", "?", "''?''"} {
		f.Add(query)
	}
	db := &database.DB{Dialect: database.PostgreSQL}
	f.Fuzz(func(t *testing.T, query string) {
		bound := db.Rebind(query)
		require.GreaterOrEqual(t, len(bound), len(query))
		require.Equal(t, query, (&database.DB{Dialect: database.SQLite}).Rebind(query))
	})
}

func TestMoreQueriesThanAreKeptPrepared(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				for n := range 300 {
					var got int
					query := fmt.Sprintf("SELECT %d + ?", n)
					if err := db.QueryRowContext(t.Context(), query, int64(1)).Scan(&got); err != nil || got != n+1 {
						t.Errorf("%s: %d, %v", query, got, err)
					}
				}
			})
		}
		running.Wait()
		_, err := db.QueryContext(t.Context(), "SELECT nonsense")
		require.Error(t, err)
	})
}
