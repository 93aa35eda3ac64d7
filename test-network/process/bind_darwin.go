package process

import (
	"os/exec"
	"syscall"
)

// startBound starts a command that a watcher kills when this process ends, however it ends. macOS has no parent-death
// signal. What startBound returns is to be called when the child has ended.
func startBound(command *exec.Cmd) (ended func(), err error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return startWatched(command)
}
