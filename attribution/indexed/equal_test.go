package indexed_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
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

// vocabularies are the words of drawn cases: few and short ones, so that everything repeats, or many, in several
// scripts, some that are several tokens or none.
var vocabularies = func() [][]string {
	var many []string
	for i := range 100 {
		many = append(many, strings.Repeat(string(rune('a'+i%26)), 1+i%4)+fmt.Sprint(i))
	}
	for i := range 30 {
		many = append(many, string(rune('中'+i)))
	}
	many = append(many, "½", "و", "\xff", "\xe4\xb8", "ﷺ", "é", "a\u200cb", strings.Repeat("x", 130), "ــ", "١٢", "😀")
	return [][]string{{"a", "b"}, {"a", "b", "c", "中", "\xff"}, many[:25], many, many, many, many, many}
}()

// drawCase returns a corpus whose records and contributions repeat each other and an answer that repeats them,
// the same for a seed on every machine.
func drawCase(seed uint64) (attribution.Corpus, attribution.Answer) {
	r := rand.New(rand.NewPCG(seed, 7))
	words := vocabularies[r.IntN(len(vocabularies))]
	words = words[r.IntN(1+len(words)/2):]
	var texts [][]string
	text := func() []byte {
		var list []string
		for range 1 + r.IntN(4) {
			if len(texts) > 0 && r.IntN(3) > 0 {
				from := texts[r.IntN(len(texts))]
				a := r.IntN(len(from) + 1)
				list = append(list, from[a:a+r.IntN(len(from)+1-a)]...)
				continue
			}
			for range r.IntN(20) {
				list = append(list, words[r.IntN(len(words))])
			}
		}
		texts = append(texts, list)
		return []byte(strings.Join(list, []string{" ", ", ", "\n"}[r.IntN(3)]))
	}
	var corpus attribution.Corpus
	for i := range r.IntN(9) {
		c := attribution.Contribution{ID: fmt.Sprint("c", i), Account: string(rune('a' + r.IntN(4)))}
		if i > 0 && r.IntN(8) == 0 {
			c.Records = corpus[r.IntN(i)].Records
		} else {
			for range r.IntN(5) {
				c.Records = append(c.Records, text())
			}
		}
		corpus = append(corpus, c)
	}
	answer := attribution.Answer{Model: "m@1", Tau: uint8(r.IntN(3) / 2 * r.IntN(attribution.MaxTau+1))}
	answer.Output = text()
	for range r.IntN(3) {
		answer.Prompt = append(answer.Prompt, text())
	}
	return corpus, answer
}

func TestReceiptsAreThoseOfThePlainEngine(t *testing.T) {
	spans, divided, several := 0, 0, 0
	for seed := range *cases {
		corpus, answer := drawCase(seed)
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
