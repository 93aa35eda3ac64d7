package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

// newNetwork is the branch that runs a network on this machine.
func newNetwork() *cobra.Command {
	command := &cobra.Command{
		Use:   "network",
		Short: "Run a whole consortium on this machine",
		Long: `Runs real Fabric peers and orderers, and a chaincode process for each organisation, on
this machine, with TLS everywhere and no container engine. All state lies in one
folder; the processes end with the supervisor that "up" leaves behind.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.PersistentFlags().String("dir", ".datanet", "state folder of the network")
	command.AddCommand(newUp(), newDown(), newStatus(), newLogs(), newAddOrg(), newUpgrade(), newRenew(), newSupervise())
	return command
}

// stateDir is the absolute path of the state folder.
func stateDir(command *cobra.Command) (string, error) {
	dir, err := command.Flags().GetString("dir")
	if err != nil {
		return "", usageError{err}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("find the state folder: %w", err)
	}
	return dir, nil
}

// supervisorOf is a client of the network's supervisor, with the state folder.
func supervisorOf(command *cobra.Command) (*supervisor.Client, string, error) {
	dir, err := stateDir(command)
	if err != nil {
		return nil, "", err
	}
	client, err := supervisor.NewClient(dir)
	return client, dir, err
}
