package main

import (
	"fmt"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newSettleNow() *cobra.Command {
	return &cobra.Command{
		Use:   "settle-now",
		Short: "Have your gateway settle whatever consumers have signed for",
		Long: `Your gateway settles by itself, by amount, by age and when sessions expire. This makes it settle at once
what it would otherwise let grow. What the ledger would refuse, since too little of it goes to the data,
waits all the same.

For the roles: host, operator.`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			settled, err := c.SettleNow(command.Context())
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), settled)
			}
			for _, s := range settled {
				fmt.Fprintf(command.OutOrStdout(), "%s  %s  %s of %s, fees %v, of which %v wait for attestation\n", s.ID, s.Model.Named, document.Count(s.Uses, "use"), document.Count(s.Sessions, "session"), s.Fees, s.Left)
			}
			if len(settled) == 0 {
				fmt.Fprintln(command.OutOrStdout(), "Nothing was to be settled.")
			}
			return nil
		}),
	}
}
