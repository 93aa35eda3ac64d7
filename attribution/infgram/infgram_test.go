package infgram_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/infgram"
)

// trained returns the model of a corpus over a view that is cut into segments when memory is small.
func trained(t require.TestingT, corpus attribution.Corpus, options infgram.Options, memory int64) *infgram.Model {
	view, err := index.InMemory(context.Background(), index.FromCorpus(corpus), index.Options{Memory: memory})
	require.NoError(t, err)
	m, err := infgram.New(context.Background(), view, options)
	require.NoError(t, err)
	return m
}

// drawn is a small corpus, a text that repeats it, and a model's settings.
type drawn struct {
	corpus  attribution.Corpus
	passage infgram.Passage
	options infgram.Options
	memory  int64
	seed    uint64
}

func draw(t *rapid.T) drawn {
	seed := rapid.Uint64().Draw(t, "seed")
	corpus, answer := golden.Draw(seed)
	text := answer.Output[:min(len(answer.Output), 60)]
	cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
	return drawn{
		corpus:  corpus,
		passage: infgram.Passage{Before: text[:cut], Text: text[cut:], Ends: rapid.Bool().Draw(t, "ends")},
		options: infgram.Options{
			MaxContext:    rapid.SampledFrom([]int{0, 1, 2, 3, 8}).Draw(t, "context"),
			Interpolation: rapid.SampledFrom([]infgram.Interpolation{infgram.WittenBell, infgram.Discounted, {Discount: 10}, {Discount: 3, Escape: 7}}).Draw(t, "interpolation"),
		},
		memory: rapid.SampledFrom([]int64{0, 1000, 1}).Draw(t, "memory"),
		seed:   seed,
	}
}

func chains(t require.TestingT, m *infgram.Model, p infgram.Passage, subsets ...infgram.Subset) [][]infgram.Chain {
	list := make([][]infgram.Chain, max(1, len(subsets)))
	require.NoError(t, m.EachChain(context.Background(), p, subsets, func(symbol, subset int, c infgram.Chain) {
		c.Levels = append([]infgram.Level{}, c.Levels...)
		list[subset] = append(list[subset], c)
		require.Len(t, list[subset], symbol+1)
	}))
	return list
}

// naiveChains are those of the symbols of a passage by the slow model.
func naiveChains(n *naive, p infgram.Passage) []infgram.Chain {
	text, list := tokens(p.Before), tokens(p.Text)
	if p.Ends {
		list = append(list, "")
	}
	var all []infgram.Chain
	for i, symbol := range list {
		c := n.chain(append(slices.Clip(text), list[:i]...), symbol)
		c.Levels = append([]infgram.Level{}, c.Levels...)
		all = append(all, c)
	}
	return all
}

func TestChainsAreThoseOfTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		slow := newNaive(d.corpus, d.options)
		want := naiveChains(slow, d.passage)
		require.Equal(t, want, chains(t, trained(t, d.corpus, d.options, d.memory), d.passage)[0])
		for _, c := range want {
			p := c.Rational(d.options.Interpolation)
			require.Zero(t, p.Cmp(slow.probability(c)))
			exact, _ := p.Float64()
			require.InDelta(t, 0, c.Log2(d.options.Interpolation)-log2(exact), 1e-9)
		}
	})
}

func TestLeavingOutIsTrainingWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		m := trained(t, d.corpus, d.options, d.memory)
		var subsets []infgram.Subset
		var left []attribution.Corpus
		for range 3 {
			var names []string
			for _, account := range m.Accounts() {
				if rapid.Bool().Draw(t, account) {
					names = append(names, account)
				}
			}
			only, err := m.Only(names...)
			require.NoError(t, err)
			without, err := m.Without(names...)
			require.NoError(t, err)
			subsets = append(subsets, only, without)
			left = append(left, keep(d.corpus, names, true), keep(d.corpus, names, false))
		}
		for _, account := range m.Accounts() {
			one, err := m.Without(account)
			require.NoError(t, err)
			subsets = append(subsets, one)
			left = append(left, keep(d.corpus, []string{account}, false))
		}
		got := chains(t, m, d.passage, subsets...)
		for k, corpus := range left {
			require.Equal(t, naiveChains(newNaive(corpus, d.options), d.passage), got[k], "by the slow model trained on %d contributions", len(corpus))
			require.Equal(t, chains(t, trained(t, corpus, d.options, 0), d.passage)[0], got[k])
		}
		bits, each, err := m.LeaveOneOut(t.Context(), d.passage)
		require.NoError(t, err)
		require.Len(t, each, len(m.Accounts()))
		whole, err := m.Score(t.Context(), d.passage, infgram.Subset{})
		require.NoError(t, err)
		require.Equal(t, whole.Bits, bits)
		for i, c := range each {
			score, err := m.Score(t.Context(), d.passage, subsets[6+i])
			require.NoError(t, err)
			require.Equal(t, m.Accounts()[i], c.Account)
			require.Equal(t, score.Bits, c.Bits)
		}
	})
}

