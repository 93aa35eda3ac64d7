// Package blocktest turns what the in-memory ledger commits into blocks as a peer delivers them, for tests of those who
// read blocks.
package blocktest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// Chain is a channel's blocks so far. Its methods panic on what cannot be encoded, which is a defect of the test.
type Chain struct {
	Chaincode string
	Blocks    []*common.Block
	creators  map[string][]byte
}

// New begins a chain with a block 0 that holds a configuration.
func New(chaincode string) *Chain {
	c := &Chain{Chaincode: chaincode, creators: map[string][]byte{}}
	header := &common.ChannelHeader{Type: int32(common.HeaderType_CONFIG), ChannelId: "datanet"}
	c.Add([][]byte{envelope(header, &common.SignatureHeader{}, nil)}, []byte{byte(peer.TxValidationCode_VALID)})
	return c
}

// Append adds what the in-memory ledger has committed. Its number must be the next one.
func (c *Chain) Append(b *memledger.Block) *common.Block {
	if b.Number != uint64(len(c.Blocks)) {
		panic(fmt.Sprintf("blocktest: block %d where %d is due", b.Number, len(c.Blocks)))
	}
	envelopes, flags := make([][]byte, len(b.Envelopes)), make([]byte, len(b.Envelopes))
	for i, e := range b.Envelopes {
		envelopes[i] = c.Envelope(e)
		flags[i] = byte(peer.TxValidationCode_value[string(b.Flags[i])])
	}
	return c.Add(envelopes, flags)
}

// Add adds a block of the given envelopes and verdicts.
func (c *Chain) Add(envelopes [][]byte, flags []byte) *common.Block {
	header := &common.BlockHeader{Number: uint64(len(c.Blocks))}
	if n := len(c.Blocks); n > 0 {
		header.PreviousHash = Hash(c.Blocks[n-1].Header)
	}
	hash := sha256.New()
	for _, e := range envelopes {
		hash.Write(e)
	}
	header.DataHash = hash.Sum(nil)
	metadata := make([][]byte, len(common.BlockMetadataIndex_name))
	metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = flags
	block := &common.Block{Header: header, Data: &common.BlockData{Data: envelopes}, Metadata: &common.BlockMetadata{Metadata: metadata}}
	c.Blocks = append(c.Blocks, block)
	return block
}

// Hash is a header's hash.
func Hash(h *common.BlockHeader) []byte {
	der, err := asn1.Marshal(struct {
		Number                 *big.Int
		PreviousHash, DataHash []byte
	}{new(big.Int).SetUint64(h.Number), h.PreviousHash, h.DataHash})
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return sum[:]
}

// Envelope is a transaction as it stands in a block.
func (c *Chain) Envelope(e *memledger.Envelope) []byte {
	set := &kvrwset.KVRWSet{}
	for _, w := range e.Transaction.Writes {
		set.Writes = append(set.Writes, &kvrwset.KVWrite{Key: string(w.Key), Value: w.Value, IsDelete: w.Delete})
	}
	for _, p := range e.Transaction.Policies {
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
	results := &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: c.Chaincode, Rwset: marshal(set)}}}
	id := &peer.ChaincodeID{Name: c.Chaincode, Version: "1"}
	action := &peer.ChaincodeAction{Results: marshal(results), ChaincodeId: id, Response: &peer.Response{Status: 200, Payload: e.Response}}
	if e.Event != nil {
		action.Events = marshal(&peer.ChaincodeEvent{ChaincodeId: c.Chaincode, TxId: e.Proposal.TxID, EventName: e.Event.Name, Payload: e.Event.Payload})
	}
	call := &peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{ChaincodeId: id,
		Input: &peer.ChaincodeInput{Args: [][]byte{[]byte(e.Proposal.Function), e.Proposal.Document}}}}
	payload := &peer.ChaincodeActionPayload{
		ChaincodeProposalPayload: marshal(&peer.ChaincodeProposalPayload{Input: marshal(call)}),
		Action:                   &peer.ChaincodeEndorsedAction{ProposalResponsePayload: marshal(&peer.ProposalResponsePayload{Extension: marshal(action)})},
	}
	transaction := &peer.Transaction{Actions: []*peer.TransactionAction{{Payload: marshal(payload)}}}
	header := &common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), ChannelId: "datanet",
		TxId: e.Proposal.TxID, Timestamp: timestamppb.New(e.Proposal.Time)}
	return envelope(header, &common.SignatureHeader{Creator: c.creator(e.Proposal.Caller)}, marshal(transaction))
}

func envelope(header *common.ChannelHeader, signature *common.SignatureHeader, data []byte) []byte {
	payload := &common.Payload{Data: data, Header: &common.Header{ChannelHeader: marshal(header), SignatureHeader: marshal(signature)}}
	return marshal(&common.Envelope{Payload: marshal(payload)})
}

// creator is a caller's serialized identity: a certificate with the attributes that Fabric's authorities write.
func (c *Chain) creator(caller ledger.Caller) []byte {
	name := fmt.Sprintf("%s %v", caller.Account(), caller.Roles)
	if known, ok := c.creators[name]; ok {
		return known
	}
	shown := map[string]string{"hf.EnrollmentID": caller.Enrolment}
	for _, role := range caller.Roles {
		if shown[ledger.RolesAttribute] != "" {
			shown[ledger.RolesAttribute] += ","
		}
		shown[ledger.RolesAttribute] += string(role)
	}
	attributes, err := json.Marshal(map[string]any{"attrs": shown})
	if err != nil {
		panic(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "not the enrolment"}, NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}, Value: attributes}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	creator := marshal(&msp.SerializedIdentity{Mspid: caller.MSP, IdBytes: certificate})
	c.creators[name] = creator
	return creator
}

func marshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
