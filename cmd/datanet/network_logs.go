package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

func newLogs() *cobra.Command {
	var follow bool
	var lines int
	command := &cobra.Command{
		Use:   "logs PROCESS",
		Short: "Print the end of a process's log",
		Long:  `Prints the end of the log of a process that "status" names, or of the supervisor.`,
		Args:  arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			names, _ := logFiles(command)
			var list []string
			for name := range names {
				list = append(list, name)
			}
			return list, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(command *cobra.Command, args []string) error {
			files, err := logFiles(command)
			if err != nil {
				return err
			}
			path, ok := files[args[0]]
			if !ok {
				return usageError{fmt.Errorf("there is no process %q: see \"datanet network status\" for their names", args[0])}
			}
			tail, err := process.Tail(path, lines)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			for _, line := range tail {
				fmt.Fprintln(command.OutOrStdout(), line)
			}
			if follow {
				return followFile(command.Context(), command.OutOrStdout(), path)
			}
			return nil
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is added, until interrupted")
	command.Flags().IntVarP(&lines, "lines", "n", 50, "number of lines")
	return command
}

// logFiles are the paths of all logs by the name of the process.
func logFiles(command *cobra.Command) (map[string]string, error) {
	dir, err := stateDir(command)
	if err != nil {
		return nil, err
	}
	state, err := testnetwork.Open(dir)
	if err != nil {
		return nil, err
	}
	status, err := state.Status()
	if err != nil {
		return nil, err
	}
	files := map[string]string{"supervisor": filepath.Join(dir, "supervisor.log")}
	for _, node := range status.Nodes {
		files[node.Name] = node.Log
	}
	return files, nil
}

// followFile prints what is added to a file until the context ends. A file that is put aside, as a long log is when its
// process starts again, is followed by its successor from the beginning.
func followFile(ctx context.Context, out io.Writer, path string) error {
	offset, err := size(path)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := size(path)
		if err != nil {
			return err
		}
		if now < offset {
			offset = 0
		}
		if now == offset {
			continue
		}
		if err := copyPart(out, path, offset, now); err != nil {
			return err
		}
		offset = now
	}
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at the log: %w", err)
	}
	return info.Size(), nil
}

func copyPart(out io.Writer, path string, from, to int64) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer file.Close()
	if _, err := io.Copy(out, io.NewSectionReader(file, from, to-from)); err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	return nil
}
