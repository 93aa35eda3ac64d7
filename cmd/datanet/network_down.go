package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

// downLimit is how long a network may take to stop; it takes about a tenth of a second.
const downLimit = 30 * time.Second

func newDown() *cobra.Command {
	var clean bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop the network",
		Long: `Stops all processes of the network. Its ledgers stay and "up" resumes them, unless
--clean removes the state folder.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, dir, err := supervisorOf(command)
			if err != nil {
				return err
			}
			// A folder of another version cannot be run, but it can be removed.
			holder, err := testnetwork.Holder(dir)
			if err != nil && !clean {
				return err
			}
			if holder != 0 {
				if err := down(command.Context(), client, dir, holder); err != nil {
					return err
				}
			}
			if !clean {
				fmt.Fprintln(command.ErrOrStderr(), "the network is stopped")
				return nil
			}
			if err := testnetwork.Clean(dir); err != nil {
				return err
			}
			fmt.Fprintf(command.ErrOrStderr(), "the network is stopped and %s removed\n", dir)
			return nil
		},
	}
	command.Flags().BoolVar(&clean, "clean", false, "remove the state folder with the ledgers and all keys")
	return command
}

// down stops the network that a process holds.
func down(ctx context.Context, client *supervisor.Client, dir string, holder int) error {
	ctx, cancel := context.WithTimeout(ctx, downLimit)
	defer cancel()
	err := client.Stop(ctx)
	var notRunning *supervisor.NotRunningError
	if !errors.As(err, &notRunning) {
		return err
	}
	// It is still starting, or not a supervisor but a program that runs the network itself.
	process, err := os.FindProcess(holder)
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop process %d, which runs the network: %w", holder, err)
	}
	if err := testnetwork.AwaitStopped(ctx, dir); err != nil {
		return fmt.Errorf("%w: kill it, the network's processes end with it", err)
	}
	return nil
}
