package fabrictest

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// Endorse simulates a signed proposal at as many peers as its policies ask for.
func (n *Network) Endorse(_ context.Context, request *gateway.EndorseRequest) (*gateway.EndorseResponse, error) {
	p, err := n.proposal(request.GetProposedTransaction())
	if err != nil {
		return nil, err
	}
	if n.Endorsing != nil {
		if err := n.Endorsing(p.Function); err != nil {
			return nil, err
		}
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	e, err := n.ledger.Propose(p, request.GetEndorsingOrganizations()...)
	if err != nil {
		return nil, refusal(err)
	}
	payload, err := payloadOf(request.GetProposedTransaction().GetProposalBytes(), e.Response)
	if err != nil {
		return nil, err
	}
	n.endorsed[key(payload)] = e
	return &gateway.EndorseResponse{PreparedTransaction: &common.Envelope{Payload: payload}}, nil
}

// Evaluate simulates a signed proposal at one peer. It knows qscc's GetChainInfo too.
func (n *Network) Evaluate(_ context.Context, request *gateway.EvaluateRequest) (*gateway.EvaluateResponse, error) {
	contents, err := fabric.ReadProposal(request.GetProposedTransaction().GetProposalBytes())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p, err := n.proposal(request.GetProposedTransaction())
	if err != nil {
		return nil, err
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if contents.Chaincode == "qscc" {
		info, err := proto.Marshal(&common.BlockchainInfo{Height: n.ledger.Height()})
		return &gateway.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: info}}, err
	}
	target := ""
	if targets := request.GetTargetOrganizations(); len(targets) > 0 {
		target = targets[0]
	}
	answer, err := n.ledger.Evaluate(p, target)
	if err != nil {
		return nil, status.Errorf(codes.Unknown, "evaluate call to endorser returned error: %s", report(err))
	}
	return &gateway.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: answer}}, nil
}

// Submit orders a signed transaction.
func (n *Network) Submit(_ context.Context, request *gateway.SubmitRequest) (*gateway.SubmitResponse, error) {
	envelope := request.GetPreparedTransaction()
	contents, err := fabric.ReadTransaction(envelope.GetPayload())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := verify(contents, envelope.GetPayload(), envelope.GetSignature()); err != nil {
		return nil, status.Errorf(codes.Aborted, "received unsuccessful response from orderer: status=FORBIDDEN, info=permission denied: %v", err)
	}
	ordered, failure := true, error(nil)
	if n.Submitting != nil {
		ordered, failure = n.Submitting(contents.TxID)
	}
	if ordered {
		if err := n.order(contents.TxID, envelope.GetPayload()); err != nil {
			return nil, err
		}
	}
	return &gateway.SubmitResponse{}, failure
}

func (n *Network) order(txID string, payload []byte) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	e, ok := n.endorsed[key(payload)]
	if !ok {
		return status.Error(codes.InvalidArgument, "no peer has endorsed this transaction")
	}
	if err := n.ledger.Submit(e); errors.Is(err, memledger.ErrOrdering) {
		return status.Errorf(codes.Aborted, "received unsuccessful response from orderer: status=FORBIDDEN, info=%v", err)
	} else if err != nil {
		return err
	}
	n.copies[txID]++
	if n.held {
		return nil
	}
	return n.cut()
}

