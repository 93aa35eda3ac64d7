package testnetwork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/datanet-consortium/datanet/network"
)

// Upgrade brings a new chaincode definition into force while the network runs. The sequence must be the one after the
// current. The program, unless it is "", is from now on that of all organisations without one of their own. Each
// organisation's new process runs beside its old one until the definition is committed, so no call finds nobody to
// answer it. When Upgrade fails, the definition that peers have in force decides which processes stay.
func (n *Network) Upgrade(ctx context.Context, version string, sequence int64, program string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.allRun(); err != nil {
		return err
	}
	ctx, cancel := n.failing(ctx)
	defer cancel()

	topology, err := network.Load(n.folder.current())
	if err != nil {
		return err
	}
	if want := topology.Chaincode.Sequence + 1; sequence != want {
		return fmt.Errorf("the next chaincode definition has sequence %d, not %d", want, sequence)
	}
	next := network.Chaincode{Name: topology.Chaincode.Name, Version: version, Sequence: sequence}
	topology.Chaincode = next
	if err := topology.Validate(); err != nil {
		return fmt.Errorf("upgrade the chaincode: %w", err)
	}
	state, err := n.folder.state(topology)
	if err != nil {
		return err
	}
	if program != "" {
		n.options.Chaincode = program
	}
	if err := n.announce(next); err != nil {
		return err
	}
	old, fresh, err := n.runBeside(state)
	if err == nil {
		err = n.agree(ctx, state)
	}
	if err != nil && !n.inForce(state) {
		for i := range fresh {
			err = errors.Join(err, fresh[i].process.Kill())
			n.put(old[i])
		}
		return fmt.Errorf("upgrade the chaincode to %s: %w", state.definition(), err)
	}
	if err := n.adopt(next); err != nil {
		return err
	}
	if err := os.Remove(n.folder.upgrading()); err != nil {
		return fmt.Errorf("end the upgrade: %w", err)
	}
	for _, node := range old {
		if err := node.process.Stop(stopGrace); err != nil {
			return err
		}
	}
	return nil
}

// runBeside starts the chaincode processes of a new definition and puts them in the place of the old ones, which it
// leaves running. When it fails, it returns those that it has replaced.
func (n *Network) runBeside(state *State) (old, fresh []*node, err error) {
	for _, org := range state.topology.Organizations() {
		node, err := n.planChaincode(state, org)
		if err != nil {
			return old, fresh, err
		}
		before, err := n.find(node.name)
		if err != nil {
			return old, fresh, err
		}
		if err := n.run(node); err != nil {
			return old, fresh, err
		}
		n.put(node)
		old, fresh = append(old, before), append(fresh, node)
	}
	return old, fresh, nil
}

// inForce asks whether the definition of the state is committed, after a failure that may have been only one to hear of
// it.
func (n *Network) inForce(state *State) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	parties, err := state.parties()
	if err != nil {
		return false
	}
	defer hangUp(parties)
	want := state.definition()
	for _, p := range parties {
		found, present, err := p.peer.Committed(ctx, want.Channel, want.Name)
		if err == nil && present && found == want {
			return true
		}
	}
	return false
}

// announce notes a definition before it is committed.
func (n *Network) announce(next network.Chaincode) error {
	content, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the chaincode definition: %w", err)
	}
	return writeFile(n.folder.upgrading(), content)
}

// askLimit bounds questions whose answer may be missing.
const askLimit = 5 * time.Second
