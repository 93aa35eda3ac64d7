// Package fabric is how Go programs speak to the network: it calls the chaincode's functions through a peer's gateway
// service and tells apart what a caller must treat differently.
//
//   - *[ledger.Fault]: the rules refused; change the request.
//   - *[InvalidError]: ordered, but invalid at commit. On a conflict (see [InvalidError.Conflict]) the same request
//     may be sent again; every function is safe to repeat.
//   - *[DisagreementError]: the endorsers' answers differ, mostly because a peer lags behind; send it again.
//   - *[UnavailableError]: nothing was submitted, since somebody could not be reached; send it again.
//   - *[RefusedError]: the ordering service would not take it.
//   - *[UnknownError]: the outcome is not known; ask [Client.Status] by transaction id, or repeat the request.
//   - anything else: nothing was submitted.
package fabric

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// doubt is how long to wait for the outcome of a transaction whose submission seemed to fail.
const doubt = 20 * time.Second

// Identity signs for an account of an organisation. Sign takes the whole message.
type Identity interface {
	MspID() string
	Credentials() []byte
	Sign(message []byte) ([]byte, error)
}

// Client calls the chaincode as one identity through one peer. It is safe for concurrent use.
type Client struct {
	gateway  *client.Gateway
	network  *client.Network
	contract *client.Contract
	identity Identity
	conn     grpc.ClientConnInterface
	channel  string
	name     string // of the chaincode
}

// Connect returns a client over a shared connection.
func Connect(conn grpc.ClientConnInterface, id Identity, channel, chaincode string) (*Client, error) {
	gw, err := client.Connect(id, client.WithSign(id.Sign), client.WithHash(hash.NONE), client.WithClientConnection(conn))
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", id.MspID(), err)
	}
	network := gw.GetNetwork(channel)
	return &Client{gateway: gw, network: network, contract: network.GetContract(chaincode), identity: id,
		conn: conn, channel: channel, name: chaincode}, nil
}

// Close releases the client; the connection stays open.
func (c *Client) Close() error { return c.gateway.Close() }

// Call is one call of a function.
type Call struct {
	Function string // "token:Transfer"
	Request  any    // encoded by the ledger's codec; a []byte is taken as the document itself
	// Endorsers pins the organisations whose peers run the function. Empty: the peer's gateway plans them from the
	// policies for a submission, and any peer may answer a query.
	Endorsers []string
	// Time is the proposal's timestamp; zero is now. Peers refuse one outside their window.
	Time time.Time
}

// Committed is a valid transaction.
type Committed struct {
	TxID     string
	Block    uint64
	Response []byte // the function's answer, a JSON document
}

// Evaluate runs a function on one peer and returns its answer; nothing is written.
func (c *Client) Evaluate(ctx context.Context, call Call) ([]byte, error) {
	p, err := c.propose(call)
	if err != nil {
		return nil, err
	}
	answer, err := p.EvaluateWithContext(ctx)
	if err != nil {
		return nil, explain(call.Function, err)
	}
	return answer, nil
}

// Submit endorses, orders and waits until the transaction is committed.
func (c *Client) Submit(ctx context.Context, call Call) (*Committed, error) {
	e, err := c.Endorse(ctx, call)
	if err != nil {
		return nil, err
	}
	return e.Submit(ctx)
}

// Endorsed is a transaction that its endorsers have signed and that is not submitted yet.
type Endorsed struct {
	client      *Client
	function    string
	transaction *client.Transaction
}

// Endorse collects endorsements.
func (c *Client) Endorse(ctx context.Context, call Call) (*Endorsed, error) {
	p, err := c.propose(call)
	if err != nil {
		return nil, err
	}
	tx, err := p.EndorseWithContext(ctx)
	if err != nil {
		return nil, explainEndorsing(call.Function, call.Endorsers, err)
	}
	return &Endorsed{client: c, function: call.Function, transaction: tx}, nil
}

// TxID is the transaction's id.
func (e *Endorsed) TxID() string { return e.transaction.TransactionID() }

// Response is the function's answer, which holds when the transaction commits.
func (e *Endorsed) Response() []byte { return e.transaction.Result() }

// Submit orders the transaction and waits until it is committed. A failure to submit is no proof that the transaction
// was not ordered (BFT ordering reports false failures), so its status is asked for before any answer.
func (e *Endorsed) Submit(ctx context.Context) (*Committed, error) {
	commit, err := e.transaction.SubmitWithContext(ctx)
	if err != nil {
		if refused := refusal(e.TxID(), err); refused != nil {
			return nil, refused
		}
		if commit, err = e.client.commit(e.TxID()); err != nil {
			return nil, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, doubt)
		defer cancel()
	}
	return e.await(ctx, commit)
}

