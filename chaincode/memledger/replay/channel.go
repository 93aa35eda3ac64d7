package replay

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-lib-go/bccsp"
	"github.com/hyperledger/fabric-lib-go/bccsp/factory"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	mspprotos "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"github.com/hyperledger/fabric/common/channelconfig"
	"github.com/hyperledger/fabric/common/policies"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// channel is what the channel's configuration decides.
type channel interface {
	// configure takes a new configuration, a ConfigEnvelope.
	configure(id string, config []byte) error
	// endorsers returns the organisations whose peers' signatures are good, one for each identity.
	endorsers(signatures []*protoutil.SignedData) ([]string, error)
	// policy resolves the policy of a chaincode definition.
	policy(p *peer.ApplicationPolicy) (*ledger.Policy, error)
}

// configuredChannel is the channel as its latest configuration block says, by Fabric's own packages.
type configuredChannel struct {
	provider bccsp.BCCSP
	bundle   *channelconfig.Bundle
}

func (c *configuredChannel) configure(id string, config []byte) error {
	envelope := &common.ConfigEnvelope{}
	if err := proto.Unmarshal(config, envelope); err != nil {
		return fmt.Errorf("decode channel configuration: %w", err)
	}
	if c.provider == nil {
		c.provider = factory.GetDefault()
	}
	bundle, err := channelconfig.NewBundle(id, envelope.GetConfig(), c.provider)
	if err != nil {
		return fmt.Errorf("read channel configuration: %w", err)
	}
	c.bundle = bundle
	return nil
}

func (c *configuredChannel) endorsers(signatures []*protoutil.SignedData) ([]string, error) {
	if c.bundle == nil {
		return nil, errors.New("no configuration before the first endorsed transaction")
	}
	var orgs []string
	for _, id := range policies.SignatureSetToValidIdentities(signatures, c.bundle.MSPManager()) {
		isPeer, err := peerPrincipal(id.GetMSPIdentifier())
		if err != nil {
			return nil, err
		}
		if id.SatisfiesPrincipal(isPeer) == nil {
			orgs = append(orgs, id.GetMSPIdentifier())
		}
	}
	return orgs, nil
}

func peerPrincipal(org string) (*mspprotos.MSPPrincipal, error) {
	role, err := proto.Marshal(&mspprotos.MSPRole{MspIdentifier: org, Role: mspprotos.MSPRole_PEER})
	if err != nil {
		return nil, fmt.Errorf("encode peer role of %s: %w", org, err)
	}
	return &mspprotos.MSPPrincipal{PrincipalClassification: mspprotos.MSPPrincipal_ROLE, Principal: role}, nil
}

func (c *configuredChannel) policy(p *peer.ApplicationPolicy) (*ledger.Policy, error) {
	if signature := p.GetSignaturePolicy(); signature != nil {
		return signaturePolicy(signature)
	}
	if c.bundle == nil {
		return nil, errors.New("no configuration to look it up in")
	}
	name := p.GetChannelConfigPolicyReference()
	found, ok := c.bundle.PolicyManager().GetPolicy(name)
	converter, convertible := found.(policies.Converter)
	if !ok || !convertible {
		return nil, fmt.Errorf("the channel has no policy %q that reads as a signature policy", name)
	}
	signature, err := converter.Convert()
	if err != nil {
		return nil, fmt.Errorf("convert policy %q: %w", name, err)
	}
	return signaturePolicy(signature)
}

const lifecycleNamespace = "_lifecycle"

// definition is the committed part of a chaincode's definition that says who endorses, nil before there is one.
func (r *Replayer) definition(chaincode string) *memledger.Entry {
	return r.engine.Get(inNamespace(lifecycleNamespace, "namespaces/fields/"+chaincode+"/ValidationInfo"))
}

// Defined tells whether a chaincode is defined: before that peers find none of its transactions valid.
func (r *Replayer) Defined(chaincode string) bool {
	return chaincode == lifecycleNamespace || r.definition(chaincode) != nil
}

// setPolicy gives the engine the chaincode's policy as committed before this block: the definition names it, the
// configuration may hold it.
func (r *Replayer) setPolicy() error {
	definition := r.definition(r.chaincode)
	if definition == nil || r.bound && bytes.Equal(definition.Value, r.policy) {
		return nil
	}
	data := &lifecycle.StateData{}
	info := &lifecycle.ChaincodeValidationInfo{}
	parameter := &peer.ApplicationPolicy{}
	for _, part := range []struct {
		into  proto.Message
		bytes func() []byte
	}{
		{data, func() []byte { return definition.Value }},
		{info, func() []byte { return data.GetBytes() }},
		{parameter, func() []byte { return info.GetValidationParameter() }},
	} {
		if err := proto.Unmarshal(part.bytes(), part.into); err != nil {
			return fmt.Errorf("decode the chaincode definition: %w", err)
		}
	}
	policy, err := r.channel.policy(parameter)
	if err != nil {
		return err
	}
	r.engine.SetPolicy(*policy)
	r.policy, r.bound = definition.Value, true
	return nil
}

// signaturePolicy reads a policy over organisations' peers. Fabric knows other principals; the chaincode and the
// channel's endorsement policies use none.
func signaturePolicy(envelope *common.SignaturePolicyEnvelope) (*ledger.Policy, error) {
	p, err := contract.PeerPolicy(envelope)
	return &p, err
}
