package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hyperledger/fabric-lib-go/bccsp"
	"github.com/hyperledger/fabric-lib-go/bccsp/factory"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	mspprotos "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric/common/channelconfig"
	"github.com/hyperledger/fabric/common/policies"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"
)

// configuration is what a configuration block decides until the next one.
type configuration struct {
	channel  string
	number   uint64 // of its block
	bundle   *channelconfig.Bundle
	orderers protoutil.BlockVerifierFunc
	known    cache[*identity]        // by serialized identity
	orgs     map[string]organisation // by MSP ID
}

// organisation is who counts as one: what makes its people's and nodes' certificates and signatures good.
type organisation struct {
	in    *configuration // the last one that had it
	path  string         // its group, /Channel/Application/NAME
	trust [sha256.Size]byte
}

// configure reads the configuration in a configuration block.
func configure(block *common.Block) (*configuration, error) {
	envelope, channel, err := configEnvelope(block)
	if err != nil {
		return nil, err
	}
	var provider bccsp.BCCSP = factory.GetDefault()
	c := &configuration{channel: channel, number: block.GetHeader().GetNumber()}
	if c.bundle, err = channelconfig.NewBundle(channel, envelope.GetConfig(), provider); err != nil {
		return nil, fmt.Errorf("read channel configuration: %w", err)
	}
	policy, ok := c.bundle.PolicyManager().GetPolicy(policies.BlockValidation)
	if !ok {
		return nil, fmt.Errorf("the configuration has no policy %s", policies.BlockValidation)
	}
	orderer, ok := c.bundle.OrdererConfig()
	if !ok {
		return nil, errors.New("the configuration has no orderer section")
	}
	bft := c.bundle.ChannelConfig().Capabilities().ConsensusTypeBFT()
	c.orderers = protoutil.BlockSignatureVerifier(bft, orderer.Consenters(), policy)
	if err := c.organisations(envelope.GetConfig().GetChannelGroup()); err != nil {
		return nil, err
	}
	return c, nil
}

// organisations notes what each organisation's group says of its certificates and policies, without the versions.
func (c *configuration) organisations(channel *common.ConfigGroup) error {
	c.orgs = map[string]organisation{}
	for section, sections := range channel.GetGroups() {
		for name, group := range sections.GetGroups() {
			of, fabric := &mspprotos.MSPConfig{}, &mspprotos.FabricMSPConfig{}
			value := group.GetValues()["MSP"].GetValue()
			if err := errors.Join(proto.Unmarshal(value, of), proto.Unmarshal(of.GetConfig(), fabric)); err != nil {
				return fmt.Errorf("read the certificates of %s: %w", name, err)
			}
			trust := sha256.New()
			fmt.Fprintf(trust, "%x", value)
			for _, policy := range slices.Sorted(maps.Keys(group.GetPolicies())) {
				p := group.GetPolicies()[policy].GetPolicy()
				fmt.Fprintf(trust, "%q %d %x", policy, p.GetType(), p.GetValue())
			}
			c.orgs[fabric.GetName()] = organisation{c, "/Channel/" + section + "/" + name, [sha256.Size]byte(trust.Sum(nil))}
		}
	}
	return nil
}

// usurped are organisations to which an update gives other certificates or policies than they had last, though their own
// administrators, as they were then, did not sign it. Fabric lets the others do that in two steps: they take one out, and
// put one of its name in.
func (c *configuration) usurped(before map[string]organisation, update *common.Envelope) []string {
	var without []string
	for _, msp := range slices.Sorted(maps.Keys(c.orgs)) {
		last, known := before[msp]
		if known && last.trust != c.orgs[msp].trust && !last.in.satisfied(last.path+"/Admins", consents(update)) {
			without = append(without, msp)
		}
	}
	return without
}

// consents are the signatures of an update.
func consents(update *common.Envelope) []*protoutil.SignedData {
	payload, err := protoutil.UnmarshalPayload(update.GetPayload())
	if err != nil {
		return nil
	}
	signed := &common.ConfigUpdateEnvelope{}
	if proto.Unmarshal(payload.GetData(), signed) != nil {
		return nil
	}
	all, err := protoutil.ConfigUpdateEnvelopeAsSignedData(signed)
	if err != nil {
		return nil
	}
	return all
}

// configEnvelope reads the configuration of a block that holds nothing else.
func configEnvelope(block *common.Block) (config *common.ConfigEnvelope, channel string, err error) {
	if n := len(block.GetData().GetData()); n != 1 {
		return nil, "", fmt.Errorf("a configuration block holds one transaction, this one %d", n)
	}
	envelope, err := protoutil.GetEnvelopeFromBlock(block.GetData().GetData()[0])
	if err != nil {
		return nil, "", fmt.Errorf("read the configuration: %w", err)
	}
	payload, err := protoutil.UnmarshalPayload(envelope.GetPayload())
	if err != nil {
		return nil, "", fmt.Errorf("read the configuration: %w", err)
	}
	header, err := protoutil.UnmarshalChannelHeader(payload.GetHeader().GetChannelHeader())
	if err != nil {
		return nil, "", fmt.Errorf("read the configuration: %w", err)
	}
	if header.GetType() != int32(common.HeaderType_CONFIG) {
		return nil, "", errors.New("the block holds no configuration")
	}
	config = &common.ConfigEnvelope{}
	if err := proto.Unmarshal(payload.GetData(), config); err != nil {
		return nil, "", fmt.Errorf("read the configuration: %w", err)
	}
	return config, header.GetChannelId(), nil
}

// follows checks that a later configuration is what its update makes of this one, signed as this one demands.
func (c *configuration) follows(next *common.Block) error {
	envelope, channel, err := configEnvelope(next)
	if err != nil {
		return err
	}
	if channel != c.channel {
		return fmt.Errorf("it is for channel %q", channel)
	}
	if envelope.GetLastUpdate() == nil {
		return errors.New("it names no update that it follows from")
	}
	return c.bundle.ConfigtxValidator().Validate(envelope)
}

// satisfied evaluates a policy of the configuration.
func (c *configuration) satisfied(policy string, signatures []*protoutil.SignedData) bool {
	p, ok := c.bundle.PolicyManager().GetPolicy(policy)
	return ok && p.EvaluateSignedData(signatures) == nil
}

// group is the name under which the configuration holds an organisation of the application, "" if there is none.
func (c *configuration) group(mspID string) string {
	application, ok := c.bundle.ApplicationConfig()
	if !ok {
		return ""
	}
	for name, org := range application.Organizations() {
		if org.MSPID() == mspID {
			return name
		}
	}
	return ""
}
