package index_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
)

func TestWhatFollowsARunIsListedOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		corpus := drawCorpus(r, "c", 1+r.IntN(8))
		view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{})
		require.NoError(t, err)
		g := view.Segments()[0]
		// The segment's text, which the test looks through from the left.
		var text []uint32
		for record := range g.Records() {
			for position := g.RecordStart(record); position < g.RecordStart(record+1); position++ {
				id, ok := g.At(position)
				require.Equal(t, position+1 < g.RecordStart(record+1), ok)
				text = append(text, id)
			}
		}
		for range 10 {
			n := r.IntN(4)
			if len(text) < n+1 {
				return
			}
			run := text[r.IntN(len(text)-n):][:n]
			if slices.Contains(run, index.RecordEnd) {
				continue
			}
			places := g.All()
			if n > 0 {
				places = g.Places(run)
			}
			want := make(map[uint32]int)
			for i := 0; i+n < len(text); i++ {
				if slices.Equal(text[i:i+n], run) && (n > 0 || text[i] != index.RecordEnd) {
					want[text[i+n]]++
				}
			}
			last, rank := -1, places.Start
			for id, where := range g.Following(places, n) {
				require.Less(t, last, int(id))
				require.Equal(t, rank, where.Start)
				require.Equal(t, want[id], where.Count())
				require.Equal(t, where, g.Narrow(places, n, id))
				require.Equal(t, id, g.Next(where.Start, n))
				last, rank = int(id), where.End
				delete(want, id)
			}
			require.Equal(t, places.End, rank)
			require.Empty(t, want)
			require.Zero(t, g.Narrow(places, n, uint32(g.Size())).Count())
		}
		var tokens []index.Token
		var ids []uint32
		for i := range 200 {
			word := fmt.Appendf(nil, "word%d", i)
			tokens = append(tokens, index.Token{Text: word, Hash: index.Hash(word)})
			ids = append(ids, g.ID(tokens[i]))
		}
		require.Equal(t, ids, g.IDs(nil, tokens))
		for c := range corpus {
			from, to := g.Extent(c)
			for position := from; position < to; position++ {
				require.Equal(t, c, g.Owner(position))
			}
		}
		require.Equal(t, len(corpus)-1, g.Last())
	})
}

func TestAJoinedIndexIsTheOneBuiltOfTheUnion(t *testing.T) {
	root, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		all := drawCorpus(r, "c", r.IntN(12))
		// Contributions are registered in this order, in turn in one datanet and another.
		datanets := make([]attribution.Corpus, 3)
		var order []string
		var union attribution.Corpus
		for _, c := range all {
			k := r.IntN(len(datanets))
			datanets[k] = append(datanets[k], c)
			if r.IntN(3) > 0 { // else it was sealed after the snapshots
				order = append(order, c.ID)
				union = append(union, c)
			}
		}
		var views []*index.View
		for k, corpus := range datanets {
			x, err := index.Build(t.Context(), filepath.Join(root, fmt.Sprint(run, "-", k)), index.FromCorpus(corpus), index.Options{Memory: int64(r.IntN(2) * 24 * 50)})
			require.NoError(t, err)
			view, err := x.View()
			require.NoError(t, err)
			require.NoError(t, x.Close())
			views = append(views, view)
		}
		dir := filepath.Join(root, fmt.Sprint(run))
		x, err := index.Join(t.Context(), dir, order, views, index.Options{Memory: int64(r.IntN(2) * 24 * 50)})
		require.NoError(t, err)
		requireAnswers(t, x, r, union)
		require.NoError(t, x.Append(t.Context(), index.FromCorpus(attribution.Corpus{{ID: "more", Account: "a", Records: [][]byte{bytes.Repeat([]byte("word1 "), 9)}}})))
		require.NoError(t, x.Close())
		for _, view := range views {
			require.NoError(t, view.Close())
		}
	})
}

func TestAJoinRefuses(t *testing.T) {
	ann := attribution.Corpus{{ID: "1", Account: "ann", Records: [][]byte{[]byte("one two three four five six")}}}
	bob := attribution.Corpus{{ID: "1", Account: "bob"}}
	var views []*index.View
	for _, corpus := range []attribution.Corpus{ann, bob} {
		view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{})
		require.NoError(t, err)
		views = append(views, view)
	}
	dir := t.TempDir()
	_, err := index.Join(t.Context(), dir, []string{"1"}, views, index.Options{})
	require.ErrorContains(t, err, `of account "ann" and of account "bob"`)
	_, err = index.Join(t.Context(), dir, []string{"1", "1"}, views[:1], index.Options{})
	require.ErrorContains(t, err, "twice")
	_, err = index.Join(t.Context(), dir, []string{"2"}, views[:1], index.Options{})
	require.ErrorContains(t, err, `"2" is in none`)
	_, err = index.Open(dir, index.Options{})
	require.Error(t, err, "nothing was made")
}
