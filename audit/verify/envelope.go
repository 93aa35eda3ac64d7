package verify

import (
	"bytes"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"
)

// transaction is what is read of an envelope, as far as it can be read.
type transaction struct {
	id        string
	kind      common.HeaderType
	channel   string
	time      time.Time
	creator   []byte
	chaincode string // that endorsed
	invoked   string // that the header names
	args      [][]byte
	response  []byte
	event     *peer.ChaincodeEvent
	sets      *rwsetutil.TxRwSet // nil when unreadable
	signers   []*protoutil.SignedData
	// code is the peers' verdict on form and creator; VALID means that the rest decides.
	code peer.TxValidationCode
	why  string // of another code
	own  *protoutil.SignedData
}

func (t *transaction) fail(code peer.TxValidationCode, format string, args ...any) *transaction {
	t.code, t.why = code, fmt.Sprintf(format, args...)
	return t
}

// open reads an envelope and judges form and creator in the order in which peers do.
func open(data []byte, c *configuration) *transaction {
	t := &transaction{code: peer.TxValidationCode_VALID}
	envelope, err := protoutil.GetEnvelopeFromBlock(data)
	if err != nil {
		return t.fail(peer.TxValidationCode_INVALID_OTHER_REASON, "envelope: %v", err)
	}
	payload, err := protoutil.UnmarshalPayload(envelope.GetPayload())
	if err != nil {
		return t.fail(peer.TxValidationCode_BAD_PAYLOAD, "payload: %v", err)
	}
	channel, signature, err := t.header(payload.GetHeader())
	if err != nil {
		return t.fail(peer.TxValidationCode_BAD_COMMON_HEADER, "header: %v", err)
	}
	t.creator = signature.GetCreator()
	t.own = &protoutil.SignedData{Data: envelope.GetPayload(), Identity: t.creator, Signature: envelope.GetSignature()}
	if err := c.signed(t.own); err != nil {
		return t.fail(peer.TxValidationCode_BAD_CREATOR_SIGNATURE, "creator: %v", err)
	}
	if t.kind == common.HeaderType_CONFIG_UPDATE {
		return t.fail(peer.TxValidationCode_UNSUPPORTED_TX_PAYLOAD, "an update that is not ordered yet")
	}
	if t.kind == common.HeaderType_ENDORSER_TRANSACTION {
		if err := protoutil.CheckTxID(channel.GetTxId(), signature.GetNonce(), signature.GetCreator()); err != nil {
			return t.fail(peer.TxValidationCode_BAD_PROPOSAL_TXID, "%v", err)
		}
		if err := t.endorsed(payload); err != nil {
			return t.fail(peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION, "%v", err)
		}
	}
	if t.channel != c.channel {
		return t.fail(peer.TxValidationCode_TARGET_CHAIN_NOT_FOUND, "it is for channel %q", t.channel)
	}
	return t
}

func (t *transaction) header(header *common.Header) (*common.ChannelHeader, *common.SignatureHeader, error) {
	if header == nil {
		return nil, nil, fmt.Errorf("there is none")
	}
	channel, err := protoutil.UnmarshalChannelHeader(header.GetChannelHeader())
	if err != nil {
		return nil, nil, err
	}
	signature, err := protoutil.UnmarshalSignatureHeader(header.GetSignatureHeader())
	if err != nil {
		return nil, nil, err
	}
	t.id, t.kind, t.channel = channel.GetTxId(), common.HeaderType(channel.GetType()), channel.GetChannelId()
	extension := &peer.ChaincodeHeaderExtension{}
	if proto.Unmarshal(channel.GetExtension(), extension) == nil {
		t.invoked = extension.GetChaincodeId().GetName()
	}
	if channel.GetTimestamp().IsValid() {
		t.time = channel.GetTimestamp().AsTime()
	}
	switch t.kind {
	case common.HeaderType_ENDORSER_TRANSACTION, common.HeaderType_CONFIG_UPDATE, common.HeaderType_CONFIG:
	default:
		return nil, nil, fmt.Errorf("type %d", channel.GetType())
	}
	if channel.GetEpoch() != 0 {
		return nil, nil, fmt.Errorf("epoch %d", channel.GetEpoch())
	}
	return channel, signature, nonceAndCreator(signature)
}

func nonceAndCreator(h *common.SignatureHeader) error {
	if len(h.GetNonce()) == 0 || len(h.GetCreator()) == 0 {
		return fmt.Errorf("no nonce or no creator")
	}
	return nil
}

// endorsed reads the one action of a transaction and checks that what was endorsed answers what was proposed.
func (t *transaction) endorsed(payload *common.Payload) error {
	tx, err := protoutil.UnmarshalTransaction(payload.GetData())
	if err != nil {
		return err
	}
	if len(tx.GetActions()) != 1 || tx.GetActions()[0] == nil {
		return fmt.Errorf("%d actions instead of one", len(tx.GetActions()))
	}
	act := tx.GetActions()[0]
	header, err := protoutil.UnmarshalSignatureHeader(act.GetHeader())
	if err != nil {
		return err
	}
	if err := nonceAndCreator(header); err != nil {
		return err
	}
	action, err := protoutil.UnmarshalChaincodeActionPayload(act.GetPayload())
	if err != nil {
		return err
	}
	signed := action.GetAction().GetProposalResponsePayload()
	response, err := protoutil.UnmarshalProposalResponsePayload(signed)
	if err != nil {
		return err
	}
	original := &common.Header{ChannelHeader: payload.GetHeader().GetChannelHeader(), SignatureHeader: act.GetHeader()}
	hash, err := protoutil.GetProposalHash2(original, action.GetChaincodeProposalPayload())
	if err != nil {
		return err
	}
	if !bytes.Equal(hash, response.GetProposalHash()) {
		return fmt.Errorf("what was endorsed is no answer to what was proposed")
	}
	for _, e := range action.GetAction().GetEndorsements() {
		data := append(append(make([]byte, 0, len(signed)+len(e.GetEndorser())), signed...), e.GetEndorser()...)
		t.signers = append(t.signers, &protoutil.SignedData{Data: data, Identity: e.GetEndorser(), Signature: e.GetSignature()})
	}
	t.results(response.GetExtension(), action.GetChaincodeProposalPayload())
	return nil
}

// results reads what peers need only later; whatever does not parse stays empty.
func (t *transaction) results(extension, proposal []byte) {
	action, err := protoutil.UnmarshalChaincodeAction(extension)
	if err != nil {
		return
	}
	t.chaincode, t.response = action.GetChaincodeId().GetName(), action.GetResponse().GetPayload()
	event := &peer.ChaincodeEvent{}
	if len(action.GetEvents()) > 0 && proto.Unmarshal(action.GetEvents(), event) == nil {
		t.event = event
	}
	sets := &rwsetutil.TxRwSet{}
	if sets.FromProtoBytes(action.GetResults()) == nil {
		t.sets = sets
	}
	input, spec := &peer.ChaincodeProposalPayload{}, &peer.ChaincodeInvocationSpec{}
	if proto.Unmarshal(proposal, input) == nil && proto.Unmarshal(input.GetInput(), spec) == nil {
		t.args = spec.GetChaincodeSpec().GetInput().GetArgs()
	}
}

// signed checks a signature and that its signer is of the channel.
func (c *configuration) signed(s *protoutil.SignedData) error {
	id, err := c.identity(s.Identity)
	if err != nil {
		return err
	}
	return id.Verify(s.Data, s.Signature)
}
