package index_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
)

// library builds indexes in folders and returns these, their corpora and the size of the largest.
func library(t *testing.T, count int) (dirs []string, corpora []attribution.Corpus, largest int64) {
	root := t.TempDir()
	for i := range count {
		dir := filepath.Join(root, fmt.Sprint(i))
		corpus := drawCorpus(rand.New(rand.NewPCG(uint64(i), 1)), "c", 6)
		x, err := index.Build(t.Context(), dir, index.FromCorpus(corpus), index.Options{})
		require.NoError(t, err)
		largest = max(largest, x.Bytes())
		require.NoError(t, x.Close())
		dirs, corpora = append(dirs, dir), append(corpora, corpus)
	}
	return dirs, corpora, largest
}

func TestAPoolAnswersFromMoreIndexesThanItHasRoomFor(t *testing.T) {
	dirs, corpora, largest := library(t, 6)
	pool := index.NewPool(2 * largest)
	var readers sync.WaitGroup
	for reader := range 8 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(reader), 2))
			for range 30 {
				i := r.IntN(len(dirs))
				view, err := pool.View(t.Context(), dirs[i])
				require.NoError(t, err)
				list := answers(r, corpora[i])
				require.Equal(t, plainReceipts(t, corpora[i], list), receipts(t, view, list))
				require.NoError(t, view.Close())
			}
		})
	}
	readers.Wait()
	require.NoError(t, pool.Close())
	_, err := pool.View(t.Context(), dirs[0])
	require.ErrorContains(t, err, "closed")
}

func TestAPoolWithoutRoomWaits(t *testing.T) {
	dirs, _, _ := library(t, 2)
	pool := index.NewPool(1)
	view, err := pool.View(t.Context(), dirs[0])
	require.NoError(t, err, "one index may be larger than the limit")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = pool.View(ended, dirs[1])
	require.ErrorIs(t, err, context.Canceled)
	same, err := pool.View(ended, dirs[0])
	require.NoError(t, err, "what is open needs no room")
	require.NoError(t, same.Close())

	got := make(chan error)
	go func() {
		other, err := pool.View(t.Context(), dirs[1])
		if err == nil {
			err = other.Close()
		}
		got <- err
	}()
	require.NoError(t, view.Close())
	require.NoError(t, <-got)
	require.NoError(t, pool.Close())
}

func TestAPoolSeesWhatWasAppended(t *testing.T) {
	dirs, corpora, largest := library(t, 1)
	pool := index.NewPool(10 * largest)
	before, err := pool.View(t.Context(), dirs[0])
	require.NoError(t, err)
	x, err := index.Open(dirs[0], index.Options{})
	require.NoError(t, err)
	more := drawCorpus(rand.New(rand.NewPCG(9, 9)), "more", 3)
	require.NoError(t, x.Append(t.Context(), index.FromCorpus(more)))
	require.NoError(t, x.Close())
	after, err := pool.View(t.Context(), dirs[0])
	require.NoError(t, err)
	require.Equal(t, len(corpora[0]), before.Contributions())
	require.Equal(t, len(corpora[0])+3, after.Contributions())
	require.NoError(t, before.Close())
	require.NoError(t, after.Close())
	_, err = pool.View(t.Context(), t.TempDir())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, pool.Close())
}
