//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// watcherScript reads the ids of children, one in a line, a negative one for a child that has ended. Its input ends
// when the parent does, and then it kills the children that are left.
const watcherScript = `
children=
while read -r id; do
	case $id in
	-*)
		left=
		for child in $children; do
			[ "-$child" = "$id" ] || left="$left $child"
		done
		children=$left
		;;
	*) children="$children $id" ;;
	esac
done
for child in $children; do kill -9 "$child"; done
`

// watcher is the process that reads watcherScript; there is one for all children of this process.
type watcher struct {
	lock  sync.Mutex
	input io.Writer
}

var startWatcher = sync.OnceValues(func() (*watcher, error) {
	command := exec.Command("/bin/sh", "-c", watcherScript)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the process that ends children with their parent: %w", err)
	}
	return &watcher{input: input}, nil
})

// startWatched starts a command and tells the watcher of it. What it returns is to be called when the child has ended.
func startWatched(command *exec.Cmd) (ended func(), err error) {
	w, err := startWatcher()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	id := command.Process.Pid
	if err := w.tell(id); err != nil {
		return nil, errors.Join(err, command.Process.Kill(), command.Wait())
	}
	return func() {
		// Without the watcher there is nobody who could kill the child's id by mistake.
		_ = w.tell(-id)
	}, nil
}

// tell writes one line to the watcher.
func (w *watcher) tell(id int) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	if _, err := fmt.Fprintln(w.input, id); err != nil {
		return fmt.Errorf("tell the watcher of process %d: %w", id, err)
	}
	return nil
}

// killGroup kills a child and whatever it had started.
func killGroup(child *os.Process) error {
	err := syscall.Kill(-child.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
