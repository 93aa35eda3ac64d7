package integration_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/integration/story"
)

// compareIndexes makes an index from each organisation's peer. All have the same digest at every height, also after
// they were emptied and filled again, and hold the state that a replay of the blocks gives.
func compareIndexes(t *testing.T, c *consortium) {
	height := c.height(t, poets)
	digests := map[string][][32]byte{}
	for _, msp := range []string{poets, library, lab, regulator} {
		url := database.SQLiteURL(filepath.Join(t.TempDir(), msp+".db"))
		if msp == library {
			url = databasetest.PostgreSQL(t)
		}
		db, err := database.Open(t.Context(), url)
		require.NoError(t, err)
		defer db.Close()
		x, err := index.Open(t.Context(), db, c.topology.Chaincode.Name)
		require.NoError(t, err)
		digests[msp] = c.indexed(t, x, msp, height)
		if msp == poets {
			require.NoError(t, x.Reset(t.Context()))
			require.Equal(t, digests[msp], c.indexed(t, x, msp, height), "filled again")
			c.compareState(t, x)
		}
	}
	for _, msp := range []string{library, lab, regulator} {
		require.Equal(t, digests[poets], digests[msp], msp)
	}
	t.Logf("%d blocks: four equal digests at each height", height)
}

// indexed follows an organisation's peer up to a height and returns the digest at each height.
func (c *consortium) indexed(t *testing.T, x *index.Index, msp string, height uint64) [][32]byte {
	client, err := c.client(story.User{Name: somebody[msp], MSP: msp})
	require.NoError(t, err)
	following, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Follow(following, client) }()
	waiting, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, x.WaitHeight(waiting, height))
	stop()
	require.NoError(t, <-done)
	digests := make([][32]byte, height)
	for h := range height {
		digests[h], err = x.Digest(t.Context(), h+1)
		require.NoError(t, err)
	}
	return digests
}

// compareState compares the entries with what a replay says, key by key: their values and the keys' own policies. To a
// peer a policy is a write of its key; to the index an entry is as old as its value.
func (c *consortium) compareState(t *testing.T, x *index.Index) {
	decoder, guarded := block.NewDecoder(c.topology.Chaincode.Name), map[ledger.Key]memledger.Version{}
	state := c.replayed(t, poets, func(b *common.Block) {
		decoded, err := decoder.Decode(b)
		require.NoError(t, err)
		for _, tx := range decoded.Transactions {
			for _, g := range tx.Guards {
				if tx.Valid() {
					guarded[g.Key] = memledger.Version{Block: decoded.Number, Tx: uint64(tx.Position)}
				}
			}
		}
	}).State()
	require.NotEmpty(t, state)
	view, err := x.View(t.Context())
	require.NoError(t, err)
	for _, want := range state {
		got, err := x.Entry(t.Context(), want.Key)
		require.NoError(t, err)
		version := memledger.Version{Block: got.Block, Tx: uint64(got.Position)}
		if g, ok := guarded[want.Key]; ok && (g.Block > version.Block || g.Block == version.Block && g.Tx > version.Tx) {
			version = g
		}
		require.Equal(t, want.Version, version, want.Key)
		policy, own, err := view.KeyPolicy(t.Context(), want.Key)
		require.NoError(t, err)
		require.Equal(t, want.Policy != nil, own, want.Key)
		if own {
			require.Equal(t, *want.Policy, policy, want.Key)
		}
		if kind, _, _ := want.Key.Split(); kind != "credit" && kind != "spend" { // which are shown with their key
			require.Equal(t, string(want.Value), string(got.Value))
		}
	}
}
