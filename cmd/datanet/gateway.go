package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/server"
)

// newGateway is the branch that runs an organisation's gateway.
func newGateway() *cobra.Command {
	command := &cobra.Command{
		Use:   "gateway",
		Short: "Run an organisation's gateway, back it up, change its master key",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newServe(), newBackup(), newBackups(), newRestore(), newRotateKey(), newRetireKey())
	return command
}

const (
	// gatewayGOGC lets the heap of a gateway grow to five times what is alive before it is collected. Alive are some
	// tens of megabytes, and what a request leaves behind is small and many (docs/performance.md).
	gatewayGOGC = 400
	// gatewayMemory is where the collector begins to work harder instead of letting the heap grow, in bytes.
	gatewayMemory = 1 << 30
)

// collectLess sets when memory is collected, where the environment does not say.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gatewayGOGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(gatewayMemory)
	}
}

func newServe() *cobra.Command {
	var g gatewayConfig
	command := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve the HTTP interface until it is interrupted",
		Long: `Serves the gateway that the configuration describes; config/gateway.yaml explains every
setting. A setting can also be given as a variable, DATANET_GATEWAY_LIMITS_RATE, or as
--set limits.rate=50. What happens is logged as lines of JSON.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := g.load()
			if err != nil {
				return err
			}
			var level slog.Level
			if err := level.UnmarshalText([]byte(config.Log.Level)); err != nil {
				return usageError{err}
			}
			collectLess()
			log := slog.New(slog.NewJSONHandler(command.OutOrStdout(), &slog.HandlerOptions{Level: level}))
			gateway, err := server.New(command.Context(), config, version(), log)
			if err != nil {
				return err
			}
			return gateway.Run(command.Context())
		},
	}
	g.flags(command)
	return command
}
