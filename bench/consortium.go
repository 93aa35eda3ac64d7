package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// payersOfMember is how many accounts of each member pay. Together they are few, since peers remember only about a
// hundred certificates and check all others again.
const payersOfMember = 4

// party is an account and the client that acts for it, over the one connection to its organisation's peer.
type party struct {
	account ledger.Account
	*fabric.Client
}

// consortium is the running network and who acts on it.
type consortium struct {
	network *testnetwork.Network
	pids    map[int]testnetwork.Kind
	conns   map[string]*grpc.ClientConn
	// followers are connected to one peer each.
	followers []*fabric.Client
	payers    []*party
	payees    []ledger.Account
	merchant  *party // who is the one hot payee, and the one hot payer
	treasury  *party // who was given the credits that all others have
	members   []string
	operators map[string][2]*party // of each member
}

// topologyOf is the consortium to measure.
func topologyOf(s settings) (topology *network.Topology, err error) {
	local := map[string][]byte{"bft": config.BFT, "raft": config.Raft}
	switch {
	case s.topology != "":
		topology, err = network.Load(s.topology)
	case local[s.ordering] == nil:
		err = fmt.Errorf("--ordering is bft or raft, not %q", s.ordering)
	default:
		topology, err = network.Parse(bytes.NewReader(local[s.ordering]), "topology")
	}
	if err != nil {
		return nil, err
	}
	if s.keys != "" {
		for _, org := range topology.Organizations() {
			org.Keys = network.KeyAlgorithm(s.keys)
		}
	}
	return topology, topology.Validate()
}

// Chaincodes of a network: the ledger's rules, with the yardstick or without.
const (
	withYardstick = "bench/chaincode"
	rulesOnly     = "cmd/chaincode"
)

// start builds the programs and brings the network up.
func start(ctx context.Context, s settings, dir string, topology *network.Topology, served string, progress func(string)) (*consortium, error) {
	progress("building the chaincode")
	chaincode, builder := filepath.Join(dir, "bin", "chaincode"), filepath.Join(dir, "bin", "ccaas-builder")
	for program, source := range map[string]string{chaincode: served, builder: "cmd/ccaas-builder"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/datanet-consortium/datanet/"+source)
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", source, err, output)
		}
	}
	n, err := testnetwork.Start(ctx, testnetwork.Options{
		Dir: filepath.Join(dir, "network"), Topology: topology, Chaincode: chaincode, Builder: builder, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	c := &consortium{network: n, pids: map[int]testnetwork.Kind{}, conns: map[string]*grpc.ClientConn{}}
	if err := c.prepare(ctx, s.payees, progress); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *consortium) stop() error {
	var faults []error
	for _, conn := range c.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(append(faults, c.network.Stop())...)
}

// prepare founds the ledger, opens all accounts and mints the treasury's credits.
func (c *consortium) prepare(ctx context.Context, payees int, progress func(string)) error {
	status, err := c.network.Status(ctx)
	if err != nil {
		return err
	}
	for _, node := range status.Nodes {
		c.pids[node.PID] = node.Kind
	}
	topology := c.network.State().Topology()
	c.members = topology.MemberMSPIDs()
	for _, org := range topology.Organizations() {
		_, material, err := c.network.State().Organization(org.MSPID)
		if err != nil {
			return err
		}
		if c.conns[org.MSPID], err = fabric.Dial(org.PeerAddress(), material.TLSCA.PEM); err != nil {
			return err
		}
		admin, err := c.network.State().Admin(org.MSPID)
		if err != nil {
			return err
		}
		follower, err := fabric.Connect(c.conns[org.MSPID], admin, topology.Channel, topology.Chaincode.Name)
		if err != nil {
			return err
		}
		c.followers = append(c.followers, follower)
	}
	c.operators = map[string][2]*party{}
	for _, msp := range c.members {
		var pair [2]*party
		for i := range pair {
			var err error
			if pair[i], err = c.enrol(msp, fmt.Sprintf("operator%d", i+1), ledger.Operator); err != nil {
				return err
			}
		}
		c.operators[msp] = pair
	}
	if _, err := soon(ctx, c.operators[c.members[0]][0], call("member:Found", ledger.Nothing{})); err != nil {
		return err
	}
	progress(fmt.Sprintf("opening %d accounts", payees+len(c.members)*payersOfMember+2))
	if err := c.openAccounts(ctx, c.members, payees); err != nil {
		return err
	}
	progress("minting credits")
	return c.mint(ctx)
}

// enrol gives a member's account a client, and a certificate if it has none.
func (c *consortium) enrol(msp, name string, roles ...network.Role) (*party, error) {
	org, material, err := c.network.State().Organization(msp)
	if err != nil {
		return nil, err
	}
	id, err := material.Enrol(network.User{Name: name, Roles: roles}, org.Keys)
	if err != nil {
		return nil, err
	}
	topology := c.network.State().Topology()
	client, err := fabric.Connect(c.conns[msp], id, topology.Channel, topology.Chaincode.Name)
	if err != nil {
		return nil, err
	}
	return &party{account: ledger.NewAccount(msp, name), Client: client}, nil
}

// soon submits a call and repeats it until it succeeds: peers need a moment to learn from each other what they can
// endorse, and one that lags does not know yet what the call builds on.
func soon(ctx context.Context, p *party, call fabric.Call) (*fabric.Committed, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		committed, err := p.Submit(ctx, call)
		if err == nil {
			return committed, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", call.Function, last)
		}
	}
}

