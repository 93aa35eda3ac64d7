package verify

import (
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-lib-go/bccsp"
	"github.com/hyperledger/fabric-lib-go/bccsp/factory"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
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
	known    cache[*identity] // by serialized identity
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
	return c, nil
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