// CommitStatus waits for a transaction's outcome, which is that of its first copy.
func (n *Network) CommitStatus(ctx context.Context, signed *gateway.SignedCommitStatusRequest) (*gateway.CommitStatusResponse, error) {
	request, creator := &gateway.CommitStatusRequest{}, &msp.SerializedIdentity{}
	err := proto.Unmarshal(signed.GetRequest(), request)
	if err = errors.Join(err, proto.Unmarshal(request.GetIdentity(), creator)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	asker := fabric.Contents{MspID: creator.GetMspid(), Certificate: creator.GetIdBytes()}
	if err := verify(asker, signed.GetRequest(), signed.GetSignature()); err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	if n.Awaiting != nil {
		if err := n.Awaiting(request.GetTransactionId()); err != nil {
			return nil, err
		}
	}
	for {
		n.mutex.Lock()
		o, known := n.outcomes[request.GetTransactionId()]
		changed := n.changed
		n.mutex.Unlock()
		if known {
			return &gateway.CommitStatusResponse{Result: o.code, BlockNumber: o.block}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// ChaincodeEvents streams the events of valid transactions.
func (n *Network) ChaincodeEvents(signed *gateway.SignedChaincodeEventsRequest, stream grpc.ServerStreamingServer[gateway.ChaincodeEventsResponse]) error {
	request := &gateway.ChaincodeEventsRequest{}
	if err := proto.Unmarshal(signed.GetRequest(), request); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for next := request.GetStartPosition().GetSpecified().GetNumber(); ; {
		n.mutex.Lock()
		var ready []block
		for _, b := range n.blocks {
			if b.number >= next {
				ready = append(ready, b)
			}
		}
		changed := n.changed
		n.mutex.Unlock()
		for _, b := range ready {
			next = b.number + 1
			if len(b.events) == 0 {
				continue
			}
			if err := stream.Send(&gateway.ChaincodeEventsResponse{BlockNumber: b.number, Events: b.events}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

// proposal checks a proposal's signature and finds out whose it is.
func (n *Network) proposal(signed *peer.SignedProposal) (memledger.Proposal, error) {
	contents, err := fabric.ReadProposal(signed.GetProposalBytes())
	if err != nil {
		return memledger.Proposal{}, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := verify(contents, signed.GetProposalBytes(), signed.GetSignature()); err != nil {
		return memledger.Proposal{}, status.Errorf(codes.Aborted, "access denied: %v", err)
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	caller, known := n.callers[string(contents.Certificate)]
	if !known || caller.MSP != contents.MspID {
		return memledger.Proposal{}, status.Error(codes.Aborted, "access denied: creator certificate is not valid")
	}
	return memledger.Proposal{TxID: contents.TxID, Caller: caller, Function: contents.Function, Document: contents.Document}, nil
}

// verify wants the signature in the one form that peers take.
func verify(by fabric.Contents, message, signature []byte) error {
	canonical, err := fabric.CheckSignature(by.Certificate, message, signature)
	if err == nil && string(canonical) != string(signature) {
		err = fabric.ErrSignature
	}
	return err
}

// refusal is how a peer's gateway says that endorsement failed.
func refusal(err error) error {
	s, failed := status.New(codes.Aborted, "failed to endorse transaction, see attached details for more info").
		WithDetails(&gateway.ErrorDetail{Message: report(err)})
	if failed != nil {
		return failed
	}
	return s.Err()
}

// report is how a peer words an error of its chaincode, or a gateway a disagreement of endorsers.
func report(err error) string {
	if f := new(ledger.Fault); errors.As(err, &f) {
		return "chaincode response 500, " + f.Wire()
	}
	if errors.Is(err, memledger.ErrMismatch) {
		return "ProposalResponsePayloads do not match"
	}
	return err.Error()
}

// payloadOf is the transaction that a peer's gateway makes of a proposal and its answer.
func payloadOf(proposalBytes, response []byte) ([]byte, error) {
	proposal, header := &peer.Proposal{}, &common.Header{}
	if err := errors.Join(proto.Unmarshal(proposalBytes, proposal), proto.Unmarshal(proposal.GetHeader(), header)); err != nil {
		return nil, err
	}
	result := &peer.ChaincodeAction{Response: &peer.Response{Status: 200, Payload: response}}
	answer := &peer.ProposalResponsePayload{Extension: must(result)}
	action := &peer.ChaincodeActionPayload{ChaincodeProposalPayload: proposal.GetPayload(), Action: &peer.ChaincodeEndorsedAction{ProposalResponsePayload: must(answer)}}
	transaction := &peer.Transaction{Actions: []*peer.TransactionAction{{Header: header.GetSignatureHeader(), Payload: must(action)}}}
	return proto.Marshal(&common.Payload{Header: header, Data: must(transaction)})
}

// must encodes a message that has just been made, which cannot fail.
func must(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

func key(payload []byte) string {
	sum := sha256.Sum256(payload)
	return string(sum[:])
}
