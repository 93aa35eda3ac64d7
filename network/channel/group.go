package channel

import (
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// Names of groups and policies that Fabric looks up.
const (
	groupApplication = "Application"
	groupOrderer     = "Orderer"

	policyReaders              = "Readers"
	policyWriters              = "Writers"
	policyAdmins               = "Admins"
	policyEndorsement          = "Endorsement"
	policyLifecycleEndorsement = "LifecycleEndorsement"
	policyBlockValidation      = "BlockValidation"
)

// marshaller encodes deterministically and keeps the first error.
type marshaller struct{ err error }

func (m *marshaller) bytes(message proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("encode %T: %w", message, err)
	}
	return raw
}

// group collects a configuration group. Everything in it is changed by the
// group's Admins.
type group struct {
	marshaller
	config *common.ConfigGroup
}

func newGroup() *group {
	return &group{config: &common.ConfigGroup{
		ModPolicy: policyAdmins,
		Groups:    map[string]*common.ConfigGroup{},
		Values:    map[string]*common.ConfigValue{},
		Policies:  map[string]*common.ConfigPolicy{},
	}}
}

func (g *group) group(name string, sub *common.ConfigGroup) { g.config.Groups[name] = sub }

func (g *group) value(name string, message proto.Message) {
	g.config.Values[name] = &common.ConfigValue{Value: g.bytes(message), ModPolicy: policyAdmins}
}

func (g *group) policy(name string, message proto.Message) {
	policy := &common.Policy{Value: g.bytes(message)}
	switch message.(type) {
	case *common.ImplicitMetaPolicy:
		policy.Type = int32(common.Policy_IMPLICIT_META)
	case *common.SignaturePolicyEnvelope:
		policy.Type = int32(common.Policy_SIGNATURE)
	}
	g.config.Policies[name] = &common.ConfigPolicy{Policy: policy, ModPolicy: policyAdmins}
}

// metaPolicies are the usual ones of a group with sub-groups.
func (g *group) metaPolicies() {
	meta := func(rule common.ImplicitMetaPolicy_Rule, name string) {
		g.policy(name, &common.ImplicitMetaPolicy{Rule: rule, SubPolicy: name})
	}
	meta(common.ImplicitMetaPolicy_ANY, policyReaders)
	meta(common.ImplicitMetaPolicy_ANY, policyWriters)
	meta(common.ImplicitMetaPolicy_MAJORITY, policyAdmins)
}

func (g *group) done() (*common.ConfigGroup, error) { return g.config, g.err }

func capabilities(name string) *common.Capabilities {
	return &common.Capabilities{Capabilities: map[string]*common.Capability{name: {}}}
}
