package databasetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

var errNotInstalled = errors.New("PostgreSQL's server is not installed (apt-get install postgresql): neither initdb nor /usr/lib/postgresql exists")

// patience bounds how long a server may take to start, and to stop, on a busy machine.
const patience = 2 * time.Minute

// server is a PostgreSQL server in a folder of its own.
type server struct {
	folder  string
	process *exec.Cmd
	ended   chan error
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres:///%s?user=test&host=%s", database, s.folder)
}

// start makes a server and waits until it answers.
func start() (*server, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	user, err := serverUser()
	if err != nil {
		return nil, fmt.Errorf("find a user for PostgreSQL, which refuses root: %w", err)
	}
	folder, err := os.MkdirTemp("", "pg") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	if err := user.own(folder); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	data := filepath.Join(folder, "data")
	initialise := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
	initialise.Dir, initialise.SysProcAttr = folder, user.attributes()
	if output, err := initialise.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, output), os.RemoveAll(folder))
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	defer log.Close()
	process := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off")
	process.Dir, process.SysProcAttr = folder, user.attributes()
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s := &server{folder: folder, process: process, ended: make(chan error, 1)}
	go func() { s.ended <- process.Wait() }()
	if err := s.wait(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w\n%s", err, text), s.stop())
	}
	return s, nil
}

func (s *server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case exit := <-s.ended:
			s.ended <- exit
			return fmt.Errorf("the server ended: %w", exit)
		case <-ctx.Done():
			return err
		}
	}
}

// stop asks for a fast shutdown, kills a server that takes too long, and removes the folder.
func (s *server) stop() error {
	err := s.process.Process.Signal(os.Interrupt)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-s.ended:
	case <-late.C:
		err = errors.Join(errors.New("PostgreSQL did not stop when asked"), s.process.Process.Kill())
		<-s.ended
	}
	return errors.Join(err, os.RemoveAll(s.folder))
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
		return "", errNotInstalled
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}
