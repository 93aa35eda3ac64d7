package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// RunningError says that a process runs the network in a folder already.
type RunningError struct {
	Dir string
	// PID is its process id, or 0 if it has not written it yet.
	PID int
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("the network in %s is run by process %d: see \"datanet network status\", or stop it with \"datanet network down\"", e.Dir, e.PID)
}

// take locks the folder for this process until the lock is released or the process ends. The lock is the kernel's, so
// nothing is left behind by a process that was killed.
func (f folder) take() (*flock.Flock, error) {
	lock := flock.New(f.lock(), flock.SetPermissions(0o600))
	// Somebody who only looks whether the network runs holds the lock for a moment.
	ctx, cancel := context.WithTimeout(context.Background(), 5*retryEvery)
	defer cancel()
	taken, err := lock.TryLockContext(ctx, retryEvery)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, explainDisk(fmt.Errorf("lock the state folder: %w", err))
	}
	if !taken {
		return nil, &RunningError{Dir: string(f), PID: f.holder()}
	}
	if err := os.WriteFile(f.lock(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		lock.Unlock()
		return nil, explainDisk(fmt.Errorf("write the lock file: %w", err))
	}
	return lock, nil
}

// holder is the process id in the lock file, or 0.
func (f folder) holder() int {
	content, err := os.ReadFile(f.lock())
	if err != nil {
		return 0
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return id
}

// AwaitStopped waits until no process runs the network in the folder dir.
func AwaitStopped(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the state folder: %w", err)
	}
	lock := flock.New(folder(dir).lock(), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, retryEvery); err != nil {
		return fmt.Errorf("process %d goes on running the network in %s: %w", folder(dir).holder(), dir, err)
	}
	return lock.Unlock()
}

// Holder is the process id of the process that runs the network in the folder dir, or 0 if none does.
func Holder(dir string) (int, error) {
	f, err := openFolder(dir)
	if err != nil {
		return 0, err
	}
	lock := flock.New(f.lock(), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return 0, fmt.Errorf("look at the lock of the state folder: %w", err)
	}
	if free {
		return 0, lock.Unlock()
	}
	return f.holder(), nil
}
