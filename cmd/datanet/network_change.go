package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

func newAddOrg() *cobra.Command {
	var org network.Organization
	var keys string
	command := &cobra.Command{
		Use:   "add-org --name NAME --msp-id ID",
		Short: "Bring one more member into the running channel",
		Long: `Makes the certificates of a new organisation, has the administrators of a majority of
members sign the configuration update that admits it, starts its peer and chaincode
process, and has it join the channel and approve the chaincode. It may be repeated
with the same names until it succeeds.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, _, err := supervisorOf(command)
			if err != nil {
				return err
			}
			org.Keys = network.KeyAlgorithm(keys)
			show := &progress{out: command.ErrOrStderr()}
			if err := client.AddOrganization(command.Context(), org, show.show); err != nil {
				return err
			}
			return printStatus(command, client)
		},
	}
	flags := command.Flags()
	flags.StringVar(&org.Name, "name", "", "name of the organisation, a DNS label")
	flags.StringVar(&org.MSPID, "msp-id", "", "name of the organisation on the ledger, for ever")
	flags.StringVar(&org.Domain, "domain", "", "DNS domain (default: NAME.example)")
	flags.StringVar(&keys, "keys", "", "algorithm of its keys: ed25519 (the default) or ecdsa-p256")
	mandatory(command, "name", "msp-id")
	return command
}

func newUpgrade() *cobra.Command {
	var upgrade supervisor.Upgrade
	command := &cobra.Command{
		Use:   "upgrade --version VERSION --sequence N",
		Short: "Bring a new chaincode definition into force while the network runs",
		Args:  arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, _, err := supervisorOf(command)
			if err != nil {
				return err
			}
			if upgrade.Program != "" {
				if upgrade.Program, err = filepath.Abs(upgrade.Program); err != nil {
					return usageError{fmt.Errorf("find the chaincode program: %w", err)}
				}
			}
			show := &progress{out: command.ErrOrStderr()}
			if err := client.Upgrade(command.Context(), upgrade, show.show); err != nil {
				return err
			}
			return printStatus(command, client)
		},
	}
	flags := command.Flags()
	flags.StringVar(&upgrade.Version, "version", "", "version of the chaincode")
	flags.Int64Var(&upgrade.Sequence, "sequence", 0, "number of the definition, one more than the present")
	flags.StringVar(&upgrade.Program, "chaincode", "", "chaincode program (default: the present one)")
	mandatory(command, "version", "sequence")
	return command
}

func newRenew() *cobra.Command {
	return &cobra.Command{
		Use:   "renew",
		Short: "Issue the certificates of a stopped network again",
		Long: `Issues the certificates of nodes and users again, for the same keys and names, so that
accounts on the ledger stay. The network must be stopped.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			dir, err := stateDir(command)
			if err != nil {
				return err
			}
			count, err := testnetwork.Renew(dir)
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), map[string]int{"renewed": count})
			}
			fmt.Fprintf(command.OutOrStdout(), "%s renewed\n", document.Count(count, "certificate"))
			return nil
		},
	}
}

// mandatory makes flags mandatory, and their absence a usage error.
func mandatory(command *cobra.Command, names ...string) {
	command.PreRunE = func(command *cobra.Command, _ []string) error {
		for _, name := range names {
			if !command.Flags().Changed(name) {
				return usageError{fmt.Errorf("give --%s", name)}
			}
		}
		return nil
	}
}
