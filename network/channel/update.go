package channel

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-config/configtx"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datanet-consortium/datanet/network"
)

// Signer is an administrator who signs an update or sends it.
type Signer interface {
	Sign(message []byte) ([]byte, error)
	// Serialize gives the identity as it stands in headers.
	Serialize() ([]byte, error)
}

// Update is an encoded change of the configuration. Its bytes are what the
// administrators sign, so it travels between organisations as it is.
type Update []byte

// AddMember computes the update that makes an organisation a member: its
// group is added, and the three policies that count members count one more.
// Signatures by the administrators of a majority of the present members make
// it valid. The current configuration is not changed.
func AddMember(current *common.Config, channel string, org *network.Organization, msps MSPs) (Update, error) {
	update, err := addMember(current, channel, org, msps)
	if err != nil {
		return nil, fmt.Errorf("add %s to channel %s: %w", org.MSPID, channel, err)
	}
	return update, nil
}

func addMember(current *common.Config, channel string, org *network.Organization, msps MSPs) (Update, error) {
	members, err := Members(current)
	if err != nil {
		return nil, err
	}
	if err := unknown(current, org); err != nil {
		return nil, err
	}
	newcomer, err := memberGroup(org, msps)
	if err != nil {
		return nil, err
	}
	edit := configtx.New(current)
	application := edit.UpdatedConfig().ChannelGroup.Groups[groupApplication]
	application.Groups[org.Name] = newcomer
	g := newGroup()
	for name, policy := range memberPolicies(append(members, org.MSPID)) {
		g.policy(name, policy)
		application.Policies[name] = g.config.Policies[name]
	}
	if g.err != nil {
		return nil, g.err
	}
	return edit.ComputeMarshaledUpdate(channel)
}

// unknown refuses names and MSP IDs that the channel already has, among
// orderers too.
func unknown(config *common.Config, org *network.Organization) error {
	for kind, g := range config.GetChannelGroup().GetGroups() {
		for name, sub := range g.GetGroups() {
			id, err := mspIDOf(sub)
			if err != nil {
				return fmt.Errorf("read MSP of %s in %s: %w", name, kind, err)
			}
			if name == org.Name || id == org.MSPID {
				return fmt.Errorf("the channel already has %s (%s) among its %s organisations", name, id, kind)
			}
		}
	}
	return nil
}

func mspIDOf(organization *common.ConfigGroup) (string, error) {
	value, ok := organization.GetValues()["MSP"]
	if !ok {
		return "", errors.New("there is none")
	}
	var definition msp.MSPConfig
	if err := proto.Unmarshal(value.GetValue(), &definition); err != nil {
		return "", err
	}
	var content msp.FabricMSPConfig
	if err := proto.Unmarshal(definition.GetConfig(), &content); err != nil {
		return "", err
	}
	return content.GetName(), nil
}

// Sign is an administrator's consent to the update.
func (u Update) Sign(admin Signer) (*common.ConfigSignature, error) {
	header, err := signatureHeader(admin)
	if err != nil {
		return nil, fmt.Errorf("sign configuration update: %w", err)
	}
	signature, err := admin.Sign(slices.Concat(header, u))
	if err != nil {
		return nil, fmt.Errorf("sign configuration update: %w", err)
	}
	return &common.ConfigSignature{SignatureHeader: header, Signature: signature}, nil
}

// Envelope wraps the update and the consents for broadcast. The submitter must
// be allowed to write to the channel; its signature here is not a consent.
func (u Update) Envelope(submitter Signer, consents ...*common.ConfigSignature) (*common.Envelope, error) {
	var change common.ConfigUpdate
	if err := proto.Unmarshal(u, &change); err != nil {
		return nil, fmt.Errorf("read configuration update: %w", err)
	}
	header, err := signatureHeader(submitter)
	if err != nil {
		return nil, fmt.Errorf("sign update envelope: %w", err)
	}
	m := &marshaller{}
	payload := m.bytes(&common.Payload{
		Header: &common.Header{
			ChannelHeader: m.bytes(&common.ChannelHeader{
				Type:      int32(common.HeaderType_CONFIG_UPDATE),
				Timestamp: timestamppb.Now(),
				ChannelId: change.GetChannelId(),
			}),
			SignatureHeader: header,
		},
		Data: m.bytes(&common.ConfigUpdateEnvelope{ConfigUpdate: u, Signatures: consents}),
	})
	if m.err != nil {
		return nil, m.err
	}
	signature, err := submitter.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("sign update envelope: %w", err)
	}
	return &common.Envelope{Payload: payload, Signature: signature}, nil
}

func signatureHeader(signer Signer) ([]byte, error) {
	creator, err := signer.Serialize()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 24)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return proto.Marshal(&common.SignatureHeader{Creator: creator, Nonce: nonce})
}