func (c *consortium) openAccounts(ctx context.Context, members []string, payees int) (err error) {
	var all []*party
	open := func(msp, name string) *party {
		p, failed := c.enrol(msp, name, ledger.Consumer)
		err = errors.Join(err, failed)
		all = append(all, p)
		return p
	}
	c.merchant = open(members[0], "merchant1")
	c.treasury = open(members[0], "treasury1")
	for i := range payersOfMember {
		for _, msp := range members {
			c.payers = append(c.payers, open(msp, fmt.Sprintf("payer%d", i+1)))
		}
	}
	for i := range payees {
		if p := open(members[i%len(members)], fmt.Sprintf("payee%d", i+1)); p != nil {
			c.payees = append(c.payees, p.account)
		}
	}
	if err != nil {
		return err
	}
	return inParallel(ctx, all, func(ctx context.Context, p *party) error {
		_, err := soon(ctx, p, call("account:Open", ledger.Nothing{}))
		return err
	})
}

// supply is what the treasury gets, in micro-credits.
const supply money.Amount = 1 << 60

// mint brings the supply to the treasury.
func (c *consortium) mint(ctx context.Context) error {
	executed, err := c.decide(ctx, "token.mint", token.Mint{To: c.treasury.account, Amount: supply})
	if err != nil {
		return err
	}
	_, err = soon(ctx, c.treasury, call("token:Fold", token.Fold{ID: newID(), Credits: []string{executed.TxID}}))
	return err
}

// decide carries a proposal through, approved by a majority of the members.
func (c *consortium) decide(ctx context.Context, kind string, params any) (*fabric.Committed, error) {
	raw, err := ledger.Encode(params)
	if err != nil {
		return nil, err
	}
	content := proposal.Content{ID: newID(), Kind: kind, Params: raw,
		Expires: time.Now().UTC().Truncate(time.Second).Add(2 * proposal.MinTerm)}
	digest, err := content.Digest()
	if err != nil {
		return nil, err
	}
	proposer := c.operators[c.members[0]][0]
	if _, err := soon(ctx, proposer, call("proposal:Propose", content)); err != nil {
		return nil, err
	}
	for _, msp := range c.members[:network.Majority(len(c.members))] {
		if _, err := soon(ctx, c.operators[msp][1], call("proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest})); err != nil {
			return nil, err
		}
	}
	return soon(ctx, proposer, call("proposal:Execute", proposal.Named{ID: content.ID}))
}

// inParallel does something for all parties, a few dozen at once.
func inParallel(ctx context.Context, all []*party, do func(context.Context, *party) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, p := range all {
		group.Go(func() error { return do(ctx, p) })
	}
	return group.Wait()
}

// newID is the random id of a request.
func newID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return hex.EncodeToString(id)
}
