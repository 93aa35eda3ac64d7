package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
)

// plan is what the command line says of the network to start.
type plan struct {
	config    string
	ordering  string
	chaincode string
	builder   string
	fabric    string
}

func (p *plan) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&p.config, "config", "", "topology file of a new network")
	flags.StringVar(&p.ordering, "ordering", "", "take the built-in topology with this ordering: bft (the default) or raft")
	flags.StringVar(&p.chaincode, "chaincode", "", "chaincode program (default: \"chaincode\" beside this program)")
	flags.StringVar(&p.builder, "builder", "", "external builder (default: \"ccaas-builder\" beside this program)")
	flags.StringVar(&p.fabric, "fabric-bin", "", "folder with Fabric's own peer and orderer (default: build the pinned release, once)")
}

// arguments are the flags again, for the supervisor, with paths that hold in any folder.
func (p *plan) arguments() []string {
	var list []string
	for name, value := range map[string]string{
		"config": p.config, "ordering": p.ordering, "chaincode": p.chaincode, "builder": p.builder, "fabric-bin": p.fabric,
	} {
		if value != "" {
			list = append(list, "--"+name, value)
		}
	}
	return list
}

// complete makes paths absolute and fills in the programs beside this one.
func (p *plan) complete() error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the folder of this program: %w", err)
	}
	beside := filepath.Dir(own)
	for path, standard := range map[*string]string{
		&p.config: "", &p.fabric: "",
		&p.chaincode: filepath.Join(beside, "chaincode"), &p.builder: filepath.Join(beside, "ccaas-builder"),
	} {
		if *path == "" {
			*path = standard
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return usageError{fmt.Errorf("find %s: %w", *path, err)}
		}
	}
	return nil
}

// topology is the one that the command line names, or nil.
func (p *plan) topology() (*network.Topology, error) {
	var found *network.Topology
	var err error
	switch {
	case p.config != "" && p.ordering != "":
		err = errors.New("give --config or --ordering, not both: the file says how blocks are ordered")
	case p.config != "":
		found, err = network.Load(p.config)
	case p.ordering == "":
	case p.ordering == string(network.ConsensusBFT):
		found, err = network.Parse(bytes.NewReader(config.BFT), "local-bft.yaml")
	case p.ordering == string(network.ConsensusRaft):
		found, err = network.Parse(bytes.NewReader(config.Raft), "local-raft.yaml")
	default:
		err = fmt.Errorf("--ordering is %s or %s, not %q", network.ConsensusBFT, network.ConsensusRaft, p.ordering)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return found, nil
}

// options are those of the network to start.
func (p *plan) options(ctx context.Context, dir string) (testnetwork.Options, error) {
	topology, err := p.topology()
	if err != nil {
		return testnetwork.Options{}, err
	}
	own, err := os.Executable()
	if err != nil {
		return testnetwork.Options{}, fmt.Errorf("find this program, which is the gateway too: %w", err)
	}
	options := testnetwork.Options{Dir: dir, Topology: topology, Chaincode: p.chaincode, Builder: p.builder, Gateway: own, JoinLedger: joinLedger}
	if p.fabric != "" {
		if options.Binaries, err = binaries.Use(ctx, p.fabric); err != nil {
			return options, err
		}
	}
	return options, nil
}
