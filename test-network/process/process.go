// Package process runs the programs of a local network as child processes.
//
// A child writes its output to a log file of its own, is asked for its health until it is ready, and does not outlive
// its parent: not when the parent stops it, and not when the parent is killed without a chance to do anything. When a
// child ends by itself, the end of its log tells why.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// logLimit is the size in bytes beyond which a log is put aside when its process starts again. One older log is kept.
	logLimit = 32 << 20
	// firstProbe and slowestProbe are the waits between two questions for health; the wait doubles from one to the other.
	firstProbe   = 10 * time.Millisecond
	slowestProbe = 100 * time.Millisecond
)

// Spec says what to run.
type Spec struct {
	// Name is what messages call the process.
	Name string
	// Program is the absolute path of the executable, Args its arguments, Env its whole environment.
	Program string
	Args    []string
	Env     []string
	// Dir is the working folder.
	Dir string
	// Log is the file to which standard output and standard error are appended.
	Log string
	// Healthy asks the process once whether it is ready for work. It should return soon. Nil means ready when started.
	Healthy func(context.Context) error
}

// Process is a child process that was started.
type Process struct {
	spec     Spec
	command  *exec.Cmd
	done     chan struct{}
	exit     *ExitError // written before done is closed
	stopping atomic.Bool
}

// Start starts a child and returns at once; WaitHealthy waits until it is of use. The child runs in a process group of
// its own, so that an interrupt typed at the terminal reaches the parent alone, which can then stop its children in
// order.
func Start(spec Spec) (*Process, error) {
	output, err := openLog(spec.Log)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", spec.Name, err)
	}
	defer output.Close()

	command := exec.Command(spec.Program, spec.Args...)
	command.Env = spec.Env
	command.Dir = spec.Dir
	command.Stdout = output
	command.Stderr = output
	ended, err := startBound(command)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, command: command, done: make(chan struct{})}
	go p.wait(ended)
	return p, nil
}

// wait reaps the child and records how it ended.
func (p *Process) wait(ended func()) {
	err := p.command.Wait()
	ended()
	status := "exit status 0"
	if err != nil {
		status = err.Error()
	}
	lines, _ := Tail(p.spec.Log, tailLines)
	p.exit = &ExitError{
		Name: p.spec.Name, PID: p.PID(), Status: status, At: time.Now(),
		Asked: p.stopping.Load(), Log: p.spec.Log, Tail: lines,
	}
	close(p.done)
}

// PID is the process id, which stays the same after the process has ended.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the process ended, or nil while it runs.
func (p *Process) Exit() *ExitError {
	select {
	case <-p.done:
		return p.exit
	default:
		return nil
	}
}

// WaitHealthy waits until the process is healthy. It fails with an *ExitError when the process ends first, and with the
// last complaint of the health check when the context does.
func (p *Process) WaitHealthy(ctx context.Context) error {
	if p.spec.Healthy == nil {
		return nil
	}
	for wait := firstProbe; ; wait = min(2*wait, slowestProbe) {
		err := p.spec.Healthy(ctx)
		if exit := p.Exit(); exit != nil {
			return exit
		}
		if err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.done:
			timer.Stop()
			return p.exit
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s is not ready (%w): %w", p.spec.Name, ctx.Err(), err)
		}
	}
}

// Stop asks the process to end and waits for it. A process that has not ended after the grace is killed. Stopping a
// process that has ended does nothing.
func (p *Process) Stop(grace time.Duration) error {
	p.stopping.Store(true)
	if p.Exit() != nil {
		return nil
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask %s to stop: %w", p.spec.Name, err)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return p.Kill()
	}
}

// Kill ends the process at once, with whatever it had started, and waits until it is gone.
func (p *Process) Kill() error {
	p.stopping.Store(true)
	if p.Exit() != nil {
		return nil
	}
	if err := killGroup(p.command.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.spec.Name, err)
	}
	<-p.done
	return nil
}

// openLog opens a log for appending and first puts aside one that has grown large.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}
