// Package testnetwork runs a whole consortium on one machine: real Fabric peers and orderers, and one chaincode process
// for each organisation, as child processes with TLS everywhere and no container engine.
//
// The life of a network: its topology is completed with ports from the system and kept in the state folder; certificates
// and the genesis block are made from it; all processes start at once; orderers join the channel with the genesis block,
// and so do peers, which install and approve the chaincode package of their organisation; when a majority of members has
// approved, the chaincode definition is committed and the network is up. Every step finds out first whether it has been
// done, so starting a network again resumes it, also one that was killed half-way.
//
// Nothing here is needed in production: the same libraries, programs and files serve members on hosts of their own.
package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// Network is a network whose processes are children of this process. They end with it, whatever ends it.
type Network struct {
	options Options
	folder  folder
	lock    *flock.Flock

	// changing is held while processes are started, stopped or replaced.
	changing sync.Mutex

	// guard protects what follows.
	guard sync.RWMutex
	state *State
	nodes []*node
	// failed is called with a process that ended by itself while the network starts.
	failed context.CancelCauseFunc
}

// Start brings up the network in options.Dir and returns when its chaincode is committed on the peers of all
// organisations. When it fails, no process is left and the ledgers stay as they are. A *RunningError means that another
// process runs this network.
func Start(ctx context.Context, options Options) (*Network, error) {
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	if options.OnExit == nil {
		options.OnExit = func(*process.ExitError) {}
	}
	n := &Network{options: options}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (n *Network) start(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()

	var err error
	if n.folder, err = makeFolder(n.options.Dir); err != nil {
		return err
	}
	if n.lock, err = n.folder.take(); err != nil {
		return err
	}
	if err := checkDisk(string(n.folder), leastFreeDisk); err != nil {
		return err
	}
	topology, err := n.folder.found(n.options.Topology)
	if err != nil {
		return err
	}
	if err := n.prepare(ctx, topology); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the network was not up after %s", startLimit))
	defer cancel()
	return n.launch(ctx)
}

// prepare makes everything that the processes need.
func (n *Network) prepare(ctx context.Context, topology *network.Topology) error {
	var preparing errgroup.Group
	preparing.Go(func() error {
		if n.options.Binaries != nil {
			return nil
		}
		set, err := binaries.Build(ctx, binaries.BuildOptions{Report: n.options.building()})
		n.options.Binaries = set
		return err
	})
	preparing.Go(func() error {
		state, err := n.folder.state(topology)
		if err != nil {
			return err
		}
		if err := state.material.CheckExpiry(time.Now()); err != nil {
			return fmt.Errorf("%w\nTo renew the certificates of this network run \"datanet network renew\", then start it again", err)
		}
		n.setState(state)
		return errors.Join(state.makeGenesis(), n.folder.makeBuilder(n.options.Builder))
	})
	return preparing.Wait()
}

// State is the network as clients see it now.
func (n *Network) State() *State {
	n.guard.RLock()
	defer n.guard.RUnlock()
	return n.state
}

func (n *Network) setState(state *State) {
	n.guard.Lock()
	defer n.guard.Unlock()
	n.state = state
}

// Stop ends all processes and releases the state folder. A network can be stopped twice.
func (n *Network) Stop() error {
	n.changing.Lock()
	defer n.changing.Unlock()

	// Gateways first, which finish what they do. Then chaincode: a peer waits for the answers of calls that are under way. Then peers, which would otherwise
	// report that their orderers are gone.
	var faults []error
	for _, kind := range []Kind{Gateway, Chaincode, Peer, Orderer} {
		var stopping errgroup.Group
		for _, node := range n.list() {
			if node.kind() == kind && node.process != nil {
				stopping.Go(func() error { return node.process.Stop(stopGrace) })
			}
		}
		faults = append(faults, stopping.Wait())
	}
	if n.lock != nil {
		if err := n.lock.Unlock(); err != nil {
			faults = append(faults, fmt.Errorf("release the state folder: %w", err))
		}
	}
	return errors.Join(faults...)
}

// list is the nodes at this moment.
func (n *Network) list() []*node {
	n.guard.RLock()
	defer n.guard.RUnlock()
	return slices.Clone(n.nodes)
}

// put adds a node, or replaces the one of the same name.
func (n *Network) put(added *node) {
	n.guard.Lock()
	defer n.guard.Unlock()
	for i, old := range n.nodes {
		if old.name == added.name {
			n.nodes[i] = added
			return
		}
	}
	n.nodes = append(n.nodes, added)
}

// find returns the node of a name.
func (n *Network) find(name string) (*node, error) {
	var names []string
	for _, node := range n.list() {
		if node.name == name {
			return node, nil
		}
		names = append(names, node.name)
	}
	return nil, fmt.Errorf("there is no process %q; the processes are %v", name, names)
}

// run starts the process of a node and watches over it.
func (n *Network) run(node *node) error {
	started, err := process.Start(node.spec)
	if err != nil {
		return explainDisk(err)
	}
	n.guard.Lock()
	node.process, node.started = started, time.Now()
	n.guard.Unlock()
	go func() {
		<-started.Done()
		exit := started.Exit()
		if exit.Asked {
			return
		}
		n.options.OnExit(exit)
		n.guard.RLock()
		defer n.guard.RUnlock()
		if n.failed != nil {
			n.failed(exit)
		}
	}()
	return nil
}
