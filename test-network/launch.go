package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/lifecycle"
)

// launch starts the processes and takes the channel and the chaincode to where the state says they should be.
func (n *Network) launch(ctx context.Context) (err error) {
	ctx, cancel := n.failing(ctx)
	defer cancel()

	// What an interrupted upgrade was about to commit may be in force or not. Only peers know, so the chaincode
	// processes have to wait for them.
	announced, err := n.folder.announced()
	if err != nil {
		return err
	}
	if err := n.planNodes(announced == nil); err != nil {
		return err
	}
	state := n.State()
	if err := checkPorts(state.topology.Listeners()); err != nil {
		return err
	}
	nodes := n.list()
	n.options.Progress(fmt.Sprintf("starting %d processes", len(nodes)))
	for _, node := range nodes {
		if err := n.run(node); err != nil {
			return err
		}
	}
	parties, err := state.parties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(parties)) }()

	if err := n.join(ctx, state, parties); err != nil {
		return err
	}
	if announced != nil {
		if err := n.settleUpgrade(ctx, *announced, parties[0]); err != nil {
			return err
		}
		// The state may now be that of the new definition.
		err = n.agree(ctx, n.State())
	} else {
		err = n.agreeAs(ctx, state, parties)
	}
	if err != nil {
		return err
	}
	return n.runGateways(ctx, n.State())
}

// failing is a context that ends, with the reason, when a process of the network ends by itself.
func (n *Network) failing(ctx context.Context) (context.Context, func()) {
	ctx, fail := context.WithCancelCause(ctx)
	n.guard.Lock()
	n.failed = fail
	n.guard.Unlock()
	return ctx, func() {
		n.guard.Lock()
		n.failed = nil
		n.guard.Unlock()
		fail(nil)
	}
}

// because replaces the error of a step by the reason for which its context ended, which is what caused it.
func because(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// planNodes describes the processes, of chaincode only if it is known which.
func (n *Network) planNodes(chaincode bool) error {
	state := n.State()
	for i := range state.topology.Ordering.Operators {
		node, err := state.ordererNode(&state.topology.Ordering.Operators[i], &n.options)
		if err != nil {
			return err
		}
		n.put(node)
	}
	for _, org := range state.topology.Organizations() {
		node, err := state.peerNode(org, &n.options)
		if err != nil {
			return err
		}
		n.put(node)
	}
	if !chaincode {
		return nil
	}
	for _, org := range state.topology.Organizations() {
		node, err := n.planChaincode(state, org)
		if err != nil {
			return err
		}
		n.put(node)
	}
	return nil
}

// planChaincode describes the chaincode process of an organisation.
func (n *Network) planChaincode(state *State, org *network.Organization) (*node, error) {
	if err := executable("the chaincode of "+org.MSPID, n.options.chaincodeOf(org.MSPID)); err != nil {
		return nil, err
	}
	p, err := state.party(org.MSPID)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	pkg, err := p.chaincodePackage(state.topology.Chaincode)
	if err != nil {
		return nil, err
	}
	return state.chaincodeNode(org, pkg.ID, &n.options)
}

// join makes all orderers and peers part of the channel, in parallel.
func (n *Network) join(ctx context.Context, state *State, parties []*party) error {
	genesis, err := state.Genesis()
	if err != nil {
		return err
	}
	joining, group := errgroup.WithContext(ctx)
	for i := range state.topology.Ordering.Operators {
		operator := &state.topology.Ordering.Operators[i]
		joining.Go(func() error {
			if err := n.ready(group, operator.OrdererNode()); err != nil {
				return err
			}
			api, err := state.ordererAPI(operator)
			if err != nil {
				return err
			}
			defer api.Close()
			return api.Join(group, state.topology.Channel, genesis)
		})
	}
	for _, p := range parties {
		joining.Go(func() error {
			if err := n.ready(group, p.org.PeerNode()); err != nil {
				return err
			}
			return p.peer.Join(group, genesis)
		})
	}
	if err := joining.Wait(); err != nil {
		return because(ctx, err)
	}
	n.options.Progress("orderers and peers have joined channel " + state.topology.Channel)
	return nil
}

// ready waits until a node is healthy.
func (n *Network) ready(ctx context.Context, name string) error {
	node, err := n.find(name)
	if err != nil {
		return err
	}
	return node.process.WaitHealthy(ctx)
}

// ordererAPI is the admin API of an operator's orderer.
func (s *State) ordererAPI(operator *network.Operator) (*lifecycle.Orderer, error) {
	material, err := s.material.Organization(operator.MSPID)
	if err != nil {
		return nil, err
	}
	certificate, err := material.AdminTLS().Certificate()
	if err != nil {
		return nil, fmt.Errorf("load the TLS certificate of the administrator of %s: %w", operator.MSPID, err)
	}
	return lifecycle.NewOrderer(operator.AdminAddress(), certificate, material.TLSCA.PEM)
}

// agree has the chaincode definition of the state approved by all and committed.
func (n *Network) agree(ctx context.Context, state *State) (err error) {
	parties, err := state.parties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(parties)) }()
	return n.agreeAs(ctx, state, parties)
}

