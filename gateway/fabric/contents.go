package fabric

import (
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// Contents are what a proposal or a transaction says. Who signs bytes that another program made reads them first.
type Contents struct {
	TxID        string
	Channel     string
	Chaincode   string
	MspID       string // of its creator
	Certificate []byte // of its creator, PEM
	Function    string
	Document    []byte
	Response    []byte // of a transaction; empty for a proposal
}

// Same tells whether a transaction is the outcome of a proposal: everything but the response is equal.
func (c Contents) Same(proposal Contents) bool {
	return c.TxID == proposal.TxID && c.Channel == proposal.Channel && c.Chaincode == proposal.Chaincode && c.MspID == proposal.MspID &&
		string(c.Certificate) == string(proposal.Certificate) && c.Function == proposal.Function && string(c.Document) == string(proposal.Document)
}

// ReadProposal reads the bytes that are signed for a proposal.
func ReadProposal(message []byte) (Contents, error) {
	proposal, header, payload := &peer.Proposal{}, &common.Header{}, &peer.ChaincodeProposalPayload{}
	err := proto.Unmarshal(message, proposal)
	err = errors.Join(err, proto.Unmarshal(proposal.GetHeader(), header), proto.Unmarshal(proposal.GetPayload(), payload))
	if err != nil {
		return Contents{}, fmt.Errorf("read a proposal: %w", err)
	}
	if len(payload.GetTransientMap()) > 0 {
		return Contents{}, errors.New("read a proposal: it has transient data, which no function takes")
	}
	c, err := readContents(header, payload.GetInput())
	if err != nil {
		return Contents{}, fmt.Errorf("read a proposal: %w", err)
	}
	return c, nil
}

// ReadTransaction reads the bytes that are signed for an endorsed transaction.
func ReadTransaction(message []byte) (Contents, error) {
	payload, transaction := &common.Payload{}, &peer.Transaction{}
	err := proto.Unmarshal(message, payload)
	err = errors.Join(err, proto.Unmarshal(payload.GetData(), transaction))
	if err != nil {
		return Contents{}, fmt.Errorf("read a transaction: %w", err)
	}
	if len(transaction.GetActions()) != 1 {
		return Contents{}, fmt.Errorf("read a transaction: it has %d actions, expected one", len(transaction.GetActions()))
	}
	action, input := &peer.ChaincodeActionPayload{}, &peer.ChaincodeProposalPayload{}
	response, result := &peer.ProposalResponsePayload{}, &peer.ChaincodeAction{}
	err = proto.Unmarshal(transaction.GetActions()[0].GetPayload(), action)
	err = errors.Join(err, proto.Unmarshal(action.GetChaincodeProposalPayload(), input),
		proto.Unmarshal(action.GetAction().GetProposalResponsePayload(), response))
	err = errors.Join(err, proto.Unmarshal(response.GetExtension(), result))
	if err != nil {
		return Contents{}, fmt.Errorf("read a transaction: %w", err)
	}
	c, err := readContents(payload.GetHeader(), input.GetInput())
	if err != nil {
		return Contents{}, fmt.Errorf("read a transaction: %w", err)
	}
	c.Response = result.GetResponse().GetPayload()
	return c, nil
}

func readContents(header *common.Header, input []byte) (Contents, error) {
	channel, signer, creator := &common.ChannelHeader{}, &common.SignatureHeader{}, &msp.SerializedIdentity{}
	extension, invocation := &peer.ChaincodeHeaderExtension{}, &peer.ChaincodeInvocationSpec{}
	err := errors.Join(proto.Unmarshal(header.GetChannelHeader(), channel), proto.Unmarshal(header.GetSignatureHeader(), signer), proto.Unmarshal(input, invocation))
	err = errors.Join(err, proto.Unmarshal(channel.GetExtension(), extension), proto.Unmarshal(signer.GetCreator(), creator))
	if err != nil {
		return Contents{}, err
	}
	args, name := invocation.GetChaincodeSpec().GetInput().GetArgs(), extension.GetChaincodeId().GetName()
	switch {
	case channel.GetType() != int32(common.HeaderType_ENDORSER_TRANSACTION):
		return Contents{}, fmt.Errorf("it is of type %d, not a call of a chaincode", channel.GetType())
	case channel.GetTxId() == "" || name == "" || invocation.GetChaincodeSpec().GetChaincodeId().GetName() != name:
		return Contents{}, errors.New("it does not name one transaction and one chaincode")
	case len(args) != 2:
		return Contents{}, fmt.Errorf("it has %d arguments, expected a function and one document", len(args))
	}
	return Contents{TxID: channel.GetTxId(), Channel: channel.GetChannelId(), Chaincode: name, MspID: creator.GetMspid(),
		Certificate: creator.GetIdBytes(), Function: string(args[0]), Document: args[1]}, nil
}
