package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
)

// AddOrganization brings one more member into the running channel: its certificates and ports are made, one
// configuration update signed by the administrators of a majority of members makes it a member, its peer and chaincode
// process start, and it joins, installs and approves. From the update on endorsements need a majority of the larger
// membership. Last comes Options.JoinLedger, which brings the member onto the ledger's own list.
//
// It may be repeated with the same organisation until it succeeds, also after the network was stopped in between.
func (n *Network) AddOrganization(ctx context.Context, org network.Organization) (err error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	if err := n.allRun(); err != nil {
		return err
	}
	ctx, cancel := n.failing(ctx)
	defer cancel()

	org.ApplyDefaults(network.MemberUsers)
	if _, known := n.State().topology.Organization(org.MSPID); !known {
		if err := n.admit(ctx, org); err != nil {
			return err
		}
	}
	state := n.State()
	member, _, err := state.Organization(org.MSPID)
	if err != nil {
		return err
	}
	if member.Name != org.Name || member == &state.topology.Regulator {
		return fmt.Errorf("%s is already the organisation %s of this network", org.MSPID, member.Name)
	}
	if err := n.runNewcomer(ctx, state, member); err != nil {
		return err
	}
	n.options.Progress(fmt.Sprintf("%s has joined and approved %s", org.MSPID, state.definition()))
	if err := n.joinLedger(ctx, state, org.MSPID); err != nil {
		return err
	}
	return n.runGateways(ctx, state)
}

// joinLedger brings a member of the channel onto the ledger's list of members.
func (n *Network) joinLedger(ctx context.Context, state *State, mspID string) error {
	if n.options.JoinLedger == nil {
		return nil
	}
	if err := n.options.JoinLedger(ctx, state, mspID); err != nil {
		return fmt.Errorf("bring %s onto the ledger's list of members: %w", mspID, err)
	}
	n.options.Progress(mspID + " is on the ledger's list of members")
	return nil
}

// admit makes an organisation a member of the channel and of the current topology.
func (n *Network) admit(ctx context.Context, org network.Organization) (err error) {
	before := n.State()
	if err := before.topology.ValidateNew(org); err != nil {
		return fmt.Errorf("add %s: %w", org.MSPID, err)
	}
	topology, err := network.Load(n.folder.current())
	if err != nil {
		return err
	}
	topology.Members = append(topology.Members, org)
	after, err := n.folder.state(topology)
	if err != nil {
		return err
	}
	newcomer, material, err := after.Organization(org.MSPID)
	if err != nil {
		return err
	}
	parties, err := before.parties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(parties)) }()
	if err := n.updateChannel(ctx, before, parties, newcomer, after.material); err != nil {
		return fmt.Errorf("make %s a member of channel %s: %w", material.MSPID, before.topology.Channel, err)
	}
	n.options.Progress(fmt.Sprintf("%s is a member of channel %s", org.MSPID, before.topology.Channel))
	return n.amend(func(t *network.Topology) { t.Members = append(t.Members, org) })
}

// updateChannel has a majority of the members sign the update that admits a newcomer, orders it, and waits until all
// peers have it. A channel that has the member already stays as it is.
func (n *Network) updateChannel(ctx context.Context, state *State, parties []*party, newcomer *network.Organization, material *pki.Material) error {
	name := state.topology.Channel
	admitted := func(config *common.Config) bool {
		members, err := channel.Members(config)
		return err == nil && slices.Contains(members, newcomer.MSPID)
	}
	config, err := parties[0].peer.Config(ctx, name)
	if err != nil {
		return err
	}
	if admitted(config) {
		return nil
	}
	update, err := channel.AddMember(config, name, newcomer, material)
	if err != nil {
		return err
	}
	var consents []*common.ConfigSignature
	for _, p := range parties[:network.Majority(len(state.topology.Members))] {
		consent, err := update.Sign(p.admin)
		if err != nil {
			return fmt.Errorf("sign as the administrator of %s: %w", p.org.MSPID, err)
		}
		consents = append(consents, consent)
	}
	envelope, err := update.Envelope(parties[0].admin, consents...)
	if err != nil {
		return err
	}
	if err := state.broadcast(ctx, envelope); err != nil {
		return err
	}
	for _, p := range parties {
		if _, err := p.peer.AwaitConfig(ctx, name, admitted); err != nil {
			return err
		}
	}
	return nil
}

// broadcast sends an envelope to the ordering service.
func (s *State) broadcast(ctx context.Context, envelope *common.Envelope) (err error) {
	var orderers []grpc.ClientConnInterface
	for i := range s.topology.Ordering.Operators {
		operator := &s.topology.Ordering.Operators[i]
		material, err := s.material.Organization(operator.MSPID)
		if err != nil {
			return err
		}
		conn, err := lifecycle.Dial(operator.OrdererAddress(), material.TLSCA.PEM)
		if err != nil {
			return err
		}
		defer conn.Close()
		orderers = append(orderers, conn)
	}
	return lifecycle.Broadcast(ctx, orderers, envelope)
}

// runNewcomer starts the processes of a member that do not run, and has it join and approve.
func (n *Network) runNewcomer(ctx context.Context, state *State, org *network.Organization) error {
	if _, err := n.find(org.PeerNode()); err != nil {
		if err := checkPorts(org.Listeners()); err != nil {
			return err
		}
		peer, err := state.peerNode(org, &n.options)
		if err != nil {
			return err
		}
		chaincode, err := n.planChaincode(state, org)
		if err != nil {
			return err
		}
		for _, node := range []*node{peer, chaincode} {
			if err := n.run(node); err != nil {
				return err
			}
			n.put(node)
		}
	}
	p, err := state.party(org.MSPID)
	if err != nil {
		return err
	}
	defer p.conn.Close()
	genesis, err := state.Genesis()
	if err != nil {
		return err
	}
	if err := n.ready(ctx, org.PeerNode()); err != nil {
		return because(ctx, err)
	}
	if err := p.peer.Join(ctx, genesis); err != nil {
		return because(ctx, err)
	}
	height, err := state.orderedHeight(ctx)
	if err != nil {
		return because(ctx, err)
	}
	pkg, err := n.install(ctx, state, p, height)
	if err != nil {
		return because(ctx, err)
	}
	if err := p.peer.Approve(ctx, state.definition(), pkg.ID); err != nil {
		return because(ctx, err)
	}
	if err := awaitDefinition(ctx, p, state.definition()); err != nil {
		return because(ctx, err)
	}
	return n.awaitAcquaintance(ctx, state)
}

// awaitAcquaintance waits until the peers of all organisations know each other and their chaincode.
func (n *Network) awaitAcquaintance(ctx context.Context, state *State) (err error) {
	parties, err := state.parties()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(parties)) }()
	for _, p := range parties {
		if err := awaitEndorsers(ctx, state, p, state.definition()); err != nil {
			return because(ctx, err)
		}
	}
	return nil
}
