package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newDrawSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "draw-secret",
		Short: "Draw the secret of a next fingerprint epoch, to propose it",
		Long: `Has your gateway draw the secret under which contents are recognised, and prints the parameters
with which the epoch is proposed. The secret itself stays in the gateways of the members, which
hand it to each other. For operators.`,
		Example: `  datanet proposal propose fingerprint.rotate --expires 7d --params "$(datanet proposal draw-secret)"`,
		Args:    arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			drawn, err := client.Do[contribution.Rotation](command.Context(), c, "POST", client.Path("fingerprint-secrets"), ledger.Nothing{})
			if err != nil {
				return err
			}
			text, err := ledger.Encode(drawn)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s\n", text)
			return err
		}),
	}
}
