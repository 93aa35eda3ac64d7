package fabric

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// InvalidError: the transaction was ordered and every peer found it invalid. It changed nothing.
type InvalidError struct {
	TxID  string
	Block uint64
	Code  peer.TxValidationCode
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("transaction %s is invalid: %s", e.TxID, e.Code)
}

// Conflict tells whether another transaction came first, so that the same request may be sent again.
func (e *InvalidError) Conflict() bool {
	return e.Code == peer.TxValidationCode_MVCC_READ_CONFLICT || e.Code == peer.TxValidationCode_PHANTOM_READ_CONFLICT
}

// DisagreementError: the endorsers' answers differ. Mostly one peer has not caught up with a block that another one has,
// so the same request may be sent again.
type DisagreementError struct {
	Organisation string // MSP ID of the peer whose answer differs from the others', "" if the gateway does not say
	Cause        error
}

func (e *DisagreementError) Error() string {
	return fmt.Sprintf("the endorsers' answers differ (a peer may lag behind): %v", e.Cause)
}
func (e *DisagreementError) Unwrap() error { return e.Cause }

// UnavailableError: no endorsement came, since a peer or an organisation could not be reached just now. Nothing was
// submitted.
type UnavailableError struct {
	Organisation string // MSP ID of a peer that failed, "" if the gateway does not say
	Cause        error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("not available now: %v", e.Cause) }
func (e *UnavailableError) Unwrap() error { return e.Cause }

// Again tells whether the failure is one of timing, so that the same request may be sent again.
func Again(err error) bool {
	var invalid *InvalidError
	var disagreement *DisagreementError
	var unavailable *UnavailableError
	return errors.As(err, &disagreement) || errors.As(err, &unavailable) || errors.As(err, &invalid) && invalid.Conflict()
}

// RefusedError: the ordering service refused the transaction because of who signed it. It will never be ordered from
// this submission.
type RefusedError struct {
	TxID         string
	Organisation string // MSP ID of an orderer that refused it, "" if the gateway does not say
	Cause        error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the ordering service refused transaction %s: %v", e.TxID, e.Cause)
}
func (e *RefusedError) Unwrap() error { return e.Cause }

// UnknownError: the transaction was sent and its outcome is not known.
type UnknownError struct {
	TxID  string
	Cause error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the outcome of transaction %s is not known: %v", e.TxID, e.Cause)
}
func (e *UnknownError) Unwrap() error { return e.Cause }

// explain finds the chaincode's fault in a gateway error. Peers report it in the error's details, after the words
// "chaincode response 500, ".
func explain(function string, err error) error {
	var rpc interface{ Details() []*gateway.ErrorDetail }
	failed := "" // the organisation of the first node that failed
	if errors.As(err, &rpc) {
		for _, detail := range rpc.Details() {
			failed = cmp.Or(failed, detail.GetMspId())
			if strings.Contains(detail.GetMessage(), "ProposalResponsePayloads do not match") {
				return &DisagreementError{Organisation: detail.GetMspId(), Cause: err}
			}
			if f := faultIn(detail.GetMessage()); f != nil {
				return f
			}
		}
	}
	if f := faultIn(err.Error()); f != nil {
		return f
	}
	err = fmt.Errorf("%s: %w", function, err)
	if status.Code(err) == codes.Unavailable || absent(err) {
		return &UnavailableError{Organisation: failed, Cause: err}
	}
	return err
}

// explainEndorsing is explain for endorsements. The peer that is called is asked first and, unless organisations are named, the
// others only if it agrees. So where then too few do, the fault that they report is none to it: one of them mostly lags.
func explainEndorsing(function string, endorsers []string, err error) error {
	explained := explain(function, err)
	var fault *ledger.Fault
	if len(endorsers) == 0 && errors.As(explained, &fault) && strings.Contains(err.Error(), tooFew) {
		return &DisagreementError{Cause: fmt.Errorf("%s: %w: %v", function, err, fault)}
	}
	return explained
}

const tooFew = "failed to collect enough transaction endorsements"

// absences are the words in which a peer's gateway says that it found too few peers that answer, whatever the status.
var absences = []string{
	tooFew,
	"no combination of peers can be derived which satisfy the endorsement policy",
	"failed to select a set of endorsers that satisfy the endorsement policy",
	"no peers available to",
	"endorsement timeout expired",
}

func absent(err error) bool {
	return slices.ContainsFunc(absences, func(words string) bool { return strings.Contains(err.Error(), words) })
}

func faultIn(message string) *ledger.Fault {
	start := strings.IndexByte(message, '{')
	end := strings.LastIndexByte(message, '}')
	if start < 0 || end < start {
		return nil
	}
	f, ok := ledger.ParseFault(message[start : end+1])
	if !ok {
		return nil
	}
	return f
}

// refusal recognises a refusal by the orderers' own policy: every orderer that answered said FORBIDDEN.
func refusal(txID string, err error) error {
	var submit *client.SubmitError
	if !errors.As(err, &submit) {
		return nil
	}
	refused := &RefusedError{TxID: txID, Cause: err}
	details := submit.Details()
	if len(details) == 0 {
		if !forbidden(err.Error()) {
			return nil
		}
	}
	for _, detail := range details {
		if !forbidden(detail.GetMessage()) {
			return nil
		}
		refused.Organisation = cmp.Or(refused.Organisation, detail.GetMspId())
	}
	return refused
}

func forbidden(message string) bool {
	return strings.Contains(message, "FORBIDDEN") || strings.Contains(message, "permission denied")
}

func identityOf(id Identity) *msp.SerializedIdentity {
	return &msp.SerializedIdentity{Mspid: id.MspID(), IdBytes: id.Credentials()}
}
