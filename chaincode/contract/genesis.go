package contract

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// Founders reads the founding members, ascending, from the channel's genesis block: the organisations of its policy
// /Channel/Application/Endorsement. Each organisation's chaincode process takes them from its own copy of the block,
// so no client can name others, and processes with different blocks do not endorse the same founding.
func Founders(genesisBlock []byte) ([]string, error) {
	block := &common.Block{}
	if err := proto.Unmarshal(genesisBlock, block); err != nil {
		return nil, fmt.Errorf("decode genesis block: %w", err)
	}
	if block.GetHeader().GetNumber() != 0 || len(block.GetData().GetData()) != 1 {
		return nil, errors.New("decode genesis block: not a block 0 with one transaction")
	}
	envelope, payload, configuration := &common.Envelope{}, &common.Payload{}, &common.ConfigEnvelope{}
	if err := proto.Unmarshal(block.GetData().GetData()[0], envelope); err != nil {
		return nil, fmt.Errorf("decode genesis block: envelope: %w", err)
	}
	if err := proto.Unmarshal(envelope.GetPayload(), payload); err != nil {
		return nil, fmt.Errorf("decode genesis block: payload: %w", err)
	}
	if err := proto.Unmarshal(payload.GetData(), configuration); err != nil {
		return nil, fmt.Errorf("decode genesis block: configuration: %w", err)
	}
	policy := configuration.GetConfig().GetChannelGroup().GetGroups()["Application"].GetPolicies()["Endorsement"].GetPolicy()
	if policy.GetType() != int32(common.Policy_SIGNATURE) {
		return nil, errors.New("genesis block: policy /Channel/Application/Endorsement is not a signature policy")
	}
	signature := &common.SignaturePolicyEnvelope{}
	if err := proto.Unmarshal(policy.GetValue(), signature); err != nil {
		return nil, fmt.Errorf("decode genesis block: endorsement policy: %w", err)
	}
	members, err := principals(signature, msp.MSPRole_PEER)
	if err != nil {
		return nil, fmt.Errorf("genesis block: endorsement policy: %w", err)
	}
	if len(members) == 0 {
		return nil, errors.New("genesis block: the endorsement policy names no organisation")
	}
	slices.Sort(members)
	return slices.Compact(members), nil
}
