package testnetwork

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hyperledger/fabric-admin-sdk/pkg/discovery"
	discovered "github.com/hyperledger/fabric-protos-go-apiv2/discovery"
	"github.com/hyperledger/fabric-protos-go-apiv2/gossip"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network/lifecycle"
)

// awaitEndorsers waits until the peer of a party knows that the peers of all organisations run a chaincode definition.
// Peers tell each other by gossip, some time after the definition is committed, and a gateway that has not heard of
// enough of them cannot have a transaction endorsed.
func awaitEndorsers(ctx context.Context, state *State, p *party, want lifecycle.Definition) error {
	return poll(ctx, func() error {
		found, err := discovery.NewPeer(p.conn, p.admin).PeerMembershipQuery(ctx, want.Channel, nil)
		if err != nil {
			return fmt.Errorf("ask the peer of %s for the others: %w", p.org.MSPID, err)
		}
		for _, org := range state.topology.Organizations() {
			if !runsChaincode(found.GetPeersByOrg()[org.MSPID], want) {
				return fmt.Errorf("the peer of %s has not heard that the peer of %s runs %s", p.org.MSPID, org.MSPID, want)
			}
		}
		return nil
	})
}

// runsChaincode tells whether one of the peers says that it runs a chaincode definition. What gossip calls the version
// of a chaincode is the sequence of its definition.
func runsChaincode(peers *discovered.Peers, want lifecycle.Definition) bool {
	for _, peer := range peers.GetPeers() {
		message := new(gossip.GossipMessage)
		if proto.Unmarshal(peer.GetStateInfo().GetPayload(), message) != nil {
			continue
		}
		for _, chaincode := range message.GetStateInfo().GetProperties().GetChaincodes() {
			if chaincode.GetName() == want.Name && chaincode.GetVersion() == strconv.FormatInt(want.Sequence, 10) {
				return true
			}
		}
	}
	return false
}
