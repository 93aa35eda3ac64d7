package integration_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

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

// compareState compares the entries with what a replay says, key by key.
func (c *consortium) compareState(t *testing.T, x *index.Index) {
	state := c.replayed(t, poets).State()
	require.NotEmpty(t, state)
	for _, want := range state {
		got, err := x.Entry(t.Context(), want.Key)
		require.NoError(t, err)
		require.Equal(t, want.Version.Block, got.Block, want.Key)
		require.Equal(t, want.Version.Tx, uint64(got.Position), want.Key)
		if kind, _, _ := want.Key.Split(); kind != "credit" && kind != "spend" { // which are shown with their key
			require.Equal(t, string(want.Value), string(got.Value))
		}
	}
}
