package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// maxReaders bounds the connections that read; each costs about 2 MB of cache.
func maxReaders() int { return max(4, 2*runtime.GOMAXPROCS(0)) }

func openSQLite(ctx context.Context, address string) (*DB, error) {
	path, synchronous, err := sqlitePath(address)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// SQLite gives its other files the permissions of this one.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	connect := func(pragmas ...string) (*sql.DB, error) {
		options := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...), "_txlock": {"immediate"}}
		slash := filepath.ToSlash(path)
		if slash[0] != '/' {
			slash = "/" + slash // C:/…
		}
		return sql.Open("sqlite", "file:"+(&url.URL{Path: slash}).EscapedPath()+"?"+options.Encode())
	}
	secureDelete := "0"
	if synchronous == "full" { // see Shred
		secureDelete = "1"
	}
	write, err := connect("journal_mode(WAL)", "synchronous("+synchronous+")", "foreign_keys(1)", "secure_delete("+secureDelete+")")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), write.Close())
	}
	read, err := connect("query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(maxReaders())
	read.SetMaxIdleConns(maxReaders())
	return &DB{Dialect: SQLite, read: read, write: write, statements: map[string]*sql.Stmt{}}, nil
}

func sqlitePath(address string) (path, synchronous string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", errors.New("the URL is malformed")
	}
	path = u.Path
	if u.Opaque != "" {
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", "", errors.New("the URL's path is malformed")
		}
	}
	if u.Host != "" || path == "" {
		return "", "", errors.New("a SQLite URL is sqlite: and the path of a file")
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", "", errors.New("the URL's options are malformed")
	}
	synchronous = "full"
	for name, values := range options {
		if name != "synchronous" || len(values) != 1 || !slices.Contains([]string{"full", "normal"}, values[0]) {
			return "", "", errors.New("a SQLite URL's only option is synchronous=full or synchronous=normal")
		}
		synchronous = values[0]
	}
	if path, err = filepath.Abs(filepath.FromSlash(path)); err != nil {
		return "", "", err
	}
	return path, synchronous, nil
}
