package channel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network"
)

// ErrNotConfiguration means that a block is not a configuration block.
var ErrNotConfiguration = errors.New("not a configuration block")

// ConfigOf reads the configuration in a configuration block, and the name of
// its channel. It checks no signature and no hash.
func ConfigOf(block *common.Block) (config *common.Config, channel string, err error) {
	if len(block.GetData().GetData()) != 1 {
		return nil, "", ErrNotConfiguration
	}
	var (
		envelope common.Envelope
		payload  common.Payload
		header   common.ChannelHeader
		content  common.ConfigEnvelope
	)
	if err := proto.Unmarshal(block.GetData().GetData()[0], &envelope); err != nil {
		return nil, "", fmt.Errorf("read configuration envelope: %w", err)
	}
	if err := proto.Unmarshal(envelope.GetPayload(), &payload); err != nil {
		return nil, "", fmt.Errorf("read configuration payload: %w", err)
	}
	if err := proto.Unmarshal(payload.GetHeader().GetChannelHeader(), &header); err != nil {
		return nil, "", fmt.Errorf("read channel header: %w", err)
	}
	if common.HeaderType(header.GetType()) != common.HeaderType_CONFIG {
		return nil, "", ErrNotConfiguration
	}
	if err := proto.Unmarshal(payload.GetData(), &content); err != nil {
		return nil, "", fmt.Errorf("read configuration: %w", err)
	}
	if content.GetConfig().GetChannelGroup() == nil {
		return nil, "", fmt.Errorf("read configuration: %w", ErrNotConfiguration)
	}
	return content.GetConfig(), header.GetChannelId(), nil
}

// Members lists the MSP IDs of the channel's members, sorted: those whose
// peers the policy /Channel/Application/Endorsement counts. It is an error if
// the policy is anything but a majority of them, since then the list would
// not mean what its readers take it for.
func Members(config *common.Config) ([]string, error) {
	application := config.GetChannelGroup().GetGroups()[groupApplication]
	policy := application.GetPolicies()[policyEndorsement].GetPolicy()
	if policy == nil {
		return nil, errors.New("the configuration has no policy /Channel/Application/Endorsement")
	}
	members, err := majorityOfPeers(policy)
	if err != nil {
		return nil, fmt.Errorf("policy /Channel/Application/Endorsement: %w", err)
	}
	return members, nil
}

func majorityOfPeers(policy *common.Policy) ([]string, error) {
	if common.Policy_PolicyType(policy.GetType()) != common.Policy_SIGNATURE {
		return nil, errors.New("is not a signature policy")
	}
	var envelope common.SignaturePolicyEnvelope
	if err := proto.Unmarshal(policy.GetValue(), &envelope); err != nil {
		return nil, err
	}
	var members []string
	for _, principal := range envelope.GetIdentities() {
		var role msp.MSPRole
		if principal.GetPrincipalClassification() != msp.MSPPrincipal_ROLE {
			return nil, errors.New("names an identity that is not a role")
		}
		if err := proto.Unmarshal(principal.GetPrincipal(), &role); err != nil {
			return nil, err
		}
		if role.GetRole() != msp.MSPRole_PEER || role.GetMspIdentifier() == "" {
			return nil, fmt.Errorf("names %s.%s, which is not a peer", role.GetMspIdentifier(), role.GetRole())
		}
		members = append(members, role.GetMspIdentifier())
	}
	rule := envelope.GetRule().GetNOutOf()
	if len(members) == 0 || int(rule.GetN()) != network.Majority(len(members)) || len(rule.GetRules()) != len(members) {
		return nil, errors.New("is not a majority of its members")
	}
	for i, r := range rule.GetRules() {
		signedBy, ok := r.GetType().(*common.SignaturePolicy_SignedBy)
		if !ok || int(signedBy.SignedBy) != i {
			return nil, errors.New("does not count every member once")
		}
	}
	slices.Sort(members)
	if len(slices.Compact(slices.Clone(members))) != len(members) {
		return nil, errors.New("counts a member twice")
	}
	return members, nil
}