func keep(corpus attribution.Corpus, names []string, only bool) attribution.Corpus {
	var left attribution.Corpus
	for _, c := range corpus {
		if slices.Contains(names, c.Account) == only {
			left = append(left, c)
		}
	}
	return left
}

func TestProbabilitiesSumToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		m := trained(t, d.corpus, d.options, d.memory)
		accounts := m.Accounts()
		var subsets []infgram.Subset
		for i := range accounts {
			s, err := m.Only(accounts[i:]...)
			require.NoError(t, err)
			subsets = append(subsets, s)
		}
		for k, subset := range append(subsets, infgram.Subset{}) {
			known := d.corpus
			if k < len(subsets) {
				known = keep(d.corpus, accounts[k:], true)
			}
			sum := new(big.Rat)
			add := func(p infgram.Passage) {
				list := chains(t, m, p, subset)[0]
				require.Len(t, list, 1)
				sum.Add(sum, list[0].Rational(d.options.Interpolation))
			}
			text := d.passage.Before
			for _, token := range newNaive(known, d.options).order {
				add(infgram.Passage{Before: text, Text: []byte(token)})
			}
			add(infgram.Passage{Before: text, Text: []byte("nobodywroteit")})
			add(infgram.Passage{Before: text, Ends: true})
			require.Zero(t, sum.Cmp(big.NewRat(1, 1)), "%v", sum)
		}
	})
}

func TestTheSameIsWrittenAsByTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		m := trained(t, d.corpus, d.options, d.memory)
		want := newNaive(d.corpus, d.options).write(tokens(d.passage.Before), 12, d.seed)
		var got []string
		for token, err := range m.Generate(t.Context(), d.passage.Before, infgram.Generation{Tokens: 12, Seed: d.seed}) {
			require.NoError(t, err)
			got = append(got, token)
		}
		require.Equal(t, want, got)
		require.Equal(t, want, tokens([]byte(strings.Join(got, " "))), "the text that it makes has these tokens")
	})
}

// Tokens are written as often as the chain says: not by luck of one seed, since the seeds are fixed.
func TestTokensAreWrittenAsOftenAsTheyAreProbable(t *testing.T) {
	corpus := attribution.Corpus{
		{ID: "1", Account: "a", Records: [][]byte{[]byte("x y z"), []byte("x y y"), []byte("y x")}},
		{ID: "2", Account: "b", Records: [][]byte{[]byte("x y x y w")}},
	}
	for _, interpolation := range []infgram.Interpolation{infgram.WittenBell, infgram.Discounted} {
		for _, memory := range []int64{0, 1} {
			options := infgram.Options{Interpolation: interpolation}
			m := trained(t, corpus, options, memory)
			const draws = 40_000
			counts := make(map[string]int)
			for seed := range uint64(draws) {
				token, _ := m.Continue([]byte("x y"), seed).Next()
				counts[token]++
			}
			unknown, _ := chains(t, m, infgram.Passage{Before: []byte("x y"), Text: []byte("nobodywroteit")})[0][0].Rational(interpolation).Float64()
			for _, symbol := range []string{"x", "y", "z", "w", ""} {
				p, _ := chains(t, m, infgram.Passage{Before: []byte("x y"), Text: []byte(symbol), Ends: symbol == ""})[0][0].Rational(interpolation).Float64()
				require.InDelta(t, p/(1-unknown), float64(counts[symbol])/draws, .01, symbol)
			}
		}
	}
}

