package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

func newUp() *cobra.Command {
	var p plan
	command := &cobra.Command{
		Use:   "up",
		Short: "Start the network, or resume it, and return when its chaincode is committed",
		Long: `Starts the network and leaves a supervisor behind that keeps it running. A network that
was stopped goes on with its ledgers; of one that runs, processes that have ended are
started again.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := up(command, p)
			if err != nil {
				return err
			}
			return printStatus(command, client)
		},
	}
	p.flags(command)
	return command
}

// up starts, resumes or heals the network and returns its supervisor.
func up(command *cobra.Command, p plan) (*supervisor.Client, error) {
	client, dir, err := supervisorOf(command)
	if err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	topology, err := p.topology()
	if err != nil {
		return nil, err
	}
	ctx := command.Context()
	if p.fabric != "" {
		if _, err := binaries.Use(ctx, p.fabric); err != nil {
			return nil, err
		}
	}
	holder, err := testnetwork.Holder(dir)
	var none *testnetwork.NoNetworkError
	switch {
	case errors.As(err, &none):
		if topology == nil {
			p.ordering = string(network.ConsensusBFT)
		}
		err = testnetwork.Prepare(dir)
	case err == nil && holder == 0 && topology == nil && !founded(dir):
		p.ordering = string(network.ConsensusBFT)
	}
	if err != nil {
		return nil, err
	}
	show := &progress{out: command.ErrOrStderr()}
	if holder != 0 {
		return client, attach(command.Context(), client, dir, topology, show)
	}

	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	arguments := append([]string{"network", "supervise", "--dir", dir}, p.arguments()...)
	begun := time.Now()
	err = supervisor.Spawn(ctx, dir, own, arguments, show.show)
	show.finish()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(command.ErrOrStderr(), "the network is up after %.1f s\n", time.Since(begun).Seconds())
	return client, nil
}

// founded tells whether a network was founded in a state folder; the folder of a start that failed early has none.
func founded(dir string) bool {
	_, err := testnetwork.Open(dir)
	var none *testnetwork.NoNetworkError
	return !errors.As(err, &none)
}

// attach waits for a network that another process runs, and starts what has ended of it.
func attach(ctx context.Context, client *supervisor.Client, dir string, topology *network.Topology, show *progress) error {
	if topology != nil {
		if err := testnetwork.Check(dir, topology); err != nil {
			return err
		}
	}
	healed, err := awaitSupervisor(ctx, client, dir)
	if err != nil {
		return err
	}
	text := "the network is running already"
	if len(healed.Processes) > 0 {
		text = "started again: " + strings.Join(healed.Processes, ", ")
	}
	show.show(supervisor.Event{Progress: text})
	return nil
}

// awaitSupervisor heals a network as soon as its supervisor takes commands.
func awaitSupervisor(ctx context.Context, client *supervisor.Client, dir string) (*supervisor.Healed, error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		healed, err := client.Heal(ctx)
		var notRunning *supervisor.NotRunningError
		if !errors.As(err, &notRunning) {
			return healed, err
		}
		if holder, err := testnetwork.Holder(dir); err != nil || holder == 0 {
			return nil, errors.Join(notRunning, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the supervisor: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
