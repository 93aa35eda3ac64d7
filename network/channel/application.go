package channel

import (
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/policydsl"

	"github.com/datanet-consortium/datanet/network"
)

// memberPolicies are the three policies of the application group that count
// members. The usual ImplicitMeta MAJORITY would count every organisation of
// the group, hence also the regulator, so they name the members instead.
func memberPolicies(mspIDs []string) map[string]*common.SignaturePolicyEnvelope {
	majority := func(role msp.MSPRole_MSPRoleType) *common.SignaturePolicyEnvelope {
		ids := slices.Sorted(slices.Values(mspIDs))
		return policydsl.SignedByNOutOfGivenRole(int32(network.Majority(len(ids))), role, ids)
	}
	return map[string]*common.SignaturePolicyEnvelope{
		policyEndorsement:          majority(msp.MSPRole_PEER),
		policyLifecycleEndorsement: majority(msp.MSPRole_PEER),
		policyAdmins:               majority(msp.MSPRole_ADMIN),
	}
}

func memberGroup(org *network.Organization, msps MSPs) (*common.ConfigGroup, error) {
	id := org.MSPID
	return organizationGroup(org, msps, map[string]*common.SignaturePolicyEnvelope{
		policyReaders:     policydsl.SignedByMspMember(id),
		policyWriters:     policydsl.SignedByMspMember(id),
		policyAdmins:      policydsl.SignedByMspAdmin(id),
		policyEndorsement: policydsl.SignedByMspPeer(id),
	})
}

// regulatorGroup lets every identity of the regulator read, and only its
// administrator write, who has to approve the chaincode definition before the
// regulator's peer can run queries.
//
// An administrator can order any transaction that others have endorsed, so
// the chaincode itself must refuse the organisation as a creator.
func regulatorGroup(org *network.Organization, msps MSPs) (*common.ConfigGroup, error) {
	id := org.MSPID
	return organizationGroup(org, msps, map[string]*common.SignaturePolicyEnvelope{
		policyReaders: policydsl.SignedByMspMember(id),
		policyWriters: policydsl.SignedByMspAdmin(id),
		policyAdmins:  policydsl.SignedByMspAdmin(id),
		// Governs only the regulator's own approvals, which lie in its
		// implicit collection.
		policyEndorsement: policydsl.SignedByMspPeer(id),
	})
}

func organizationGroup(org *network.Organization, msps MSPs, policies map[string]*common.SignaturePolicyEnvelope) (*common.ConfigGroup, error) {
	definition, err := msps.MSP(org.MSPID)
	if err != nil {
		return nil, err
	}
	port, err := resolved(org.PeerNode(), org.Peer.Port)
	if err != nil {
		return nil, err
	}
	g := newGroup()
	g.value("MSP", definition)
	g.value("AnchorPeers", &peer.AnchorPeers{AnchorPeers: []*peer.AnchorPeer{{Host: org.Peer.Host, Port: port}}})
	for name, policy := range policies {
		g.policy(name, policy)
	}
	return g.done()
}

// accessControl opens to readers what Fabric reserves for writers although it
// only reads, so that the regulator's users can query: evaluating chaincode,
// and asking which definitions are committed. That a proposal may be made by
// a reader does not let it be ordered, which needs Writers. Blocks, events and
// commit status are for readers anyway.
func accessControl() *peer.ACLs {
	readers := &peer.APIResource{PolicyRef: "/Channel/Application/Readers"}
	return &peer.ACLs{Acls: map[string]*peer.APIResource{
		"peer/Propose":                         readers,
		"_lifecycle/QueryChaincodeDefinition":  readers,
		"_lifecycle/QueryChaincodeDefinitions": readers,
		"_lifecycle/CheckCommitReadiness":      readers,
	}}
}
