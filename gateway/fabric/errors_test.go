package fabric

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// rpc is a gateway's error with the given details, as fabric-gateway's errors show them.
type rpc struct {
	error
	messages []string
}

func (e rpc) Details() (details []*gateway.ErrorDetail) {
	for _, message := range e.messages {
		details = append(details, &gateway.ErrorDetail{MspId: "BMSP", Message: message})
	}
	return details
}
func (e rpc) Unwrap() error { return e.error }

func refused(code codes.Code, messages ...string) error {
	return fmt.Errorf("endorse: %w", rpc{status.Error(code, "failed"), messages})
}

func TestFailuresAreToldApart(t *testing.T) {
	fault := ledger.Invalid("to", "an account cannot pay itself")
	var asFault *ledger.Fault
	require.ErrorAs(t, explain("token:Transfer", refused(codes.Aborted, "chaincode response 500, "+fault.Wire())), &asFault)
	require.Equal(t, fault, asFault)

	var disagreement *DisagreementError
	require.ErrorAs(t, explain("f", refused(codes.Aborted, "ProposalResponsePayloads do not match")), &disagreement)
	var unavailable *UnavailableError
	require.ErrorAs(t, explain("f", refused(codes.Unavailable, "connection refused")), &unavailable)
	require.Equal(t, "BMSP", disagreement.Organisation)
	require.Equal(t, "BMSP", unavailable.Organisation)
	few := status.Error(codes.Aborted, "failed to collect enough transaction endorsements, see attached details for more info")
	unavailable = nil
	require.ErrorAs(t, explain("f", rpc{few, []string{"connection refused"}}), &unavailable, "a peer is down")
	unavailable = nil
	require.False(t, errors.As(explain("f", refused(codes.Aborted, "access denied")), &unavailable))
	lagging := rpc{few, []string{"chaincode response 500, " + fault.Wire()}}
	err := explainEndorsing("f", nil, lagging)
	require.ErrorAs(t, err, &disagreement, "the own peer has agreed, others have not")
	require.ErrorContains(t, err, fault.Error())
	require.False(t, errors.As(err, &asFault), "it is no answer of the rules yet")
	require.Equal(t, fault, explainEndorsing("f", []string{"AMSP", "BMSP"}, lagging), "of those that are named all may say so")
	require.Equal(t, fault, explainEndorsing("f", nil, refused(codes.Aborted, "chaincode response 500, "+fault.Wire())), "the own peer says so")

	other := explain("f", refused(codes.Aborted, "chaincode response 500, {not a fault}"))
	require.False(t, errors.As(other, &asFault) && asFault != fault)
	require.ErrorContains(t, other, "f: endorse")
}

func TestOnlyFailuresOfTimingAreTriedAgain(t *testing.T) {
	for code, again := range map[peer.TxValidationCode]bool{
		peer.TxValidationCode_MVCC_READ_CONFLICT:         true,
		peer.TxValidationCode_PHANTOM_READ_CONFLICT:      true,
		peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE: false,
		peer.TxValidationCode_DUPLICATE_TXID:             false,
	} {
		require.Equal(t, again, Again(&InvalidError{Code: code}), "%s", code)
	}
	require.True(t, Again(&DisagreementError{}))
	require.True(t, Again(&UnavailableError{}))
	require.False(t, Again(&UnknownError{Cause: errors.New("time")}), "its outcome has to be asked for first")
	require.False(t, Again(&RefusedError{Cause: errors.New("FORBIDDEN")}))
	require.False(t, Again(ledger.Refuse(ledger.CodeState, "closed")))
}

func TestConnectingWithoutAnAuthorityIsRefused(t *testing.T) {
	_, err := Dial("127.0.0.1:1", []byte("no certificate"))
	require.ErrorContains(t, err, "no certificate in the TLS authority's PEM")
}

func FuzzFaultIn(f *testing.F) {
	f.Add("chaincode response 500, " + ledger.Invalid("a", "b").Wire())
	f.Add("}{")
	f.Fuzz(func(t *testing.T, message string) {
		if fault := faultIn(message); fault != nil {
			require.NotEmpty(t, fault.Code)
		}
	})
}
