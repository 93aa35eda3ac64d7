package indexed_test

import (
	"encoding/hex"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/plain"
)

var cases = flag.Uint64("indexed.cases", 2000, "drawn cases to compare with the plain engine")

func inMemory(t testing.TB, corpus attribution.Corpus, options index.Options) *index.View {
	view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), options)
	require.NoError(t, err)
	return view
}

func encoded(t require.TestingT, engine *indexed.Engine, answer attribution.Answer) string {
	r, err := engine.Receipt(answer)
	require.NoError(t, err)
	bytes, err := r.Encode()
	require.NoError(t, err)
	return hex.EncodeToString(bytes)
}

func TestTheReceiptsOfThePublishedExamplesAreEqualByteForByte(t *testing.T) {
	examples, err := golden.Examples()
	require.NoError(t, err)
	require.Len(t, examples, 500)
	for i, example := range examples {
		want := hex.EncodeToString(example.Receipt)
		require.Equal(t, want, encoded(t, indexed.New(inMemory(t, example.Corpus, index.Options{})), example.Answer), "example %d", i)
		split := indexed.New(inMemory(t, example.Corpus, index.Options{Memory: 1}))
		require.Equal(t, want, encoded(t, split, example.Answer), "example %d, a segment for every contribution", i)
	}
}

func TestReceiptsAreThoseOfThePlainEngine(t *testing.T) {
	spans, divided, several := 0, 0, 0
	for seed := range *cases {
		corpus, answer := golden.Draw(seed)
		slow, err := plain.New(corpus)
		require.NoError(t, err)
		want, err := slow.Receipt(answer)
		require.NoError(t, err)
		whole := inMemory(t, corpus, index.Options{})
		got, err := indexed.New(whole).Receipt(answer)
		require.NoError(t, err)
		require.Equal(t, want, got, "case %d", seed)
		split := inMemory(t, corpus, index.Options{Memory: 24 * int64(1+seed%100)})
		got, err = indexed.New(split).Receipt(answer)
		require.NoError(t, err)
		require.Equal(t, want, got, "case %d in %d segments", seed, len(split.Segments()))
		spans += len(want.Spans)
		for _, s := range want.Spans {
			if len(s.Payees) > 1 {
				divided++
			}
		}
		if len(split.Segments()) > 1 {
			several++
		}
	}
	require.Greater(t, uint64(spans), *cases/3, "the cases should credit something")
	require.Greater(t, uint64(divided), *cases/100, "some spans should be divided among origins")
	require.Greater(t, uint64(several), *cases/4, "some corpora should have several segments")
}
