package process

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startBound starts a command that the kernel kills when this process ends, however it ends.
//
// Linux sends the parent-death signal when the *thread* that forked ends, and Go ends threads when it likes. So one
// goroutine, locked to a thread for the life of this process, forks every child. What startBound returns is to be called
// when the child has ended.
func startBound(command *exec.Cmd) (ended func(), err error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	forks() <- func() { result <- command.Start() }
	return func() {}, <-result
}

// forks starts the forking goroutine and returns what it reads from. The channel is never closed.
var forks = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fork := range work {
			fork()
		}
	}()
	return work
})
