package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/server"
)

// newGateway is the branch that runs an organisation's gateway.
func newGateway() *cobra.Command {
	command := &cobra.Command{
		Use:   "gateway",
		Short: "Run an organisation's gateway",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newServe())
	return command
}

func newServe() *cobra.Command {
	var path string
	var settings []string
	command := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve the HTTP interface until it is interrupted",
		Long: `Serves the gateway that the configuration describes; config/gateway.yaml explains every
setting. A setting can also be given as a variable, DATANET_GATEWAY_LIMITS_RATE, or as
--set limits.rate=50. What happens is logged as lines of JSON.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := server.Load(path, os.Environ(), settings)
			if err != nil {
				return usageError{err}
			}
			var level slog.Level
			if err := level.UnmarshalText([]byte(config.Log.Level)); err != nil {
				return usageError{err}
			}
			log := slog.New(slog.NewJSONHandler(command.OutOrStdout(), &slog.HandlerOptions{Level: level}))
			gateway, err := server.New(command.Context(), config, version(), log)
			if err != nil {
				return err
			}
			return gateway.Run(command.Context())
		},
	}
	command.Flags().StringVar(&path, "config", "", "the gateway's configuration")
	command.Flags().StringArrayVar(&settings, "set", nil, "a setting, as limits.rate=50; may be given again")
	mandatory(command, "config")
	return command
}
