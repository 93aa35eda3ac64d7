package testnetwork

import (
	"fmt"
	"os"
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
	taken, err := lock.TryLock()
	if err != nil {
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