// agreeAs is agree over the connections of the parties, the first of which commits.
func (n *Network) agreeAs(ctx context.Context, state *State, parties []*party) error {
	chaincode := state.topology.Chaincode
	definition := state.definition()
	height, err := state.orderedHeight(ctx)
	if err != nil {
		return because(ctx, err)
	}
	approving, group := errgroup.WithContext(ctx)
	// Under Raft a transaction that is sent before there is a leader is lost, and found out to be so only seconds later.
	led := make(chan struct{})
	approving.Go(func() error {
		defer close(led)
		return state.awaitLeader(group)
	})
	for _, p := range parties {
		approving.Go(func() error {
			pkg, err := n.install(group, state, p, height)
			if err != nil {
				return err
			}
			<-led
			return p.peer.Approve(group, definition, pkg.ID)
		})
	}
	if err := approving.Wait(); err != nil {
		return because(ctx, err)
	}
	n.options.Progress(fmt.Sprintf("all organisations have approved %s", definition))
	if err := parties[0].peer.Commit(ctx, definition); err != nil {
		return because(ctx, err)
	}
	for _, p := range parties {
		if err := awaitDefinition(ctx, p, definition); err != nil {
			return because(ctx, err)
		}
	}
	n.options.Progress(fmt.Sprintf("chaincode %s is committed", chaincode.Name))
	return n.awaitGossip(ctx, state, parties, definition)
}

// awaitGossip waits until every peer's gateway knows all endorsers, or until gossipPatience ends: mostly they know within
// a second, now and then gossip takes five, and until then a gateway answers that an organisation is not available.
func (n *Network) awaitGossip(ctx context.Context, state *State, parties []*party, definition lifecycle.Definition) error {
	patience, cancel := context.WithTimeout(ctx, gossipPatience)
	defer cancel()
	for _, p := range parties {
		err := awaitEndorsers(patience, state, p, definition)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return because(ctx, err)
		case patience.Err() != nil:
			n.options.Progress("gossip is slow this time: for some seconds a call may be answered as not available and has to be repeated")
			return nil
		default:
			return err
		}
	}
	return nil
}

// install puts the package of an organisation on its peer and waits until its chaincode process serves it and the peer
// has height blocks: one that lags may not know yet that it is part of the channel.
func (n *Network) install(ctx context.Context, state *State, p *party, height uint64) (lifecycle.Package, error) {
	pkg, err := p.chaincodePackage(state.topology.Chaincode)
	if err != nil {
		return pkg, err
	}
	if err := p.peer.Install(ctx, pkg); err != nil {
		return pkg, err
	}
	if err := n.ready(ctx, p.org.ChaincodeNode()); err != nil {
		return pkg, err
	}
	return pkg, catchUp(ctx, state, p, height)
}

// definition is the chaincode definition that the state says is in force.
func (s *State) definition() lifecycle.Definition {
	chaincode := s.topology.Chaincode
	return lifecycle.Definition{Channel: s.topology.Channel, Name: chaincode.Name, Version: chaincode.Version, Sequence: chaincode.Sequence}
}

