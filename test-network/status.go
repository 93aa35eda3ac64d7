package testnetwork

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// Status is how a network is.
type Status struct {
	Dir       string            `json:"dir"`
	Channel   string            `json:"channel"`
	Ordering  network.Consensus `json:"ordering"`
	Chaincode string            `json:"chaincode"`
	// Running is false if no process runs the network; then all nodes are stopped.
	Running bool `json:"running"`
	// Problems are what an operator should look at; without any the network is well.
	Problems []string     `json:"problems"`
	Nodes    []NodeStatus `json:"nodes"`
	// Agreement is missing unless at least two peers answer.
	Agreement *Agreement `json:"agreement,omitempty"`
	// Expires is the certificate that expires first.
	Expires Expiry `json:"expires"`
}

// Expiry is the end of one certificate.
type Expiry struct {
	Organization string    `json:"organization"`
	Holder       string    `json:"holder"`
	Kind         string    `json:"kind"`
	NotAfter     time.Time `json:"notAfter"`
}

// NodeStatus is how one process is.
type NodeStatus struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	MSPID   string `json:"mspId"`
	Address string `json:"address"`
	// State is "running", "stopped" or, for a process that ended by itself, "crashed".
	State string `json:"state"`
	// PID is 0 unless the process runs, Started the zero time.
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// Height is the number of blocks that a peer or orderer has, 0 if that is not known.
	Height uint64 `json:"height,omitempty"`
	// Leader is true for the orderer that leads the others.
	Leader bool   `json:"leader,omitempty"`
	Log    string `json:"log"`
	// Problem says what is wrong with the process: the question that it does not answer, or how it ended, with the end
	// of its log.
	Problem string `json:"problem,omitempty"`
}

// Agreement tells whether all peers have the same ledger, as far as the shortest of theirs reaches.
type Agreement struct {
	// Block is the number of the block that was compared, and Hashes the hash of its header in hexadecimal by peer.
	// Each block holds the hash of the one before, so equal hashes mean equal ledgers.
	Block  uint64            `json:"block"`
	Hashes map[string]string `json:"hashes"`
	Agree  bool              `json:"agree"`
}

// Node states.
const (
	running = "running"
	stopped = "stopped"
	crashed = "crashed"
)

// warnBefore is how long before its end a certificate becomes a problem.
const warnBefore = 14 * 24 * time.Hour

// Status tells how a network is that nobody runs.
func (s *State) Status() (*Status, error) {
	status := &Status{Dir: s.Dir(), Channel: s.topology.Channel, Ordering: s.topology.Ordering.Type, Chaincode: s.definition().String()}
	for i := range s.topology.Ordering.Operators {
		operator := &s.topology.Ordering.Operators[i]
		status.add(s, operator.OrdererNode(), operator.MSPID, operator.OrdererAddress())
	}
	for _, org := range s.topology.Organizations() {
		status.add(s, org.PeerNode(), org.MSPID, org.PeerAddress())
		status.add(s, org.ChaincodeNode(), org.MSPID, org.ChaincodeAddress())
		if _, err := os.Stat(s.folder.node(org.GatewayNode())); err == nil {
			status.add(s, org.GatewayNode(), org.MSPID, org.GatewayAddress())
		}
	}
	return status, status.certificates(s)
}

func (status *Status) add(s *State, name, mspID, address string) {
	status.Nodes = append(status.Nodes, NodeStatus{Name: name, Kind: kindOf(name), MSPID: mspID, Address: address, State: stopped, Log: s.folder.log(name)})
}

func (status *Status) certificates(s *State) error {
	all, err := s.material.Certificates()
	if err != nil {
		return fmt.Errorf("look at the certificates: %w", err)
	}
	if len(all) == 0 {
		return nil
	}
	first := all[0]
	status.Expires = Expiry{Organization: first.Organization, Holder: first.Holder, Kind: first.Kind, NotAfter: first.NotAfter.UTC()}
	for _, certificate := range all {
		if left := time.Until(certificate.NotAfter); left < warnBefore {
			status.Problems = append(status.Problems, fmt.Sprintf("the %s certificate of %s in %s ends on %s: stop the network, run \"datanet network renew\", and start it again",
				certificate.Kind, certificate.Holder, certificate.Organization, certificate.NotAfter.UTC().Format(time.DateOnly)))
		}
	}
	return nil
}

