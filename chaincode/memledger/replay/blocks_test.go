package replay

import (
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	mspprotos "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/policies"
	"github.com/hyperledger/fabric/msp"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

const testChaincode = "cc"

func sha(data []byte) ([]byte, error) { sum := sha256.Sum256(data); return sum[:], nil }

func marshal(t require.TestingT, m proto.Message) []byte {
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

type plainIdentities struct{ msp.IdentityDeserializer }

func (plainIdentities) DeserializeIdentity(data []byte) (msp.Identity, error) {
	return plainIdentity{name: string(data)}, nil
}

type plainIdentity struct {
	msp.Identity
	name string
}

func (i plainIdentity) GetMSPIdentifier() string { org, _, _ := strings.Cut(i.name, "/"); return org }
func (i plainIdentity) Verify(_, _ []byte) error { return nil }
func (i plainIdentity) GetIdentifier() *msp.IdentityIdentifier {
	return &msp.IdentityIdentifier{Mspid: i.GetMSPIdentifier(), Id: i.name}
}

func (i plainIdentity) SatisfiesPrincipal(p *mspprotos.MSPPrincipal) error {
	role := &mspprotos.MSPRole{}
	if err := proto.Unmarshal(p.Principal, role); err != nil {
		return err
	}
	if role.MspIdentifier != i.GetMSPIdentifier() {
		return errors.New("another organisation")
	}
	return nil
}

// plainChannel is the replayer's channel for the same plain identities.
type plainChannel struct{}

func (plainChannel) configure(string, []byte) error { return nil }
func (plainChannel) policy(p *peer.ApplicationPolicy) (*ledger.Policy, error) {
	return signaturePolicy(p.GetSignaturePolicy())
}
func (plainChannel) endorsers(signatures []*protoutil.SignedData) ([]string, error) {
	var orgs []string
	for _, id := range policies.SignatureSetToValidIdentities(signatures, plainIdentities{}) {
		orgs = append(orgs, id.GetMSPIdentifier())
	}
	return orgs, nil
}

func envelopeOf(t require.TestingT, p ledger.Policy) *common.SignaturePolicyEnvelope {
	envelope := &common.SignaturePolicyEnvelope{}
	var rule func(p ledger.Policy) *common.SignaturePolicy
	rule = func(p ledger.Policy) *common.SignaturePolicy {
		if p.MSP != "" {
			role := marshal(t, &mspprotos.MSPRole{MspIdentifier: p.MSP, Role: mspprotos.MSPRole_PEER})
			envelope.Identities = append(envelope.Identities, &mspprotos.MSPPrincipal{PrincipalClassification: mspprotos.MSPPrincipal_ROLE, Principal: role})
			return &common.SignaturePolicy{Type: &common.SignaturePolicy_SignedBy{SignedBy: int32(len(envelope.Identities) - 1)}}
		}
		n := &common.SignaturePolicy_NOutOf{N: int32(p.N)}
		for _, part := range p.Of {
			n.Rules = append(n.Rules, rule(part))
		}
		return &common.SignaturePolicy{Type: &common.SignaturePolicy_NOutOf_{NOutOf: n}}
	}
	envelope.Rule = rule(p)
	return envelope
}

// endorsed is an envelope of a block.
func endorsed(t require.TestingT, id, chaincode string, set *kvrwset.KVRWSet, endorsers ...string) []byte {
	return endorsedSets(t, id, chaincode, []*rwset.NsReadWriteSet{{Namespace: chaincode, Rwset: marshal(t, set)}}, endorsers...)
}

func endorsedSets(t require.TestingT, id, chaincode string, sets []*rwset.NsReadWriteSet, endorsers ...string) []byte {
	results := marshal(t, &rwset.TxReadWriteSet{NsRwset: sets})
	action := marshal(t, &peer.ChaincodeAction{Results: results, ChaincodeId: &peer.ChaincodeID{Name: chaincode, Version: "1"}})
	chosen := &peer.ChaincodeEndorsedAction{ProposalResponsePayload: marshal(t, &peer.ProposalResponsePayload{Extension: action})}
	for _, e := range endorsers {
		chosen.Endorsements = append(chosen.Endorsements, &peer.Endorsement{Endorser: []byte(e), Signature: []byte("good")})
	}
	tx := &peer.Transaction{Actions: []*peer.TransactionAction{{Payload: marshal(t, &peer.ChaincodeActionPayload{Action: chosen})}}}
	header := &common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), TxId: id, ChannelId: "ch"}
	payload := &common.Payload{Header: &common.Header{ChannelHeader: marshal(t, header)}, Data: marshal(t, tx)}
	return marshal(t, &common.Envelope{Payload: marshal(t, payload)})
}

func blockOf(number uint64, envelopes ...[]byte) *common.Block {
	block := protoutil.NewBlock(number, nil)
	block.Data.Data = envelopes
	return block
}