func (e *Endorsed) await(ctx context.Context, commit *client.Commit) (*Committed, error) {
	block, err := outcome(ctx, commit)
	if err != nil {
		return nil, err
	}
	return &Committed{TxID: e.TxID(), Block: block, Response: e.Response()}, nil
}

// Status waits for the outcome of a transaction: nil when it is valid, [*InvalidError], or [*UnknownError] when the
// context ends first.
func (c *Client) Status(ctx context.Context, txID string) error {
	_, err := c.Await(ctx, txID)
	return err
}

// Await waits for the outcome of a transaction and returns the block of a valid one. The error is an [*InvalidError], or
// an [*UnknownError] when the context ends or the peer is lost first: a transaction that never comes is waited for until
// then. When a transaction was ordered more than once, the outcome is that of the first.
func (c *Client) Await(ctx context.Context, txID string) (block uint64, err error) {
	commit, err := c.commit(txID)
	if err != nil {
		return 0, err
	}
	return outcome(ctx, commit)
}

func outcome(ctx context.Context, commit *client.Commit) (block uint64, err error) {
	status, err := commit.StatusWithContext(ctx)
	if err != nil {
		return 0, &UnknownError{TxID: commit.TransactionID(), Cause: err}
	}
	if !status.Successful {
		return 0, &InvalidError{TxID: commit.TransactionID(), Code: status.Code, Block: status.BlockNumber}
	}
	return status.BlockNumber, nil
}

func (c *Client) commit(txID string) (*client.Commit, error) {
	request, err := statusRequest(c.identity, c.channel, txID)
	if err != nil {
		return nil, err
	}
	commit, err := c.gateway.NewCommit(request)
	if err != nil {
		return nil, fmt.Errorf("ask for the status of %s: %w", txID, err)
	}
	return commit, nil
}

// statusRequest is a request for a transaction's status that nobody has signed yet.
func statusRequest(id Identity, channel, txID string) ([]byte, error) {
	creator, err := proto.Marshal(identityOf(id))
	if err != nil {
		return nil, fmt.Errorf("ask for the status of %s: %w", txID, err)
	}
	request, err := proto.Marshal(&gateway.CommitStatusRequest{ChannelId: channel, TransactionId: txID, Identity: creator})
	if err != nil {
		return nil, fmt.Errorf("ask for the status of %s: %w", txID, err)
	}
	unsigned, err := proto.Marshal(&gateway.SignedCommitStatusRequest{Request: request})
	if err != nil {
		return nil, fmt.Errorf("ask for the status of %s: %w", txID, err)
	}
	return unsigned, nil
}

// Blocks streams the channel's blocks as the peer holds them, from the given number on, until the context ends.
func (c *Client) Blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	return c.network.BlockEvents(ctx, client.WithStartBlock(from))
}

func (c *Client) propose(call Call) (*client.Proposal, error) {
	document, ok := call.Request.([]byte)
	if !ok {
		var err error
		if document, err = ledger.Encode(call.Request); err != nil {
			return nil, fmt.Errorf("%s: %w", call.Function, err)
		}
	}
	options := []client.ProposalOption{client.WithBytesArguments(document)}
	if len(call.Endorsers) > 0 {
		options = append(options, client.WithEndorsingOrganizations(call.Endorsers...))
	}
	p, err := c.contract.NewProposal(call.Function, options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.Function, err)
	}
	if call.Time.IsZero() {
		return p, nil
	}
	if p, err = c.at(p, call.Time); err != nil {
		return nil, fmt.Errorf("%s: set the proposal's time: %w", call.Function, err)
	}
	return p, nil
}

// at returns the proposal with another timestamp, which is no part of the transaction id.
func (c *Client) at(p *client.Proposal, t time.Time) (*client.Proposal, error) {
	data, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	proposed, proposal, header, channel := &gateway.ProposedTransaction{}, &peer.Proposal{}, &common.Header{}, &common.ChannelHeader{}
	err = errors.Join(
		proto.Unmarshal(data, proposed),
		proto.Unmarshal(proposed.GetProposal().GetProposalBytes(), proposal),
		proto.Unmarshal(proposal.GetHeader(), header),
		proto.Unmarshal(header.GetChannelHeader(), channel))
	if err != nil {
		return nil, err
	}
	channel.Timestamp = timestamppb.New(t)
	if header.ChannelHeader, err = proto.Marshal(channel); err != nil {
		return nil, err
	}
	if proposal.Header, err = proto.Marshal(header); err != nil {
		return nil, err
	}
	if proposed.Proposal.ProposalBytes, err = proto.Marshal(proposal); err != nil {
		return nil, err
	}
	if data, err = proto.Marshal(proposed); err != nil {
		return nil, err
	}
	return c.gateway.NewProposal(data)
}
