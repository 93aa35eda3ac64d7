package lifecycle_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	peerlifecycle "github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network/lifecycle"
)

var (
	definition = lifecycle.Definition{Channel: "datanet", Name: "datanet", Version: "1.0", Sequence: 1}
	packageID  = "datanet_1.0:abc"
)

// step is what one attempt to approve meets at the gateway.
type step struct {
	// endorse refuses the endorsement, submit the submission.
	endorse, submit error
	// fate is what the orderers made of the transaction all the same.
	fate peer.TxValidationCode
	// silent orderers never deliver it, so its status cannot be had.
	silent bool
}

// gatewayPeer is a peer's gateway service that keeps one organisation's
// approval, and meets each attempt with the next step.
type gatewayPeer struct {
	gateway.UnimplementedGatewayServer
	steps    []step
	attempts int
	approved bool
	current  step
	// afterwards runs at the end of every attempt's endorsement.
	afterwards func(*gatewayPeer)
}

func (g *gatewayPeer) Evaluate(context.Context, *gateway.EvaluateRequest) (*gateway.EvaluateResponse, error) {
	if !g.approved {
		return nil, status.Error(codes.Unknown, "could not fetch approved chaincode definition")
	}
	return &gateway.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: protoutil.MarshalOrPanic(&peerlifecycle.QueryApprovedChaincodeDefinitionResult{
		Sequence: definition.Sequence,
		Version:  definition.Version,
		Source: &peerlifecycle.ChaincodeSource{Type: &peerlifecycle.ChaincodeSource_LocalPackage{
			LocalPackage: &peerlifecycle.ChaincodeSource_Local{PackageId: packageID},
		}},
	})}}, nil
}

func (g *gatewayPeer) Endorse(_ context.Context, r *gateway.EndorseRequest) (*gateway.EndorseResponse, error) {
	g.current = g.steps[min(g.attempts, len(g.steps)-1)]
	g.attempts++
	if g.afterwards != nil {
		g.afterwards(g)
	}
	if g.current.endorse != nil {
		return nil, g.current.endorse
	}
	marshal := protoutil.MarshalOrPanic
	action := marshal(&peer.ChaincodeAction{Response: &peer.Response{Status: 200}})
	return &gateway.EndorseResponse{PreparedTransaction: &common.Envelope{Payload: marshal(&common.Payload{
		Header: &common.Header{ChannelHeader: marshal(&common.ChannelHeader{ChannelId: r.GetChannelId(), TxId: r.GetTransactionId()})},
		Data: marshal(&peer.Transaction{Actions: []*peer.TransactionAction{{Payload: marshal(&peer.ChaincodeActionPayload{
			Action: &peer.ChaincodeEndorsedAction{ProposalResponsePayload: marshal(&peer.ProposalResponsePayload{Extension: action})},
		})}}}),
	})}}, nil
}

func (g *gatewayPeer) Submit(context.Context, *gateway.SubmitRequest) (*gateway.SubmitResponse, error) {
	g.approved = g.approved || (g.current.fate == peer.TxValidationCode_VALID && !g.current.silent)
	return &gateway.SubmitResponse{}, g.current.submit
}

func (g *gatewayPeer) CommitStatus(_ context.Context, r *gateway.SignedCommitStatusRequest) (*gateway.CommitStatusResponse, error) {
	var request gateway.CommitStatusRequest
	if err := proto.Unmarshal(r.GetRequest(), &request); err != nil {
		return nil, err
	}
	if g.current.silent || request.GetTransactionId() == "" || len(r.GetSignature()) == 0 {
		return nil, status.Error(codes.Unavailable, "unknown")
	}
	return &gateway.CommitStatusResponse{Result: g.current.fate}, nil
}

func TestApprove(t *testing.T) {
	const (
		valid    = peer.TxValidationCode_VALID
		conflict = peer.TxValidationCode_MVCC_READ_CONFLICT
	)
	lost := status.Error(codes.Unavailable, "insufficient number of orderers could successfully process transaction")
	differ := status.Error(codes.Aborted, "ProposalResponsePayloads do not match")
	for name, c := range map[string]struct {
		approved   bool
		steps      []step
		afterwards func(*gatewayPeer)
		attempts   int
		want       string
	}{
		"one attempt is enough":                                  {steps: []step{{fate: valid}}, attempts: 1},
		"what is approved is not approved again":                 {approved: true, attempts: 0},
		"a submission reported as lost that is valid is success": {steps: []step{{submit: lost, fate: valid}, {endorse: differ}}, attempts: 1},
		"a submission that is really lost is made again":         {steps: []step{{submit: lost, silent: true}, {fate: valid}}, attempts: 2},
		"a conflict is tried again":                              {steps: []step{{fate: conflict}, {submit: lost, fate: conflict}, {fate: valid}}, attempts: 3},
		"peers that disagree are given time":                     {steps: []step{{endorse: differ}, {endorse: differ}, {fate: valid}}, attempts: 3},
		"a refusal is final":                                     {steps: []step{{endorse: status.Error(codes.PermissionDenied, "you may not")}}, attempts: 1, want: "OpMSP: approve datanet version 1.0, sequence 1: "},
		"a wrong sequence is final":                              {steps: []step{{endorse: status.Error(codes.Aborted, "requested sequence is 1, but new definition must be sequence 3")}}, attempts: 1, want: "must be sequence 3"},
		"an approval that another made meanwhile is success": {
			steps:      []step{{endorse: status.Error(codes.Aborted, "attempted to redefine uncommitted sequence (1) for namespace datanet with unchanged content")}},
			afterwards: func(g *gatewayPeer) { g.approved = true },
			attempts:   1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gatewayPeer{steps: c.steps, approved: c.approved, afterwards: c.afterwards}
			o := operator(t)
			admin, err := o.Admin()
			require.NoError(t, err)
			conn := serveGRPC(t, o, func(s *grpc.Server) { gateway.RegisterGatewayServer(s, g) })
			err = lifecycle.NewPeer(conn, admin).Approve(t.Context(), definition, packageID)
			if c.want == "" {
				require.NoError(t, err)
				require.True(t, g.approved)
			} else {
				require.ErrorContains(t, err, c.want)
			}
			require.Equal(t, c.attempts, g.attempts)
		})
	}
}

func TestApproveEndsWithItsContextAndTellsTheLastFailure(t *testing.T) {
	impatient := errors.New("the operator gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	g := &gatewayPeer{
		steps: []step{{endorse: status.Error(codes.FailedPrecondition, "no combination of peers can be derived")}},
		afterwards: func(g *gatewayPeer) {
			if g.attempts == 3 {
				cancel(impatient)
			}
		},
	}
	o := operator(t)
	admin, err := o.Admin()
	require.NoError(t, err)
	conn := serveGRPC(t, o, func(s *grpc.Server) { gateway.RegisterGatewayServer(s, g) })
	err = lifecycle.NewPeer(conn, admin).Approve(ctx, definition, packageID)
	require.ErrorIs(t, err, impatient)
	require.ErrorContains(t, err, "no combination of peers can be derived")
	require.Equal(t, 3, g.attempts)
}
