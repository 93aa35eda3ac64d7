package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newTicketDownload() *cobra.Command {
	var folder string
	command := &cobra.Command{
		Use:   "download ID",
		Short: "Download what a ticket covers, as JSON Lines with record ids",
		Long: `Downloads the records of each snapshot that the ticket names into a file DATANET@NUMBER.jsonl of the
folder, verified against the ledger by your gateway. Each line is {"contribution", "record", "text"}.
Files that are complete are left as they are, and an interrupted one goes on after its last whole
record.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			t, _, err := client.Get[ticket.Ticket](command.Context(), c, client.Path("tickets", args[0]), nil)
			if err != nil {
				return err
			}
			return downloadTicket(command, c, t, folder, func(output string) { fmt.Fprintln(command.OutOrStdout(), output) })
		}),
	}
	command.Flags().StringVarP(&folder, "output", "o", ".", "the folder to write to")
	return command
}

// recordsFile is where the records of a ticket's snapshot are downloaded to.
func recordsFile(folder string, source ticket.Source) string {
	return filepath.Join(folder, fmt.Sprintf("%s@%d.jsonl", strings.ReplaceAll(source.Datanet, "/", "-"), source.Number))
}

// downloadTicket downloads all that a ticket covers and is not there yet. One snapshot that fails keeps no other from being
// downloaded.
func downloadTicket(command *cobra.Command, c *client.Client, t ticket.Ticket, folder string, done func(output string)) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return usageError{err}
	}
	var faults []error
	for _, source := range t.Sources {
		output := recordsFile(folder, source)
		if _, err := os.Stat(output); err == nil {
			fmt.Fprintf(command.ErrOrStderr(), "%s is complete\n", output)
			continue
		}
		if err := downloadSource(command, c, t.ID, source, output); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", source.Datanet, err))
			continue
		}
		done(output)
	}
	return errors.Join(faults...)
}

func downloadSource(command *cobra.Command, c *client.Client, id string, source ticket.Source, output string) error {
	ctx := command.Context()
	var bar *progressbar.ProgressBar
	if isTerminal(command.ErrOrStderr()) {
		bar = progressbar.NewOptions64(source.Records, progressbar.OptionSetWriter(command.ErrOrStderr()),
			progressbar.OptionSetDescription(filepath.Base(output)), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	records, err := c.DownloadRecords(ctx, client.SnapshotContentPath(id, source.Datanet), output, func(records int64) {
		if bar != nil {
			_ = bar.Set64(records) // a bar that cannot be drawn is no reason to stop
		}
	})
	if bar != nil {
		_ = bar.Finish()
	}
	if err != nil {
		return err
	}
	return checkRecords(ctx, command, c, source.Named, records, output)
}

// checkRecords compares what was downloaded with what the ledger says the snapshot has now.
func checkRecords(ctx context.Context, command *cobra.Command, c *client.Client, n snapshot.Named, records int64, output string) error {
	now, _, err := client.Get[snapshot.Snapshot](ctx, c, client.Path("datanets", n.Datanet, "snapshots", fmt.Sprint(n.Number)), nil)
	if err != nil {
		return fmt.Errorf("compare the download with the ledger: %w", err)
	}
	switch {
	case records > now.Records:
		return errors.Join(fmt.Errorf("%s came, and the snapshot has only %d: a contribution was erased meanwhile; download again", document.Count(records, "record"), now.Records), os.Remove(output))
	case records < now.Records:
		fmt.Fprintf(command.ErrOrStderr(), "%d of the %d records are not given any more: they are being erased\n", now.Records-records, now.Records)
	}
	return nil
}
