package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// joinLedger brings an organisation, which the channel has as a member already, onto the ledger's own list of members:
// by a proposal that operators of a majority of the present members approve. It does nothing for one that is there.
//
// Only a local network has every organisation's keys at hand; elsewhere its operators do the same, each their part.
func joinLedger(ctx context.Context, state *testnetwork.State, mspID string) error {
	conns := connections{state: state}
	defer conns.close()
	first, err := conns.operator(state.Topology().Members[0].MSPID, 0)
	if err != nil {
		return err
	}
	present, err := step[member.Members](ctx, state, first, "member:Found", ledger.Nothing{})
	if err != nil {
		return fmt.Errorf("found the members on the ledger: %w", err)
	}
	if present.Has(mspID) {
		return nil
	}
	params, err := ledger.Encode(member.Addition{MSP: mspID})
	if err != nil {
		return err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("choose an id: %w", err)
	}
	content := proposal.Content{ID: hex.EncodeToString(id[:]), Kind: "member.add", Params: params,
		Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)}
	proposed, err := step[proposal.Proposal](ctx, state, first, "proposal:Propose", content)
	if err != nil {
		return fmt.Errorf("propose %s as a member: %w", mspID, err)
	}
	for _, msp := range present.Members[:present.Majority()] {
		second, err := conns.operator(msp, 1)
		if err != nil {
			return err
		}
		approval := proposal.Approval{ID: content.ID, Digest: proposed.Digest}
		if _, err := step[proposal.Slot](ctx, state, second, "proposal:Approve", approval); err != nil {
			return fmt.Errorf("approve %s as a member, for %s: %w", mspID, msp, err)
		}
	}
	if _, err := step[proposal.Proposal](ctx, state, first, "proposal:Execute", proposal.Named{ID: content.ID}); err != nil {
		return fmt.Errorf("admit %s as a member: %w", mspID, err)
	}
	return nil
}

// step invokes a function and waits until every peer has what it wrote: the next step has other endorsers.
func step[Res any](ctx context.Context, state *testnetwork.State, client *fabric.Client, function string, request any) (Res, error) {
	response, err := fabric.Invoke[Res](ctx, client, function, request)
	if err != nil {
		return response, err
	}
	return response, state.AwaitLevel(ctx)
}

// connections are clients of a network's users, made when they are needed.
type connections struct {
	state   *testnetwork.State
	closers []func() error
}

// operator is an organisation's operator of the given place, from 0, in the topology's list of its users.
func (c *connections) operator(mspID string, place int) (*fabric.Client, error) {
	org, material, err := c.state.Organization(mspID)
	if err != nil {
		return nil, err
	}
	var operators []string
	for _, user := range org.Users {
		if slices.Contains(user.Roles, ledger.Operator) {
			operators = append(operators, user.Name)
		}
	}
	if place >= len(operators) {
		return nil, fmt.Errorf("%s has %d operators in the topology, and %d are needed: who proposes does not approve", mspID, len(operators), place+1)
	}
	identity, err := c.state.User(mspID, operators[place])
	if err != nil {
		return nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, conn.Close)
	client, err := fabric.Connect(conn, identity, c.state.Topology().Channel, c.state.Topology().Chaincode.Name)
	if err == nil {
		c.closers = append(c.closers, client.Close)
	}
	return client, err
}

func (c *connections) close() {
	for _, closer := range slices.Backward(c.closers) {
		_ = closer() // nothing is pending on these connections
	}
}
