package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// newLosses are the commands about what a gateway has lost.
func newLosses() []*cobra.Command { return []*cobra.Command{newLost(), newRecover()} }

func newLost() *cobra.Command {
	return &cobra.Command{
		Use:   "lost",
		Short: "List contents of your organisation's contributors that its gateway has lost",
		Long: `The gateway looks for what is missing or damaged by itself, and asks for it again from whoever holds it
to hand it on, as keepers of replicas do ("datanet replica"). What is listed nobody has given back so far.
Contents that are there and cannot be read are listed too.

For the role operator.`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			lost, err := c.Lost(command.Context())
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), lost)
			}
			return printLost(command.OutOrStdout(), lost)
		}),
	}
}

func newRecover() *cobra.Command {
	var read bool
	command := &cobra.Command{
		Use:   "recover",
		Short: "Have your gateway look for contents that it has lost, and get them back",
		Long: `Looks whether the content of each contribution of your organisation is there, and fetches what is lost
from who holds it. Each release stands on the ledger, and what comes is checked against its commitment.
The gateway does so by itself too, when it starts and when something cannot be read. What is erased
does not come back. Contents that are there and cannot be read, as for their files' permissions, are
told and left as they are. The exit code is 4 if something stays lost or cannot be read.

For the role operator.`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			lost, err := c.Recover(command.Context(), read)
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				err = printJSON(command.OutOrStdout(), lost)
			} else {
				fmt.Fprintf(command.OutOrStdout(), "%s came back.\n", document.Count(lost.Returned, "content"))
				err = printLost(command.OutOrStdout(), lost)
			}
			if err == nil && lost.Count+lost.Unreadable > 0 {
				err = fmt.Errorf("lost: %s, cannot be read: %d: %w", document.Count(lost.Count, "content"), lost.Unreadable, errUnwell)
			}
			return err
		}),
	}
	command.Flags().BoolVar(&read, "read", false, "read each content whole too, which finds bytes that were altered")
	return command
}

func printLost(out io.Writer, lost client.Lost) error {
	for _, c := range lost.Unread {
		of := "of no contribution yet"
		if c.ID != "" {
			of = c.Datanet + " " + c.ID
		}
		if _, err := fmt.Fprintf(out, "%s  content %s: %s\n", of, c.Content, printable(c.Why)); err != nil {
			return err
		}
	}
	if more := lost.Unreadable - len(lost.Unread); more > 0 {
		if _, err := fmt.Fprintf(out, "and %d more that cannot be read\n", more); err != nil {
			return err
		}
	}
	if lost.Count == 0 {
		when := "; not everything was looked through yet"
		if !lost.Looked.IsZero() {
			when = ", as of " + lost.Looked.Format(time.RFC3339)
		}
		_, err := fmt.Fprintf(out, "Nothing is lost%s.\n", when)
		return err
	}
	for _, c := range lost.Items {
		if _, err := fmt.Fprintf(out, "%s %s  of %s, %s: %s\n", c.Datanet, c.ID, c.Contributor, c.State, printable(c.Why)); err != nil {
			return err
		}
	}
	if more := lost.Count - len(lost.Items); more > 0 {
		_, err := fmt.Fprintf(out, "and %d more\n", more)
		return err
	}
	return nil
}
