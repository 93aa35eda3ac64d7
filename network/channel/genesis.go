// Package channel writes and reads the configuration of the consortium's
// channel: the genesis block, its policies, and the update that brings one
// more member in.
//
// A configuration is a tree of groups with values and policies. It begins as
// the genesis block built here, which every node joins with; later versions
// are computed as the difference to an edited copy, signed by the
// administrators of a majority of members, and ordered as a block of their
// own. The member list that everything else relies on is the one in the
// policy /Channel/Application/Endorsement; see [Members].
package channel

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datanet-consortium/datanet/network"
)

// MSPs gives the public MSP definitions that go into a configuration.
type MSPs interface {
	MSP(mspID string) (*msp.MSPConfig, error)
}

// Material is the public part of every organisation's certificates.
type Material interface {
	MSPs
	// Consenter gives the identity and TLS certificates, in PEM, of the
	// orderer of an ordering organisation.
	Consenter(mspID string) (identity, tls []byte, err error)
}

// GenesisBlock builds the first block of the channel. It is a function of its
// arguments alone: whoever has the topology and the public certificates gets
// the same bytes, so every member can check the block before it joins. For
// that the header has no time and its nonce is a digest of the configuration.
//
// The topology must be valid and its ports resolved.
func GenesisBlock(t *network.Topology, material Material) (*common.Block, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("build genesis block: %w", err)
	}
	group, err := channelGroup(t, material)
	if err != nil {
		return nil, fmt.Errorf("build genesis block: %w", err)
	}
	genesis, err := block(t.Channel, &common.Config{ChannelGroup: group})
	if err != nil {
		return nil, fmt.Errorf("build genesis block: %w", err)
	}
	return genesis, nil
}

func channelGroup(t *network.Topology, material Material) (*common.ConfigGroup, error) {
	orderer, err := ordererGroup(t, material)
	if err != nil {
		return nil, err
	}
	application, err := applicationGroup(t, material)
	if err != nil {
		return nil, err
	}
	g := newGroup()
	g.group(groupOrderer, orderer)
	g.group(groupApplication, application)
	g.value("HashingAlgorithm", &common.HashingAlgorithm{Name: "SHA256"})
	g.value("BlockDataHashingStructure", &common.BlockDataHashingStructure{Width: math.MaxUint32})
	g.value("Capabilities", capabilities("V3_0"))
	g.metaPolicies()
	return g.done()
}

func applicationGroup(t *network.Topology, material Material) (*common.ConfigGroup, error) {
	g := newGroup()
	for i := range t.Members {
		org, err := memberGroup(&t.Members[i], material)
		if err != nil {
			return nil, err
		}
		g.group(t.Members[i].Name, org)
	}
	regulator, err := regulatorGroup(&t.Regulator, material)
	if err != nil {
		return nil, err
	}
	g.group(t.Regulator.Name, regulator)
	g.value("ACLs", accessControl())
	g.value("Capabilities", capabilities("V2_5"))
	g.metaPolicies()
	for name, policy := range memberPolicies(t.MemberMSPIDs()) {
		g.policy(name, policy)
	}
	return g.done()
}

func block(channel string, config *common.Config) (*common.Block, error) {
	m := &marshaller{}
	data := m.bytes(&common.ConfigEnvelope{Config: config})
	digest := sha256.Sum256(data)
	nonce := digest[:24]
	id := sha256.Sum256(nonce)
	payload := m.bytes(&common.Payload{
		Header: &common.Header{
			ChannelHeader: m.bytes(&common.ChannelHeader{
				Type:      int32(common.HeaderType_CONFIG),
				Version:   1,
				Timestamp: &timestamppb.Timestamp{},
				ChannelId: channel,
				TxId:      hex.EncodeToString(id[:]),
			}),
			SignatureHeader: m.bytes(&common.SignatureHeader{Nonce: nonce}),
		},
		Data: data,
	})
	envelope := m.bytes(&common.Envelope{Payload: payload})
	lastConfig := &common.LastConfig{Index: 0}
	metadata := make([][]byte, len(common.BlockMetadataIndex_name))
	for i := range metadata {
		metadata[i] = []byte{}
	}
	metadata[common.BlockMetadataIndex_LAST_CONFIG] = m.bytes(&common.Metadata{Value: m.bytes(lastConfig)})
	metadata[common.BlockMetadataIndex_SIGNATURES] = m.bytes(&common.Metadata{
		Value: m.bytes(&common.OrdererBlockMetadata{LastConfig: lastConfig}),
	})
	dataHash := sha256.Sum256(envelope)
	return &common.Block{
		Header:   &common.BlockHeader{Number: 0, DataHash: dataHash[:]},
		Data:     &common.BlockData{Data: [][]byte{envelope}},
		Metadata: &common.BlockMetadata{Metadata: metadata},
	}, m.err
}
