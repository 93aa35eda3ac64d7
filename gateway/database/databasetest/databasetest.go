// Package databasetest runs tests on every kind of database that the gateway may use.
package databasetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

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

// PostgreSQL starts a PostgreSQL server in a folder of its own, reached by a Unix socket only, stops it when the test
// ends, and returns its URL, to which options are added with "&". Where PostgreSQL is not installed the test is
// skipped, in continuous integration (CI is set) it fails.
func PostgreSQL(t *testing.T) string {
	t.Helper()
	programs, err := postgresPrograms()
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	user, err := serverUser()
	require.NoError(t, err)

	folder, err := os.MkdirTemp("", "pg") // short: a socket's path has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, user.own(folder))
	data := filepath.Join(folder, "data")

	initialise := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
	initialise.Dir, initialise.SysProcAttr = folder, user.attributes()
	output, err := initialise.CombinedOutput()
	require.NoError(t, err, string(output))

	log, err := os.Create(filepath.Join(folder, "log"))
	require.NoError(t, err)
	defer log.Close()
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off")
	server.Dir, server.SysProcAttr = folder, user.attributes()
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { stop(t, server, ended) })

	url := "postgres:///postgres?user=test&host=" + folder
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			require.NoError(t, conn.Close(t.Context()))
			return url
		}
		select {
		case <-tick.C:
		case exit := <-ended:
			ended <- exit
			text, _ := os.ReadFile(log.Name())
			require.FailNow(t, "PostgreSQL did not start", "%v\n%s", exit, text)
		case <-deadline:
			text, _ := os.ReadFile(log.Name())
			require.FailNow(t, "PostgreSQL did not answer", "%v\n%s", err, text)
		}
	}
}

// stop asks the server for a fast shutdown and kills it if it takes too long.
func stop(t *testing.T, server *exec.Cmd, ended <-chan error) {
	if err := server.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop PostgreSQL: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Errorf("PostgreSQL did not stop: %v", server.Process.Kill())
		<-ended
	}
}

// postgresPrograms finds the folder of initdb and postgres, which distributions keep out of PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb", "/opt/homebrew/opt/postgresql*/bin/initdb"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		found = append(found, paths...)
	}
	if len(found) == 0 {
		return "", errors.New("PostgreSQL's server is not installed (apt-get install postgresql): neither initdb nor /usr/lib/postgresql exists")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}
