package integration_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/integration/market"
	"github.com/datanet-consortium/datanet/integration/story"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// somebody of each organisation that has a peer.
var somebody = map[string]string{poets: "operator1", library: "operator1", lab: "operator1", regulator: "inspector1"}

// replayed replays an organisation's blocks up to the height that its peer has now. Every verdict of the in-memory
// ledger must be the peers'. watch sees each block too.
func (c *consortium) replayed(t *testing.T, msp string, watch ...func(*common.Block)) *replay.Replayer {
	t.Helper()
	client, err := c.client(story.User{Name: somebody[msp], MSP: msp})
	require.NoError(t, err)
	height := c.height(t, msp)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	blocks, err := client.Blocks(ctx, 0)
	require.NoError(t, err)
	r := replay.New(c.topology.Chaincode.Name)
	for range height {
		select {
		case block, open := <-blocks:
			require.True(t, open, "the stream of blocks ended")
			require.NoError(t, r.Block(block))
			for _, each := range watch {
				each(block)
			}
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	require.Empty(t, r.Report().Differences, "the in-memory ledger and the peers disagree")
	return r
}

func (c *consortium) height(t *testing.T, msp string) uint64 {
	t.Helper()
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	for _, node := range status.Nodes {
		if node.Kind == testnetwork.Peer && node.MSPID == msp {
			return node.Height
		}
	}
	t.Fatalf("%s has no peer", msp)
	return 0
}

// tally sums the state as one member's peer holds it.
func (c *consortium) tally(t *testing.T) *token.Tally {
	t.Helper()
	var tally token.Tally
	for _, entry := range c.replayed(t, poets).State() {
		require.NoError(t, tally.Add(entry.Key, entry.Value))
	}
	return &tally
}

// compareReplay replays the whole channel and says what was compared.
func compareReplay(t *testing.T, c *consortium) {
	report := c.replayed(t, regulator).Report()
	require.Positive(t, report.Judged[memledger.Valid])
	require.Positive(t, report.Judged[memledger.EndorsementPolicyFailure])
	require.Positive(t, report.Judged[memledger.MVCCReadConflict])
	t.Logf("%d blocks; judged %v, followed %v, no difference", report.Blocks, report.Judged, report.Followed)
}

// sumRawState stops the network and reads every peer's state database from disk: all are equal, equal to what the
// blocks say, and no credit was created or lost.
func sumRawState(t *testing.T, c *consortium) {
	blocks := c.replayed(t, regulator).State()
	nodes := map[string]string{}
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.Agreement.Agree)
	for _, node := range status.Nodes {
		if node.Kind == testnetwork.Peer {
			nodes[node.MSPID] = node.Name
		}
	}
	require.Len(t, nodes, 4)
	require.NoError(t, c.stop())
	for msp, node := range nodes {
		entries, err := market.RawState(filepath.Join(c.State().Dir(), "nodes", node), c.topology.Channel, c.topology.Chaincode.Name)
		require.NoError(t, err)
		var tally token.Tally
		for _, entry := range entries {
			require.NoError(t, tally.Add(entry.Key, entry.Value))
		}
		require.NoError(t, tally.Check(), "state of the peer of %s", msp)
		require.Len(t, entries, len(blocks))
		for i, entry := range entries {
			require.Equal(t, blocks[i].Key, entry.Key, "state of the peer of %s", msp)
			require.Equal(t, string(blocks[i].Value), string(entry.Value), "state of the peer of %s at %s", msp, entry.Key)
		}
		t.Logf("%s: %d keys, %+v", node, len(entries), tally)
	}
}
