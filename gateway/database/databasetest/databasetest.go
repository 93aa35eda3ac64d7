// Package databasetest runs tests on every kind of database that the gateway may use.
package databasetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
)

// Each runs a test on an empty SQLite file and on an empty PostgreSQL schema.
func Each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	EachURL(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		test(t, db)
	})
}

// EachURL is [Each] for tests that open the database themselves, in another process say.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, database.SQLiteURL(filepath.Join(t.TempDir(), "test.db")))
	})
	t.Run("postgresql", func(t *testing.T) {
		test(t, PostgreSQL(t)+"&schema=test")
	})
}

// shared is the server of the tests of a package that uses [Main].
var shared struct {
	use   bool
	start sync.Once
	*server
	err error
}

// Main is for TestMain of a package with several tests: they share one PostgreSQL server, which ends with them.
func Main(m *testing.M) {
	shared.use = true
	code := m.Run()
	if shared.server != nil {
		if err := shared.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var databases atomic.Int64

// PostgreSQL returns the URL of an empty database of a PostgreSQL server of this process, to which options are added
// with "&". The server is reached by a Unix socket only and stopped at the end. Where PostgreSQL is not installed the
// test is skipped, in continuous integration (CI is set) it fails.
func PostgreSQL(t *testing.T) string {
	t.Helper()
	running, err := running(t)
	if errors.Is(err, errNotInstalled) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	conn, err := pgx.Connect(context.Background(), running.url("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	name := fmt.Sprintf("test%d", databases.Add(1))
	_, err = conn.Exec(context.Background(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return running.url(name)
}

func running(t *testing.T) (*server, error) {
	if shared.use {
		shared.start.Do(func() { shared.server, shared.err = start() })
		return shared.server, shared.err
	}
	s, err := start()
	if err == nil {
		t.Cleanup(func() { require.NoError(t, s.stop()) })
	}
	return s, err
}
