package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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
	by        *callerOf // who the creator is; nil until that is asked
	chaincode string    // that endorsed
	config    []byte    // of a configuration
	args      [][]byte
	response  []byte
	event     *peer.ChaincodeEvent
	sets      *rwsetutil.TxRwSet // nil when unreadable
	own       *protoutil.SignedData
	// signedPart, together with the endorser's identity, is what each endorsement signs. Answers is the hash of the
	// proposal in it.
	signedPart, answers []byte
	endorsements        []signature
	endorsers           []string // whose peers' signatures are good, where that decides
	// code is the peers' verdict on form and creator, content the one on what was endorsed, which they look at only when the
	// id is new; VALID means that the rest decides.
	code, content peer.TxValidationCode
	why           string // of another code
}

// signature is an endorsement.
type signature struct{ by, signature []byte }

func (t *transaction) fail(code peer.TxValidationCode, format string, args ...any) *transaction {
	t.code, t.why = code, fmt.Sprintf(format, args...)
	return t
}

// open reads an envelope and judges form and creator in the order in which peers do. Whatever can be read is read, so that
// a transaction can be followed that should not have been let through.
func open(data []byte, c *configuration) *transaction {
	t := &transaction{code: peer.TxValidationCode_VALID}
	payload, signed, err := envelopeOf(data)
	if err != nil {
		return t.fail(peer.TxValidationCode_INVALID_OTHER_REASON, "envelope: %v", err)
	}
	headers, inner, err := payloadOf(payload)
	if err != nil {
		return t.fail(peer.TxValidationCode_BAD_PAYLOAD, "payload: %v", err)
	}
	channel, signature, err := t.header(headers)
	if t.kind == common.HeaderType_CONFIG {
		t.config = inner
	}
	if err != nil {
		return t.fail(peer.TxValidationCode_BAD_COMMON_HEADER, "header: %v", err)
	}
	t.creator = signature.GetCreator()
	t.own = &protoutil.SignedData{Data: payload, Identity: t.creator, Signature: signed}
	var unanswered error
	if t.kind == common.HeaderType_ENDORSER_TRANSACTION {
		unanswered = t.endorsed(headers, inner, channel.GetExtension())
	}
	if c == nil {
		return t
	}
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
		if unanswered != nil {
			return t.fail(peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION, "%v", unanswered)
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
	channel, err := channelHeaderOf(header.GetChannelHeader())
	if err != nil {
		return nil, nil, err
	}
	signature, err := signatureHeaderOf(header.GetSignatureHeader())
	if err != nil {
		return nil, nil, err
	}
	t.id, t.kind, t.channel = channel.GetTxId(), common.HeaderType(channel.GetType()), channel.GetChannelId()
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
func (t *transaction) endorsed(headers *common.Header, data, extension []byte) error {
	act, err := actionOf(data)
	if err != nil {
		return err
	}
	proposal, err := t.action(act.GetPayload(), extension)
	if err != nil {
		return err
	}
	header, err := signatureHeaderOf(act.GetHeader())
	if err != nil {
		return err
	}
	if err := nonceAndCreator(header); err != nil {
		return err
	}
	original := &common.Header{ChannelHeader: headers.GetChannelHeader(), SignatureHeader: act.GetHeader()}
	hash, err := protoutil.GetProposalHash2(original, proposal)
	if err != nil {
		return err
	}
	if !bytes.Equal(hash, t.answers) {
		return fmt.Errorf("what was endorsed is no answer to what was proposed")
	}
	return nil
}

// actionOf is the one action of a transaction.
func actionOf(data []byte) (*peer.TransactionAction, error) {
	var raw []byte
	act := &peer.TransactionAction{}
	if split(data, &raw) && raw != nil && split(raw, &act.Header, &act.Payload) {
		return act, nil
	}
	tx, err := message(data, &peer.Transaction{})
	if err == nil && (len(tx.GetActions()) != 1 || tx.GetActions()[0] == nil) {
		err = fmt.Errorf("%d actions instead of one", len(tx.GetActions()))
	}
	if err != nil {
		return nil, err
	}
	return tx.GetActions()[0], nil
}

// action reads what was endorsed, by whom, and answers the proposal.
func (t *transaction) action(data, called []byte) (proposal []byte, err error) {
	var raw []byte
	if !split(data, &proposal, &raw) || splitEach(raw, &t.signedPart, t.endorsement) != nil {
		payload, err := message(data, &peer.ChaincodeActionPayload{})
		if err != nil {
			return nil, err
		}
		proposal, t.signedPart, t.endorsements = payload.GetChaincodeProposalPayload(), payload.GetAction().GetProposalResponsePayload(), nil
		for _, e := range payload.GetAction().GetEndorsements() {
			t.endorsements = append(t.endorsements, signature{e.GetEndorser(), e.GetSignature()})
		}
	}
	var extension []byte
	if !split(t.signedPart, &t.answers, &extension) {
		response, err := message(t.signedPart, &peer.ProposalResponsePayload{})
		if err != nil {
			return nil, err
		}
		t.answers, extension = response.GetProposalHash(), response.GetExtension()
	}
	input := &peer.ChaincodeProposalPayload{}
	if split(proposal, &input.Input) || proto.Unmarshal(proposal, input) == nil {
		t.args = argsOf(input.GetInput())
	}
	if t.content, err = t.results(extension, called); err != nil {
		t.why = err.Error()
	}
	return proposal, nil
}

func (t *transaction) endorsement(data []byte) error {
	var s signature
	if !split(data, &s.by, &s.signature) {
		return errUnusual
	}
	t.endorsements = append(t.endorsements, s)
	return nil
}

// results reads what was endorsed, and judges it in the order in which peers do; whatever does not parse stays empty.
func (t *transaction) results(extension, header []byte) (peer.TxValidationCode, error) {
	var sets, events, response, id []byte
	var chaincode chaincodeID
	parsed := split(extension, &sets, &events, &response, &id)
	if parsed {
		var answered bool
		chaincode, parsed = idOf(id)
		t.response, answered = answerOf(response)
		parsed = parsed && answered
	}
	if !parsed {
		action, err := message(extension, &peer.ChaincodeAction{})
		if err == nil {
			sets, events, t.response = action.GetResults(), action.GetEvents(), action.GetResponse().GetPayload()
			chaincode, parsed = chaincodeID{action.ChaincodeId != nil, action.GetChaincodeId().GetName(), action.GetChaincodeId().GetVersion()}, true
		}
	}
	t.chaincode = chaincode.name
	if len(events) > 0 {
		t.event = eventOf(events)
	}
	if parsed {
		t.sets = setsOf(sets)
	}
	called, readable := calledOf(header)
	var why string
	code := peer.TxValidationCode_VALID
	switch {
	case !readable:
		code, why = peer.TxValidationCode_BAD_HEADER_EXTENSION, "its header names no chaincode"
	case !parsed || len(extension) == 0:
		code, why = peer.TxValidationCode_BAD_RESPONSE_PAYLOAD, "what was endorsed is no action of a chaincode"
	case t.sets == nil:
		code, why = peer.TxValidationCode_BAD_RWSET, "the read-write set does not parse"
	case !called.there || !chaincode.there:
		code, why = peer.TxValidationCode_INVALID_OTHER_REASON, "no chaincode is called, or none answers"
	case called.name == "" || called.name != chaincode.name || chaincode.version == "":
		code, why = peer.TxValidationCode_INVALID_CHAINCODE, fmt.Sprintf("it calls chaincode %q and is endorsed by %q in version %q", called.name, chaincode.name, chaincode.version)
	case len(events) > 0 && (t.event == nil || t.event.GetChaincodeId() != called.name):
		code, why = peer.TxValidationCode_INVALID_OTHER_REASON, "its event is not the chaincode's"
	default:
		seen := map[string]bool{}
		for _, ns := range t.sets.NsRwSets {
			if seen[ns.NameSpace] {
				code, why = peer.TxValidationCode_ILLEGAL_WRITESET, fmt.Sprintf("two sets of namespace %q", ns.NameSpace)
			}
			seen[ns.NameSpace] = true
		}
	}
	if why != "" {
		return code, errors.New(why)
	}
	return code, nil
}

// signers are the endorsements as policies want them: each is over the answer and the endorser's own identity.
func (t *transaction) signers() []*protoutil.SignedData {
	var all []*protoutil.SignedData
	for i := range t.endorsements {
		all = append(all, t.signer(i))
	}
	return all
}

func (t *transaction) signer(i int) *protoutil.SignedData {
	e := t.endorsements[i]
	return &protoutil.SignedData{Data: slices.Concat(t.signedPart, e.by), Identity: e.by, Signature: e.signature}
}
