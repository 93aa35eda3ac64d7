package channel

import (
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer/etcdraft"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer/smartbft"
	"github.com/hyperledger/fabric/common/policydsl"

	"github.com/datanet-consortium/datanet/network"
)

func ordererGroup(t *network.Topology, material Material) (*common.ConfigGroup, error) {
	o := &t.Ordering
	g := newGroup()
	for i := range o.Operators {
		sub, err := operatorGroup(&o.Operators[i], material)
		if err != nil {
			return nil, err
		}
		g.group(o.Operators[i].Name, sub)
	}
	g.value("BatchSize", &orderer.BatchSize{
		MaxMessageCount:   o.Batch.MaxMessages,
		AbsoluteMaxBytes:  o.Batch.AbsoluteBytes,
		PreferredMaxBytes: o.Batch.PreferredBytes,
	})
	g.value("BatchTimeout", &orderer.BatchTimeout{Timeout: o.Batch.Timeout.String()})
	g.value("ChannelRestrictions", &orderer.ChannelRestrictions{})
	g.value("Capabilities", capabilities("V2_0"))
	g.metaPolicies()

	consenters, err := consentersOf(o.Operators, material)
	if err != nil {
		return nil, err
	}
	switch o.Type {
	case network.ConsensusBFT:
		g.value("Orderers", &common.Orderers{ConsenterMapping: consenters})
		g.value("ConsensusType", &orderer.ConsensusType{Type: "BFT", Metadata: g.bytes(smartBFT(o))})
		g.policy(policyBlockValidation, g.bftBlockValidation(consenters))
	case network.ConsensusRaft:
		g.value("ConsensusType", &orderer.ConsensusType{Type: "etcdraft", Metadata: g.bytes(raft(&o.Raft, consenters))})
		g.policy(policyBlockValidation, raftBlockValidation(o.Operators))
	default:
		return nil, fmt.Errorf("ordering.type: unknown consensus %q", o.Type)
	}
	return g.done()
}

// operatorGroup lets orderers write, which they need for configuration
// transactions, and administrators, but no other identity of the operator.
func operatorGroup(op *network.Operator, msps MSPs) (*common.ConfigGroup, error) {
	definition, err := msps.MSP(op.MSPID)
	if err != nil {
		return nil, err
	}
	if _, err := resolved(op.OrdererNode(), op.Orderer.Port); err != nil {
		return nil, err
	}
	g := newGroup()
	g.value("MSP", definition)
	g.value("Endpoints", &common.OrdererAddresses{Addresses: []string{op.OrdererAddress()}})
	g.policy(policyReaders, policydsl.SignedByMspMember(op.MSPID))
	g.policy(policyAdmins, policydsl.SignedByMspAdmin(op.MSPID))
	writers, err := policydsl.FromString(fmt.Sprintf("OR('%[1]s.orderer', '%[1]s.admin')", op.MSPID))
	if err != nil {
		return nil, fmt.Errorf("policy of %s: %w", op.MSPID, err)
	}
	g.policy(policyWriters, writers)
	return g.done()
}

func consentersOf(operators []network.Operator, material Material) ([]*common.Consenter, error) {
	consenters := make([]*common.Consenter, len(operators))
	for i := range operators {
		op := &operators[i]
		identity, tls, err := material.Consenter(op.MSPID)
		if err != nil {
			return nil, err
		}
		port, err := resolved(op.OrdererNode(), op.Orderer.Port)
		if err != nil {
			return nil, err
		}
		consenters[i] = &common.Consenter{
			Id:            uint32(i + 1),
			Host:          op.Orderer.Host,
			Port:          uint32(port),
			MspId:         op.MSPID,
			Identity:      identity,
			ClientTlsCert: tls,
			ServerTlsCert: tls,
		}
	}
	return consenters, nil
}

func smartBFT(o *network.Ordering) *smartbft.Options {
	b := &o.BFT
	return &smartbft.Options{
		RequestBatchMaxCount:      uint64(o.Batch.MaxMessages),
		RequestBatchMaxBytes:      uint64(o.Batch.AbsoluteBytes),
		RequestBatchMaxInterval:   b.RequestBatchMaxInterval.String(),
		RequestForwardTimeout:     b.RequestForwardTimeout.String(),
		RequestComplainTimeout:    b.RequestComplainTimeout.String(),
		RequestAutoRemoveTimeout:  b.RequestAutoRemoveTimeout.String(),
		ViewChangeResendInterval:  b.ViewChangeResendInterval.String(),
		ViewChangeTimeout:         b.ViewChangeTimeout.String(),
		LeaderHeartbeatTimeout:    b.LeaderHeartbeatTimeout.String(),
		LeaderHeartbeatCount:      b.LeaderHeartbeatCount,
		CollectTimeout:            b.CollectTimeout.String(),
		IncomingMessageBufferSize: b.IncomingMessageBufferSize,
		RequestPoolSize:           b.RequestPoolSize,
		// Fabric does not support rotation: configtxgen forces it off.
		LeaderRotation: smartbft.Options_ROTATION_OFF,
	}
}

// bftBlockValidation asks for the signatures of a Byzantine quorum of the
// pinned orderers: with n of them and f = ⌊(n−1)/3⌋ liars, any two quorums of
// ⌈(n+f+1)/2⌉ share an honest one.
func (g *group) bftBlockValidation(consenters []*common.Consenter) *common.SignaturePolicyEnvelope {
	n := len(consenters)
	f := (n - 1) / 3
	rules := make([]*common.SignaturePolicy, n)
	identities := make([]*msp.MSPPrincipal, n)
	for i, c := range consenters {
		rules[i] = policydsl.SignedBy(int32(i))
		identities[i] = &msp.MSPPrincipal{
			PrincipalClassification: msp.MSPPrincipal_IDENTITY,
			Principal:               g.bytes(&msp.SerializedIdentity{Mspid: c.MspId, IdBytes: c.Identity}),
		}
	}
	return &common.SignaturePolicyEnvelope{
		Rule:       policydsl.NOutOf(int32((n+f+2)/2), rules),
		Identities: identities,
	}
}

func raft(r *network.Raft, consenters []*common.Consenter) *etcdraft.ConfigMetadata {
	metadata := &etcdraft.ConfigMetadata{Options: &etcdraft.Options{
		TickInterval:         r.TickInterval.String(),
		ElectionTick:         r.ElectionTick,
		HeartbeatTick:        r.HeartbeatTick,
		MaxInflightBlocks:    r.MaxInflightBlocks,
		SnapshotIntervalSize: r.SnapshotIntervalSize,
	}}
	for _, c := range consenters {
		metadata.Consenters = append(metadata.Consenters, &etcdraft.Consenter{
			Host:          c.Host,
			Port:          c.Port,
			ClientTlsCert: c.ClientTlsCert,
			ServerTlsCert: c.ServerTlsCert,
		})
	}
	return metadata
}

// raftBlockValidation asks for one orderer's signature: Raft trusts every
// orderer. An operator's other identities cannot sign blocks.
func raftBlockValidation(operators []network.Operator) *common.SignaturePolicyEnvelope {
	ids := make([]string, len(operators))
	for i, op := range operators {
		ids[i] = op.MSPID
	}
	return policydsl.SignedByNOutOfGivenRole(1, msp.MSPRole_ORDERER, ids)
}

// resolved refuses ports that the configuration cannot name yet.
func resolved(node string, port int) (int32, error) {
	if port < 1 || port > 65535 {
		return 0, fmt.Errorf("%s has no port yet: choose its ports before the channel is configured", node)
	}
	return int32(port), nil
}
