package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

func newStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show each process, its height, and whether the peers agree",
		Long: `Shows each process of the network with its address and height, whether all peers have
the same blocks, and which certificate ends first. The exit code is 3 if the network
does not run, and 4 if something needs attention.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, dir, err := supervisorOf(command)
			if err != nil {
				return err
			}
			err = printStatus(command, client)
			var notRunning *supervisor.NotRunningError
			if !errors.As(err, &notRunning) {
				return err
			}
			state, err := testnetwork.Open(dir)
			if err != nil {
				return err
			}
			status, err := state.Status()
			if err != nil {
				return err
			}
			return errors.Join(show(command, status), notRunning)
		},
	}
}

// printStatus asks the supervisor for the status and prints it.
func printStatus(command *cobra.Command, client *supervisor.Client) error {
	status, err := client.Status(command.Context())
	if err != nil {
		return err
	}
	if err := show(command, status); err != nil {
		return err
	}
	if len(status.Problems) > 0 {
		return errUnwell
	}
	return nil
}

func show(command *cobra.Command, status *testnetwork.Status) error {
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), status)
	}
	return writeStatus(command.OutOrStdout(), status)
}

// writeStatus prints a status for people.
func writeStatus(out io.Writer, status *testnetwork.Status) error {
	fmt.Fprintf(out, "channel %s, %s ordering, chaincode %s, in %s\n\n", status.Channel, status.Ordering, status.Chaincode, status.Dir)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROCESS\tORGANISATION\tSTATE\tPID\tADDRESS\tHEIGHT\tSINCE")
	for _, node := range status.Nodes {
		name := node.Name
		if node.Leader {
			name += " (leads)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, node.MSPID, node.State,
			number(uint64(node.PID)), node.Address, number(node.Height), since(node.Started))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	fmt.Fprintln(out)
	if agreement := status.Agreement; agreement != nil && agreement.Agree {
		fmt.Fprintf(out, "all %d peers agree up to block %d\n", len(agreement.Hashes), agreement.Block)
	}
	if expires := status.Expires; !expires.NotAfter.IsZero() {
		fmt.Fprintf(out, "first certificate to end: %s of %s (%s), on %s\n", expires.Holder, expires.Organization, expires.Kind, expires.NotAfter.Format(time.DateOnly))
	}
	for _, problem := range status.Problems {
		fmt.Fprintln(out, "problem:", problem)
	}
	return nil
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

func since(start time.Time) string {
	if start.IsZero() {
		return "-"
	}
	return cmp.Or(time.Since(start).Round(time.Second), time.Second).String()
}