// awaitDefinition waits until an organisation's peer has committed a definition, or a later one.
func awaitDefinition(ctx context.Context, p *party, want lifecycle.Definition) error {
	return poll(ctx, func() error {
		found, present, err := p.peer.Committed(ctx, want.Channel, want.Name)
		if err != nil {
			return err
		}
		if !present || found.Sequence < want.Sequence {
			return fmt.Errorf("the peer of %s has not committed %s yet", p.org.MSPID, want)
		}
		return nil
	})
}

// poll repeats a check until it passes or the context ends.
func poll(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// settleUpgrade finds out whether the definition of an interrupted upgrade was committed, makes it the current one if
// so, and starts the chaincode processes of the definition that is in force.
func (n *Network) settleUpgrade(ctx context.Context, announced network.Chaincode, p *party) error {
	height, err := n.State().orderedHeight(ctx)
	if err != nil {
		return because(ctx, err)
	}
	if err := catchUp(ctx, n.State(), p, height); err != nil {
		return because(ctx, err)
	}
	committed, _, err := p.peer.Committed(ctx, n.State().topology.Channel, announced.Name)
	if err != nil {
		return err
	}
	if committed.Sequence == announced.Sequence {
		if err := n.adopt(announced); err != nil {
			return err
		}
	}
	if err := os.Remove(n.folder.upgrading()); err != nil {
		return fmt.Errorf("forget the interrupted upgrade: %w", err)
	}
	state := n.State()
	for _, org := range state.topology.Organizations() {
		node, err := n.planChaincode(state, org)
		if err != nil {
			return err
		}
		n.put(node)
		if err := n.run(node); err != nil {
			return err
		}
	}
	return nil
}

// orderedHeight is the largest number of blocks that an orderer has now. Orderers that do not answer do not count, as
// long as one does.
func (s *State) orderedHeight(ctx context.Context) (uint64, error) {
	var height uint64
	var faults []error
	for i := range s.topology.Ordering.Operators {
		info, err := s.ordererChannel(ctx, &s.topology.Ordering.Operators[i])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		height = max(height, info.Height)
	}
	if len(faults) == len(s.topology.Ordering.Operators) {
		return 0, errors.Join(faults...)
	}
	return height, nil
}

// ordererChannel is what an orderer says of the channel.
func (s *State) ordererChannel(ctx context.Context, operator *network.Operator) (lifecycle.OrdererChannel, error) {
	api, err := s.ordererAPI(operator)
	if err != nil {
		return lifecycle.OrdererChannel{}, err
	}
	defer api.Close()
	info, joined, err := api.Channel(ctx, s.topology.Channel)
	if err == nil && !joined {
		err = fmt.Errorf("%s has not joined channel %s", operator.OrdererNode(), s.topology.Channel)
	}
	return info, err
}

// catchUp waits until the peer of an organisation has a number of blocks.
func catchUp(ctx context.Context, state *State, p *party, height uint64) error {
	return poll(ctx, func() error {
		found, _, err := p.peer.Height(ctx, state.topology.Channel)
		if err != nil {
			return err
		}
		if found < height {
			return fmt.Errorf("the peer of %s has %d of %d blocks", p.org.MSPID, found, height)
		}
		return nil
	})
}

// adopt makes a chaincode definition the current one in the state folder.
func (n *Network) adopt(chaincode network.Chaincode) error {
	return n.amend(func(t *network.Topology) { t.Chaincode = chaincode })
}

// amend changes the current topology, on disk and then in memory.
func (n *Network) amend(change func(*network.Topology)) error {
	topology, err := network.Load(n.folder.current())
	if err != nil {
		return err
	}
	change(topology)
	state, err := n.folder.state(topology)
	if err != nil {
		return err
	}
	if err := n.folder.keep(topology); err != nil {
		return err
	}
	n.setState(state)
	return nil
}

// AwaitLevel waits until the peers of all organisations have the blocks that the orderers have now. What a transaction
// wrote can then be read at any of them.
func (s *State) AwaitLevel(ctx context.Context) (err error) {
	height, err := s.orderedHeight(ctx)
	if err != nil {
		return err
	}
	parties, err := s.parties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(parties)) }()
	for _, p := range parties {
		if err := catchUp(ctx, s, p, height); err != nil {
			return err
		}
	}
	return nil
}
