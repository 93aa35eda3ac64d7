package openai_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/integration/market"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

const (
	// A node that was killed stays away until the others have so many blocks more.
	awayBlocks = 3
	// nodeLimit is how long the others may take for that, and how long it may take itself to have all blocks again: on a busy
	// machine a BFT leader was replaced after 18 s only.
	nodeLimit = 3 * time.Minute
)

// outages counts what was killed of the network beside gateways.
type outages struct{ peers, orderers, leaders int }

// kill kills a peer or an orderer, sees that the ledger goes on without it, starts it again and returns when it has all
// blocks that others have: one node at a time is what BFT and the endorsement policies bear.
func (o *outages) kill(t *testing.T, m *market.Market, turn int) {
	node := o.choose(t, m, turn)
	require.NoError(t, m.Network.KillNode(node.Name))
	height := highest(t, m) + awayBlocks
	require.Eventually(t, func() bool { return highest(t, m) >= height }, nodeLimit, 100*time.Millisecond, "there are blocks without %s", node.Name)
	require.NoError(t, m.Network.RestartNode(t.Context(), node.Name))
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(nodes(t, m), func(n testnetwork.NodeStatus) bool { return n.Name == node.Name && n.Height >= height })
	}, nodeLimit, 100*time.Millisecond, "%s has %d blocks again", node.Name, height)
}

// choose takes by turns a peer, the regulator's too, and an orderer, which leads the others or does not.
func (o *outages) choose(t *testing.T, m *market.Market, turn int) testnetwork.NodeStatus {
	all := nodes(t, m)
	of := func(kind testnetwork.Kind, leader bool) []testnetwork.NodeStatus {
		return slices.DeleteFunc(slices.Clone(all), func(n testnetwork.NodeStatus) bool { return n.Kind != kind || n.Leader != leader })
	}
	if turn%2 == 0 {
		peers := of(testnetwork.Peer, false)
		o.peers++
		return peers[turn/2%len(peers)]
	}
	o.orderers++
	if leaders := of(testnetwork.Orderer, true); turn%4 == 1 && len(leaders) > 0 {
		o.leaders++
		return leaders[0]
	}
	followers := of(testnetwork.Orderer, false)
	return followers[turn/4%len(followers)]
}

func (o *outages) String() string {
	return fmt.Sprintf("%d peers, %d orderers of which %d led", o.peers, o.orderers, o.leaders)
}

func nodes(t *testing.T, m *market.Market) []testnetwork.NodeStatus {
	status, err := m.Network.Status(t.Context())
	require.NoError(t, err)
	return status.Nodes
}

// highest is the number of blocks of the node that has most.
func highest(t *testing.T, m *market.Market) (height uint64) {
	for _, node := range nodes(t, m) {
		height = max(height, node.Height)
	}
	return height
}
