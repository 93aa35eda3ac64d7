package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

// newSupervise is the command as which "up" starts this program again.
func newSupervise() *cobra.Command {
	var p plan
	command := &cobra.Command{
		Use:    "supervise",
		Short:  "Be the supervisor of the network",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			dir, err := stateDir(command)
			if err != nil {
				return err
			}
			if err := p.complete(); err != nil {
				return err
			}
			options, err := p.options(command.Context(), dir)
			if err != nil {
				return err
			}
			return supervisor.Serve(command.Context(), options, supervisor.Started(), slog.New(slog.NewTextHandler(command.OutOrStdout(), nil)))
		},
	}
	p.flags(command)
	return command
}
