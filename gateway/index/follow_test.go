package index_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// flaky is a peer that cannot be reached, or ends the connection after a few blocks, or sends a spoilt one.
type flaky struct {
	blocks []*common.Block
	mu     sync.Mutex
	calls  int
}

func (f *flaky) Blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	blocks := make(chan *common.Block, 100)
	defer close(blocks)
	left := f.blocks[min(from, uint64(len(f.blocks))):]
	switch f.calls % 4 {
	case 0:
		return nil, errors.New("unreachable")
	case 1:
		spoilt := proto.Clone(left[0]).(*common.Block)
		spoilt.Header.DataHash = []byte("spoilt")
		blocks <- spoilt
	case 2:
		for _, b := range left[:min(30, len(left))] {
			blocks <- b
		}
	case 3:
		return source(f.blocks).Blocks(ctx, from+1) // a gap
	}
	return blocks, nil
}

func TestFollow(t *testing.T) {
	s := tell(t)
	all := uint64(len(s.chain.Blocks))
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x, err := index.Open(t.Context(), db, "datanet")
		require.NoError(t, err)
		want := newWhole(t, s.chain.Blocks)

		t.Run("a peer that fails in every way is asked again until all blocks are there", func(t *testing.T) {
			fill(t, x, &flaky{blocks: s.chain.Blocks[:60]}, 60)
			require.Equal(t, want.content(t, 60), content(t, db))
		})
		t.Run("blocks one by one give the same as many at once", func(t *testing.T) {
			for _, b := range s.chain.Blocks[60:] {
				require.NoError(t, x.Apply(t.Context(), b))
			}
			require.Equal(t, want.content(t, all), content(t, db))
			digest, err := x.Digest(t.Context(), all)
			require.NoError(t, err)
			require.Equal(t, want.digests[all], digest)
		})
		t.Run("a block that is indexed already changes nothing", func(t *testing.T) {
			require.NoError(t, x.Apply(t.Context(), s.chain.Blocks[3]))
			require.Equal(t, want.content(t, all), content(t, db))
		})
		t.Run("two processes that index into one database do no harm", func(t *testing.T) {
			require.NoError(t, x.Reset(t.Context()))
			other, err := index.Open(t.Context(), db, "datanet")
			require.NoError(t, err)
			var both sync.WaitGroup
			for _, one := range []*index.Index{x, other} {
				both.Go(func() { fill(t, one, source(s.chain.Blocks), all) })
			}
			both.Wait()
			require.Equal(t, want.content(t, all), content(t, db))
		})
		t.Run("a peer of another channel ends it", func(t *testing.T) {
			other := blocktest.New("datanet")
			other.Add([][]byte{[]byte("x")}, []byte{1})
			for uint64(len(other.Blocks)) <= all {
				other.Add(nil, nil)
			}
			require.ErrorIs(t, x.Follow(t.Context(), source(other.Blocks)), index.ErrOtherChannel)
			require.Equal(t, want.content(t, all), content(t, db))
		})
		t.Run("an index of another chaincode is refused", func(t *testing.T) {
			_, err := index.Open(t.Context(), db, "other")
			require.ErrorContains(t, err, "choose another database")
		})
		t.Run("an index that another version of the program has filled is emptied", func(t *testing.T) {
			_, err := db.ExecContext(t.Context(), `UPDATE index_about SET value = '0' WHERE name = 'projection'`)
			require.NoError(t, err)
			x, err := index.Open(t.Context(), db, "datanet")
			require.NoError(t, err)
			height, err := x.Height(t.Context())
			require.NoError(t, err)
			require.Zero(t, height)
			fill(t, x, source(s.chain.Blocks), all)
			require.Equal(t, want.content(t, all), content(t, db))
		})
		t.Run("a running index that is emptied is filled again", func(t *testing.T) {
			x, err := index.Open(t.Context(), db, "datanet")
			require.NoError(t, err)
			following, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			peer := &idle{source: s.chain.Blocks, asked: make(chan uint64, 10)}
			go func() { done <- x.Follow(following, peer) }()
			require.Equal(t, all, <-peer.asked, "nothing is new")
			require.NoError(t, x.Reset(t.Context()))
			require.Zero(t, <-peer.asked)
			require.NoError(t, x.WaitHeight(t.Context(), all))
			stop()
			require.NoError(t, <-done)
			require.Equal(t, want.content(t, all), content(t, db))
		})
	})
}

// idle is a peer without new blocks that says what it was asked for.
type idle struct {
	source
	asked chan uint64
}

func (i *idle) Blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	i.asked <- from
	return i.source.Blocks(ctx, from)
}

func TestDigestsNeedTheirBlock(t *testing.T) {
	db, err := database.Open(t.Context(), database.SQLiteURL(t.TempDir()+"/x.db"))
	require.NoError(t, err)
	defer db.Close()
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	zero, err := x.Digest(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, zero)
	_, err = x.Digest(t.Context(), 1)
	require.Error(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, x.WaitHeight(gone, 1), context.Canceled)
}