// Status asks every process how it is. Nodes that do not answer within a few seconds are reported as problems, not as
// an error.
func (n *Network) Status(ctx context.Context) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	state := n.State()
	if state == nil {
		return nil, errors.New("the network is being prepared")
	}
	status := &Status{
		Dir: state.Dir(), Channel: state.topology.Channel, Ordering: state.topology.Ordering.Type, Chaincode: state.definition().String(),
		Running: true, Nodes: n.processes(state),
	}
	var asking sync.WaitGroup
	for i := range status.Nodes {
		node := &status.Nodes[i]
		if node.State != running {
			continue
		}
		asking.Go(func() {
			if err := state.ask(ctx, node); err != nil {
				node.Problem = err.Error()
			}
		})
	}
	asking.Wait()
	status.Agreement = state.agreement(ctx, status.Nodes)
	for _, node := range status.Nodes {
		if node.Problem != "" {
			status.Problems = append(status.Problems, node.Problem)
		}
	}
	if status.Agreement != nil && !status.Agreement.Agree {
		status.Problems = append(status.Problems, fmt.Sprintf("the peers disagree about block %d: their hashes are %v", status.Agreement.Block, status.Agreement.Hashes))
	}
	return status, status.certificates(state)
}

// processes is the part of the status that needs no question.
func (n *Network) processes(state *State) []NodeStatus {
	n.guard.RLock()
	defer n.guard.RUnlock()
	var all []NodeStatus
	for _, node := range n.nodes {
		found := NodeStatus{Name: node.name, Kind: node.kind(), MSPID: node.mspID, Address: node.address, State: stopped, Log: state.folder.log(node.name)}
		if node.process != nil {
			found.describe(node.process, node.started)
		}
		all = append(all, found)
	}
	return all
}

func (s *NodeStatus) describe(p *process.Process, started time.Time) {
	exit := p.Exit()
	switch {
	case exit == nil:
		s.State, s.PID, s.Started = running, p.PID(), started
	case !exit.Asked:
		s.State, s.Problem = crashed, exit.Error()
	default:
		s.Problem = exit.Error()
	}
}

// ask asks a node for its number of blocks, and a chaincode process only whether it accepts connections.
func (s *State) ask(ctx context.Context, node *NodeStatus) (err error) {
	switch node.Kind {
	case Orderer:
		return s.askOrderer(ctx, node)
	case Peer:
		p, err := s.party(node.MSPID)
		if err != nil {
			return err
		}
		defer p.conn.Close()
		node.Height, _, err = p.peer.Height(ctx, s.topology.Channel)
		return err
	case Gateway:
		return s.askGateway(ctx, node)
	default:
		if err := accepts(ctx, node.Address); err != nil {
			return fmt.Errorf("%s does not accept connections: %w", node.Name, err)
		}
		return nil
	}
}

func (s *State) askOrderer(ctx context.Context, node *NodeStatus) error {
	for i := range s.topology.Ordering.Operators {
		operator := &s.topology.Ordering.Operators[i]
		if operator.OrdererNode() != node.Name {
			continue
		}
		info, err := s.ordererChannel(ctx, operator)
		if err != nil {
			return err
		}
		node.Height = info.Height
		node.Leader, err = s.leads(ctx, operator)
		return err
	}
	return fmt.Errorf("%s has no operator", node.Name)
}

// agreement compares the last block that all peers have.
func (s *State) agreement(ctx context.Context, nodes []NodeStatus) *Agreement {
	var peers []NodeStatus
	for _, node := range nodes {
		if node.Kind == Peer && node.Height > 0 {
			peers = append(peers, node)
		}
	}
	if len(peers) < 2 {
		return nil
	}
	lowest := peers[0].Height
	for _, peer := range peers {
		lowest = min(lowest, peer.Height)
	}
	agreement := &Agreement{Block: lowest - 1, Hashes: map[string]string{}, Agree: true}
	for _, peer := range peers {
		found, err := s.blockHash(ctx, peer.MSPID, agreement.Block)
		if err != nil {
			found = err.Error()
		}
		agreement.Hashes[peer.Name] = found
		agreement.Agree = agreement.Agree && err == nil && found == agreement.Hashes[peers[0].Name]
	}
	return agreement
}

// blockHash asks the peer of an organisation for the hash of a block's header.
func (s *State) blockHash(ctx context.Context, mspID string, number uint64) (string, error) {
	p, err := s.party(mspID)
	if err != nil {
		return "", err
	}
	defer p.conn.Close()
	gateway, err := client.Connect(p.admin, client.WithSign(p.admin.Sign), client.WithHash(hash.NONE), client.WithClientConnection(p.conn))
	if err != nil {
		return "", fmt.Errorf("connect to the gateway of %s: %w", mspID, err)
	}
	defer gateway.Close()
	// Without the pin a gateway would pass the question on if its own peer did not answer.
	answer, err := gateway.GetNetwork(s.topology.Channel).GetContract("qscc").EvaluateWithContext(ctx, "GetBlockByNumber",
		client.WithArguments(s.topology.Channel, strconv.FormatUint(number, 10)), client.WithEndorsingOrganizations(mspID))
	if err != nil {
		return "", fmt.Errorf("ask the peer of %s for block %d: %w", mspID, number, err)
	}
	block := new(common.Block)
	if err := proto.Unmarshal(answer, block); err != nil {
		return "", fmt.Errorf("decode block %d of %s: %w", number, mspID, err)
	}
	return hex.EncodeToString(protoutil.BlockHeaderHash(block.GetHeader())), nil
}
