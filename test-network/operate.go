package testnetwork

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"golang.org/x/sync/errgroup"
)

// KillNode ends a process at once, as a crash would. RestartNode starts it again.
func (n *Network) KillNode(name string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	node, err := n.find(name)
	if err != nil {
		return err
	}
	return node.process.Kill()
}

// StopNode ends a process in order.
func (n *Network) StopNode(name string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	node, err := n.find(name)
	if err != nil {
		return err
	}
	return node.process.Stop(stopGrace)
}

// RestartNode starts a process again, stopping it first if it runs, and returns when it is healthy. A peer or orderer
// may then still lack blocks.
func (n *Network) RestartNode(ctx context.Context, name string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	node, err := n.find(name)
	if err != nil {
		return err
	}
	return n.restart(ctx, node)
}

func (n *Network) restart(ctx context.Context, node *node) error {
	if err := node.process.Stop(stopGrace); err != nil {
		return err
	}
	if err := n.run(node); err != nil {
		return err
	}
	return node.process.WaitHealthy(ctx)
}

// Heal starts every process that does not run, and returns their names.
func (n *Network) Heal(ctx context.Context) ([]string, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	var names []string
	var healing errgroup.Group
	for _, node := range n.list() {
		if node.process.Exit() == nil {
			continue
		}
		names = append(names, node.name)
		healing.Go(func() error { return n.restart(ctx, node) })
	}
	return names, healing.Wait()
}

// SetChaincodeBinary replaces the chaincode program of one organisation, under the same definition and package. Peers
// cannot tell the difference, which is why an endorsement is worth what its organisation is worth.
func (n *Network) SetChaincodeBinary(ctx context.Context, mspID, program string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := executable("the chaincode of "+mspID, program); err != nil {
		return err
	}
	org, _, err := n.State().Organization(mspID)
	if err != nil {
		return err
	}
	node, err := n.find(org.ChaincodeNode())
	if err != nil {
		return err
	}
	n.options.ChaincodeOf = maps.Clone(n.options.ChaincodeOf)
	if n.options.ChaincodeOf == nil {
		n.options.ChaincodeOf = map[string]string{}
	}
	n.options.ChaincodeOf[mspID] = program
	replaced := *node
	replaced.spec.Program = program
	n.put(&replaced)
	return n.restart(ctx, &replaced)
}

// allRun fails, naming them, if processes do not run.
func (n *Network) allRun() error {
	var names []string
	for _, node := range n.list() {
		if node.process.Exit() != nil {
			names = append(names, node.name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%s does not run: bring it back with \"datanet network up\" first", strings.Join(names, ", "))
	}
	return nil
}
