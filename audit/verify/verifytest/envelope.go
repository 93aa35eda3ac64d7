package verifytest

import (
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/network/pki"
)

const lifecycleName = "_lifecycle"

// call is a transaction before anybody signs it.
type call struct {
	chaincode string
	args      [][]byte
	time      time.Time
	nonce     []byte
	set       *kvrwset.KVRWSet
	response  []byte
	event     *peer.ChaincodeEvent
	client    *pki.Identity
	endorsers []string
}

// envelope is a transaction of the in-memory ledger as it stands in a block.
func (n *Network) envelope(e *memledger.Envelope) []byte {
	n.guard.Lock()
	nonce := n.nonces[e.Proposal.TxID]
	n.guard.Unlock()
	c := call{chaincode: n.Topology.Chaincode.Name, args: [][]byte{[]byte(e.Proposal.Function), e.Proposal.Document}, time: e.Proposal.Time,
		nonce: nonce, set: readWriteSet(e.Transaction), response: e.Response, client: n.user(e.Proposal.Caller), endorsers: e.Transaction.Endorsers}
	if e.Event != nil {
		c.event = &peer.ChaincodeEvent{ChaincodeId: c.chaincode, TxId: e.Proposal.TxID, EventName: e.Event.Name, Payload: e.Event.Payload}
	}
	return n.signed(c)
}

func readWriteSet(tx memledger.Transaction) *kvrwset.KVRWSet {
	set := &kvrwset.KVRWSet{}
	for _, r := range tx.Reads {
		read := &kvrwset.KVRead{Key: string(r.Key)}
		if r.Version != nil {
			read.Version = &kvrwset.Version{BlockNum: r.Version.Block, TxNum: r.Version.Tx}
		}
		set.Reads = append(set.Reads, read)
	}
	for _, w := range tx.Writes {
		set.Writes = append(set.Writes, &kvrwset.KVWrite{Key: string(w.Key), Value: w.Value, IsDelete: w.Delete})
	}
	for _, p := range tx.Policies {
		w := &kvrwset.KVMetadataWrite{Key: string(p.Key)}
		if p.Policy != nil {
			policy, err := contract.EncodePolicy(*p.Policy)
			if err != nil {
				panic(err)
			}
			w.Entries = []*kvrwset.KVMetadataEntry{{Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: policy}}
		}
		set.MetadataWrites = append(set.MetadataWrites, w)
	}
	return set
}

// definition is a transaction that defines the chaincode, as far as it decides who endorses.
func (n *Network) definition() []byte {
	name := n.Topology.Chaincode.Name
	parameter := marshal(&peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_ChannelConfigPolicyReference{ChannelConfigPolicyReference: "/Channel/Application/Endorsement"}})
	info := marshal(&lifecycle.ChaincodeValidationInfo{ValidationPlugin: "vscc", ValidationParameter: parameter})
	value := marshal(&lifecycle.StateData{Type: &lifecycle.StateData_Bytes{Bytes: info}})
	members := n.Topology.MemberMSPIDs()
	material, err := n.Material.Organization(members[0])
	if err != nil {
		panic(err)
	}
	admin, err := material.Admin()
	if err != nil {
		panic(err)
	}
	return n.signed(call{chaincode: lifecycleName, args: [][]byte{[]byte("CommitChaincodeDefinition")}, time: time.Unix(0, 0), nonce: []byte{1}, client: admin, endorsers: members,
		set: &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: sequenceKey(name), Value: []byte{1}}, {Key: "namespaces/fields/" + name + "/ValidationInfo", Value: value}}}})
}

func sequenceKey(chaincode string) string { return "namespaces/fields/" + chaincode + "/Sequence" }

// signed makes the envelope of a call: its endorsers sign what they answer, its client all of it.
func (n *Network) signed(c call) []byte {
	id := &peer.ChaincodeID{Name: c.chaincode, Version: "1"}
	creator := serialize(c.client)
	header := &common.Header{
		ChannelHeader: marshal(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), ChannelId: n.Topology.Channel,
			TxId: protoutil.ComputeTxID(c.nonce, creator), Timestamp: timestamppb.New(c.time), Extension: marshal(&peer.ChaincodeHeaderExtension{ChaincodeId: id})}),
		SignatureHeader: marshal(&common.SignatureHeader{Creator: creator, Nonce: c.nonce}),
	}
	input := &peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{ChaincodeId: id, Input: &peer.ChaincodeInput{Args: c.args}}}
	proposal := marshal(&peer.ChaincodeProposalPayload{Input: marshal(input)})
	hash, err := protoutil.GetProposalHash2(header, proposal)
	if err != nil {
		panic(err)
	}
	results := &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: c.chaincode, Rwset: marshal(c.set)}}}
	if c.chaincode != lifecycleName { // the peer reads the definition for every call
		defined := &kvrwset.KVRead{Key: sequenceKey(c.chaincode), Version: &kvrwset.Version{BlockNum: First - 1}}
		results.NsRwset = append([]*rwset.NsReadWriteSet{{Namespace: lifecycleName, Rwset: marshal(&kvrwset.KVRWSet{Reads: []*kvrwset.KVRead{defined}})}}, results.NsRwset...)
	}
	action := &peer.ChaincodeAction{ChaincodeId: id, Response: &peer.Response{Status: 200, Payload: c.response}, Results: marshal(results)}
	if c.event != nil {
		action.Events = marshal(c.event)
	}
	answer := marshal(&peer.ProposalResponsePayload{ProposalHash: hash, Extension: marshal(action)})
	endorsed := &peer.ChaincodeEndorsedAction{ProposalResponsePayload: answer}
	for _, msp := range c.endorsers {
		endorser := serialize(n.peer(msp))
		endorsed.Endorsements = append(endorsed.Endorsements, &peer.Endorsement{Endorser: endorser, Signature: sign(n.peer(msp), answer, endorser)})
	}
	transaction := &peer.Transaction{Actions: []*peer.TransactionAction{{Header: header.SignatureHeader,
		Payload: marshal(&peer.ChaincodeActionPayload{ChaincodeProposalPayload: proposal, Action: endorsed})}}}
	payload := marshal(&common.Payload{Header: header, Data: marshal(transaction)})
	return marshal(&common.Envelope{Payload: payload, Signature: sign(c.client, payload)})
}