func TestManyReadersGetWhatOneGets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := golden.Texts(r, strings.Fields("a b c d e f g h"))
	var corpus attribution.Corpus
	for i := range 40 {
		corpus = append(corpus, attribution.Contribution{ID: string(rune('A' + i)), Account: string(rune('a' + i%7)), Records: [][]byte{text(), text(), text()}})
	}
	for _, memory := range []int64{0, 20_000} {
		m := trained(t, corpus, infgram.Options{MaxContext: 3}, memory)
		passage := infgram.Passage{Text: text(), Ends: true}
		bits, each, err := m.LeaveOneOut(t.Context(), passage)
		require.NoError(t, err)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for range 10 {
					gotBits, got, err := m.LeaveOneOut(t.Context(), passage)
					require.NoError(t, err)
					require.Equal(t, bits, gotBits)
					require.Equal(t, each, got)
				}
			})
		}
		readers.Wait()
	}
}

func TestWritingStopsWhenToldTo(t *testing.T) {
	corpus := attribution.Corpus{{ID: "1", Account: "a", Records: [][]byte{[]byte(strings.Repeat("la ", 1000))}}}
	m := trained(t, corpus, infgram.Options{}, 0)
	ended, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	defer cancel(nil)
	written := 0
	for _, err := range m.Generate(ended, []byte("la la"), infgram.Generation{Tokens: 10, Seed: 1}) {
		if written++; written == 3 {
			cancel(enough)
		}
		if err != nil {
			require.ErrorIs(t, err, enough)
			break
		}
	}
	require.Equal(t, 4, written)
	_, err := m.Score(ended, infgram.Passage{Text: []byte("la")}, infgram.Subset{})
	require.ErrorIs(t, err, enough)
	_, _, err = m.LeaveOneOut(ended, infgram.Passage{Text: []byte("la")})
	require.ErrorIs(t, err, enough)
}

func TestAModelOfNothingWritesNothing(t *testing.T) {
	m := trained(t, nil, infgram.Options{}, 0)
	token, ok := m.Continue([]byte("once upon a time"), 7).Next()
	require.False(t, ok, token)
	score, err := m.Score(t.Context(), infgram.Passage{Text: []byte("once upon"), Ends: true}, infgram.Subset{})
	require.NoError(t, err)
	require.Equal(t, 3.0, score.Bits, "the end and the unknown token are all there is")
	require.Equal(t, 3.0/9, score.BitsPerByte())
}

func TestWhatIsOutOfRangeIsRefused(t *testing.T) {
	view, err := index.InMemory(t.Context(), index.FromCorpus(nil), index.Options{})
	require.NoError(t, err)
	for _, options := range []infgram.Options{
		{MaxContext: -1}, {Interpolation: infgram.Interpolation{Discount: 11}}, {Interpolation: infgram.Interpolation{Discount: 8, Escape: 101}},
	} {
		_, err := infgram.New(t.Context(), view, options)
		require.ErrorContains(t, err, "out of range")
	}
	m, err := infgram.New(t.Context(), view, infgram.Options{})
	require.NoError(t, err)
	_, err = m.Without("nobody")
	require.ErrorContains(t, err, "has contributed nothing")
}

func TestALongQuotationIsScoredWithoutUnderflow(t *testing.T) {
	text := func(from int) []byte {
		var words []string
		for i := range 3000 {
			words = append(words, fmt.Sprint("w", from+i))
		}
		return []byte(strings.Join(words, " "))
	}
	corpus := attribution.Corpus{{ID: "1", Account: "a", Records: [][]byte{text(0)}}, {ID: "2", Account: "b", Records: [][]byte{text(10)}}}
	m := trained(t, corpus, infgram.Options{}, 0)
	score, err := m.Score(t.Context(), infgram.Passage{Before: text(0), Text: []byte("surprise")}, infgram.Subset{})
	require.NoError(t, err)
	require.Equal(t, 3000, score.Tokens[0].Context)
	require.InDelta(t, 3000, score.Bits, 100)
}
