package indexed_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
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

func TestOneEngineServesManyAtATime(t *testing.T) {
	corpus, _ := golden.Draw(5)
	engine := indexed.New(inMemory(t, corpus, index.Options{Memory: 1}))
	var answers []attribution.Answer
	var want []string
	for seed := range uint64(50) {
		_, answer := golden.Draw(seed)
		answers = append(answers, answer)
		want = append(want, encoded(t, engine, answer))
	}
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for i, answer := range answers {
				require.Equal(t, want[i], encoded(t, engine, answer))
			}
		})
	}
	work.Wait()
}

func TestAnAnswerThatDoesNotFitGivesNoReceipt(t *testing.T) {
	engine := indexed.New(inMemory(t, nil, index.Options{}))
	_, err := engine.Receipt(attribution.Answer{Tau: attribution.MaxTau + 1})
	require.ErrorContains(t, err, "tau")
	_, err = engine.Receipt(attribution.Answer{Model: strings.Repeat("m", 65_536)})
	require.ErrorContains(t, err, "16 bits")
}

// BenchmarkTrace traces outputs of 100 tokens, half of them from a corpus of half a million tokens.
func BenchmarkTrace(b *testing.B) {
	var text strings.Builder
	state := uint32(1)
	word := func() string {
		state = state*1664525 + 1013904223
		return fmt.Sprintf("w%d", (state>>16)%(1+state>>24*64))
	}
	for range 500_000 {
		text.WriteString(word() + " ")
	}
	list := strings.Fields(text.String())
	engine := indexed.New(inMemory(b, attribution.Corpus{{ID: "a", Account: "x", Records: [][]byte{[]byte(text.String())}}}, index.Options{}))
	var outputs [][]byte
	for i := range 100 {
		output := slices.Clone(list[1000*i : 1000*i+50])
		for range 50 {
			output = append(output, word())
		}
		outputs = append(outputs, []byte(strings.Join(output, " ")))
	}
	i := 0
	for b.Loop() {
		_, err := engine.Trace(outputs[i%len(outputs)], nil, attribution.DefaultTau)
		require.NoError(b, err)
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/token")
}
