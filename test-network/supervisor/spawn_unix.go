//go:build linux || darwin

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/datanet-consortium/datanet/test-network/process"
)

// startedFD is the file descriptor to which a spawned supervisor reports its start.
const startedFD = 3

// Started is where a program that Spawn has started reports its start. It keeps the file from its own children.
func Started() *os.File {
	syscall.CloseOnExec(startedFD)
	return os.NewFile(startedFD, "start report")
}

// Spawn starts a program as the supervisor of the network in the folder dir, passes on what it reports, and returns when
// the network is up. The supervisor goes on when this process ends. If the context ends first, so does the supervisor.
func Spawn(ctx context.Context, dir, program string, arguments []string, watch func(Event)) error {
	path := filepath.Join(dir, logFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer log.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the supervisor: %w", err)
	}
	defer reader.Close()

	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{writer}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = command.Start()
	writer.Close()
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer stop()

	err = follow(reader, watch)
	if err == nil {
		return nil
	}
	<-ended
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errVanished) {
		lines, _ := process.Tail(path, 10)
		return fmt.Errorf("%w; the end of its log %s:\n    %s", err, path, strings.Join(lines, "\n    "))
	}
	return err
}
