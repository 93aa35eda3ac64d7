package memledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Window is how far a proposal's timestamp may be from an endorser's clock.
const Window = 15 * time.Minute

var (
	// ErrRefused is a proposal that no peer simulates: its client's organisation is unknown, or its timestamp is
	// outside the [Window].
	ErrRefused = errors.New("proposal refused")
	// ErrNoPlan is a transaction for which no set of the members' peers would satisfy the policies.
	ErrNoPlan = errors.New("no combination of peers satisfies the endorsement policies")
	// ErrMismatch is a proposal that its endorsers answered differently.
	ErrMismatch = errors.New("endorsers do not agree")
	// ErrOrdering is an envelope that the orderers refuse, since its client's organisation may only read.
	ErrOrdering = errors.New("permission denied at ordering")
	// ErrNotDeterministic is, in strict mode, a rule that answered two simulations of one proposal differently.
	ErrNotDeterministic = errors.New("two simulations of one proposal differ")
)

// Config describes a channel with one chaincode.
type Config struct {
	Channel string
	// Members are the organisations whose clients may write and whose peers endorse, one peer each.
	Members []string
	// Observers are organisations whose clients may propose and evaluate, while the orderers refuse what they submit.
	// Their peers simulate; their endorsements count in no policy made of members.
	Observers []string
	// Policy is the chaincode's endorsement policy; nil means a majority of the members.
	Policy *ledger.Policy
	// Registry is the chaincode.
	Registry *ledger.Registry
	// Now is the clock of peers and clients; nil means [time.Now].
	Now func() time.Time
	// Strict simulates every proposal twice and compares reads, writes, response and event byte by byte.
	Strict bool
	// Committed, when not nil, is told of every block, in order, the genesis block excepted.
	Committed func(*Block)
	// First is the number of the first block; 0 means 1, the block after the genesis block.
	First uint64
	// Name, when not nil, gives a proposal without an id its id: in Fabric a hash of what the client signs. Otherwise
	// ids are counted.
	Name func(Proposal) string
}

// Network is a channel of peers in memory. It is not safe for concurrent use.
type Network struct {
	config    Config
	engine    *Engine
	chaincode map[string]*ledger.Registry // by organisation
	queue     []*Envelope
	proposals uint64
}

// Proposal is what a client signs. An empty TxID and a zero Time are filled in.
type Proposal struct {
	TxID     string
	Time     time.Time
	Caller   ledger.Caller
	Function string
	Document []byte
}

// Envelope is an endorsed transaction, ready for ordering.
type Envelope struct {
	Proposal    Proposal
	Response    []byte
	Event       *ledger.Event // nil when the transaction writes nothing
	Transaction Transaction
}

// Block is a committed block and the verdict on each of its transactions.
type Block struct {
	Number    uint64
	Envelopes []*Envelope
	Flags     []Flag
}

// New makes a channel whose next block is the first one of its configuration.
func New(config Config) (*Network, error) {
	if len(config.Members) == 0 {
		return nil, errors.New("memledger: no members")
	}
	if config.Registry == nil {
		return nil, errors.New("memledger: no chaincode registry")
	}
	if config.Policy == nil {
		var peers []ledger.Policy
		for _, msp := range config.Members {
			peers = append(peers, ledger.PeerOf(msp))
		}
		majority := ledger.OutOf(ledger.Majority(len(peers)), peers...)
		config.Policy = &majority
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	n := &Network{config: config, engine: NewEngine(*config.Policy), chaincode: map[string]*ledger.Registry{}}
	for _, msp := range slices.Concat(config.Members, config.Observers) {
		if _, twice := n.chaincode[msp]; twice {
			return nil, fmt.Errorf("memledger: organisation %s listed twice", msp)
		}
		n.chaincode[msp] = config.Registry
	}
	for range max(config.First, 1) { // the genesis block, and what else others put there
		if _, err := n.engine.Commit(nil); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Replace gives one organisation's peer another chaincode, as a member that tampers with its own would.
func (n *Network) Replace(msp string, registry *ledger.Registry) error {
	if _, ok := n.chaincode[msp]; !ok {
		return fmt.Errorf("memledger: no organisation %s", msp)
	}
	n.chaincode[msp] = registry
	return nil
}

// Members lists the member organisations.
func (n *Network) Members() []string { return slices.Clone(n.config.Members) }

// State returns every committed entry, by key. The caller must not change them.
func (n *Network) State() []*Entry { return n.engine.State() }

// Height is the number of the next block.
func (n *Network) Height() uint64 { return n.engine.Height() }

// Propose simulates a proposal on the committed state at the peers of the endorsers, in their order; with none named,
// at the fewest members' peers, the caller's first, that satisfy the chaincode's policy and those of the written keys.
// A refusal by every endorser's rule is returned as its [ledger.Fault].
func (n *Network) Propose(p Proposal, endorsers ...string) (*Envelope, error) {
	p, err := n.prepare(p)
	if err != nil {
		return nil, err
	}
	if len(endorsers) == 0 {
		if endorsers, err = n.plan(p); err != nil {
			return nil, err
		}
	}
	results := make([]result, len(endorsers))
	for i, msp := range endorsers {
		if results[i], err = n.simulate(p, msp); err != nil {
			return nil, err
		}
		if !bytes.Equal(results[i].canonical, results[0].canonical) {
			return nil, fmt.Errorf("%s by %s and %s: %w", p.Function, endorsers[0], msp, ErrMismatch)
		}
	}
	if results[0].fault != nil {
		return nil, results[0].fault
	}
	envelope := results[0].envelope
	envelope.Transaction.Endorsers = slices.Clone(endorsers)
	return envelope, nil
}

// Evaluate simulates a proposal at one organisation's peer, "" for the caller's own, and returns the response.
// Nothing is submitted.
func (n *Network) Evaluate(p Proposal, msp string) ([]byte, error) {
	p, err := n.prepare(p)
	if err != nil {
		return nil, err
	}
	if msp == "" {
		msp = p.Caller.MSP
	}
	r, err := n.simulate(p, msp)
	if err != nil {
		return nil, err
	}
	if r.fault != nil {
		return nil, r.fault
	}
	return r.envelope.Response, nil
}

// Submit hands an envelope to ordering, where it waits for the next [Network.Cut]. It may be submitted at any later
// time, also more than once.
func (n *Network) Submit(e *Envelope) error {
	if slices.Contains(n.config.Observers, e.Proposal.Caller.MSP) {
		return fmt.Errorf("%s: %w", e.Proposal.Caller.MSP, ErrOrdering)
	}
	n.queue = append(n.queue, e)
	return nil
}

// Cut makes a block of everything submitted since the last one and commits it. With nothing submitted there is no
// block and nil is returned.
func (n *Network) Cut() (*Block, error) {
	if len(n.queue) == 0 {
		return nil, nil
	}
	block := &Block{Number: n.engine.Height(), Envelopes: n.queue}
	n.queue = nil
	transactions := make([]Transaction, len(block.Envelopes))
	for i, envelope := range block.Envelopes {
		transactions[i] = envelope.Transaction
	}
	var err error
	if block.Flags, err = n.engine.Commit(transactions); err != nil {
		return block, err
	}
	if n.config.Committed != nil {
		n.config.Committed(block)
	}
	return block, nil
}

// Invoke proposes, submits and cuts a block; the flag is that of this transaction, others waiting come with it.
func (n *Network) Invoke(p Proposal, endorsers ...string) (*Envelope, Flag, error) {
	envelope, err := n.Propose(p, endorsers...)
	if err != nil {
		return nil, "", err
	}
	if err := n.Submit(envelope); err != nil {
		return nil, "", err
	}
	block, err := n.Cut()
	if err != nil {
		return nil, "", err
	}
	return envelope, block.Flags[len(block.Flags)-1], nil
}

// prepare completes a proposal and checks what every peer checks before it simulates.
func (n *Network) prepare(p Proposal) (Proposal, error) {
	now := n.config.Now()
	if p.Time.IsZero() {
		p.Time = now
	}
	if p.TxID == "" && n.config.Name != nil {
		p.TxID = n.config.Name(p)
	}
	if p.TxID == "" {
		n.proposals++
		id := sha256.Sum256(fmt.Appendf(nil, "%s/%d", n.config.Channel, n.proposals))
		p.TxID = hex.EncodeToString(id[:])
	}
	if _, known := n.chaincode[p.Caller.MSP]; !known {
		return p, fmt.Errorf("client of %q is of no organisation of channel %s: %w", p.Caller.MSP, n.config.Channel, ErrRefused)
	}
	if d := now.Sub(p.Time); d > Window || d < -Window {
		return p, fmt.Errorf("timestamp %s is %s from the peers' clock: %w", p.Time.Format(time.RFC3339), d, ErrRefused)
	}
	return p, nil
}
