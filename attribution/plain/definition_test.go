package plain_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A search answers every question of the definition by going through all tokens of the corpus again.
type search struct {
	corpus  attribution.Corpus
	records []record
}

type record struct {
	contribution, number int
	tokens               []string
}

func words(text []byte) []string {
	var list []string
	for _, t := range text1.Tokens(text) {
		list = append(list, t.Text)
	}
	return list
}

func newSearch(corpus attribution.Corpus) search {
	s := search{corpus: corpus}
	for k, c := range corpus {
		for i, text := range c.Records {
			s.records = append(s.records, record{k, i, words(text)})
		}
	}
	return s
}

// occurrences returns all places at which run stands in the records.
func occurrences(records []record, run []string) []attribution.Place {
	var places []attribution.Place
	for _, r := range records {
		for i := 0; i+len(run) <= len(r.tokens); i++ {
			if slices.Equal(r.tokens[i:i+len(run)], run) {
				places = append(places, attribution.Place{Contribution: r.contribution, Record: r.number, Token: i})
			}
		}
	}
	return places
}

func isPassage(run []string) bool {
	enough := func(run []string) bool { return len(run) >= 5 && len([]rune(strings.Join(run, ""))) >= 12 }
	return enough(run) && !enough(run[:len(run)-1])
}

func (s search) origin(p attribution.Place) string {
	i := slices.IndexFunc(s.records, func(r record) bool { return r.contribution == p.Contribution && r.number == p.Record })
	tokens := s.records[i].tokens
	first := p.Contribution
	for a := range tokens {
		for b := a + 1; b <= len(tokens); b++ {
			if a <= p.Token && p.Token < b && isPassage(tokens[a:b]) {
				first = min(first, occurrences(s.records, tokens[a:b])[0].Contribution)
			}
		}
	}
	return s.corpus[first].Account
}

// receipt computes what the definition leaves to search: corpus size, coverage, spans and shares.
func (s search) receipt(a attribution.Answer) receipt.Receipt {
	var r receipt.Receipt
	count := make(map[string]uint64)
	for _, record := range s.records {
		for _, t := range record.tokens {
			count[t]++
			r.N++
		}
	}
	r.V = uint64(len(count)) + 1
	tokens, o := text1.Tokens(a.Output), words(a.Output)
	if r.N == 0 || len(o) == 0 {
		return r
	}
	var prompt []record
	for _, message := range a.Prompt {
		prompt = append(prompt, record{tokens: words(message)})
	}

	w := make([]uint64, len(o))
	all := uint64(0)
	for i, t := range o {
		w[i] = min(24<<16, attribution.Log(r.N+r.V)-attribution.Log(count[t]+1))
		for back := 1; back <= 9; back++ {
			if i-back >= 0 && o[i-back] == t {
				w[i] = 0
			}
		}
	}
	for i := range o {
		for j := i + 1; j <= len(o); j++ {
			if isPassage(o[i:j]) && len(occurrences(prompt, o[i:j])) > 0 {
				clear(w[i:j])
			}
		}
	}
	for _, x := range w {
		all += x
	}

	occurs := func(i, j int) bool { return j <= len(o) && len(occurrences(s.records, o[i:j])) > 0 }
	type candidate struct {
		start, end int
		sum        uint64
	}
	var kept []candidate
	for i := range o {
		for j := i + 1; j <= len(o); j++ {
			// [i, j) is maximal: it occurs and cannot be extended on either side.
			if !occurs(i, j) || occurs(i, j+1) || i > 0 && occurs(i-1, j) {
				continue
			}
			c := candidate{start: i, end: j}
			for _, x := range w[i:j] {
				c.sum += x
			}
			if j-i >= 3 && c.sum >= attribution.Log(r.N)+attribution.Log(uint64(len(o)))+uint64(a.Tau)<<16 {
				kept = append(kept, c)
			}
		}
	}

	credits := make(map[string]uint64)
	total := uint64(0)
	for k, c := range kept {
		places := occurrences(s.records, o[c.start:c.end])
		pay := make(map[string]uint64)
		credit := uint64(0)
		for i := c.start; i < c.end; i++ {
			better := slices.ContainsFunc(kept, func(d candidate) bool { return d.start <= i && i < d.end && d.sum > c.sum })
			earlier := slices.ContainsFunc(kept[:k], func(d candidate) bool { return d.start <= i && i < d.end && d.sum == c.sum })
			if w[i] == 0 || better || earlier {
				continue
			}
			place := places[0]
			place.Token += i - c.start
			pay[s.origin(place)] += w[i]
			credit += w[i]
		}
		if credit == 0 {
			continue
		}
		span := receipt.Span{
			Start: uint32(c.start), End: uint32(c.end),
			ByteStart: uint32(tokens[c.start].Start), ByteEnd: uint32(tokens[c.end-1].End),
			Information: c.sum, Credit: credit, Occurrences: uint64(len(places)),
			Home: receipt.Home{Contribution: s.corpus[places[0].Contribution].ID, Record: uint32(places[0].Record), Token: uint32(places[0].Token)},
		}
		for account, x := range pay {
			span.Payees = append(span.Payees, receipt.Payee{Account: account, Credit: x})
			credits[account] += x
		}
		slices.SortFunc(span.Payees, func(a, b receipt.Payee) int { return strings.Compare(a.Account, b.Account) })
		r.Spans = append(r.Spans, span)
		total += credit
	}
	if total > 0 {
		ppm := new(big.Int).Mul(new(big.Int).SetUint64(total), big.NewInt(1_000_000))
		r.CoveragePPM = uint32(ppm.Quo(ppm, new(big.Int).SetUint64(all)).Uint64())
	}
	r.Shares = receipt.Shares(r.Spans)
	return r
}

// vocabulary holds words of two and more letters, then tokens of one.
var vocabulary = func() []string {
	var list []string
	for i := range 100 {
		list = append(list, strings.Repeat(string(rune('a'+i%26)), 1+i%4)+fmt.Sprint(i))
	}
	list = append(list, "½", "و")
	for i := range 30 {
		list = append(list, string(rune('中'+i)))
	}
	return list
}()

// drawnCase returns a corpus whose records repeat each other and an answer that repeats them, the same
// for a seed on every machine.
func drawnCase(seed uint64) (attribution.Corpus, attribution.Answer) {
	r := rand.New(rand.NewPCG(seed, 1))
	words := vocabulary[r.IntN(len(vocabulary)):]
	text := golden.Texts(r, words)
	var corpus attribution.Corpus
	for i := range r.IntN(8) {
		c := attribution.Contribution{ID: fmt.Sprint("c", i), Account: string(rune('a' + r.IntN(4)))}
		for range r.IntN(5) {
			c.Records = append(c.Records, text())
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

func attribute(t require.TestingT, corpus attribution.Corpus, answer attribution.Answer) *receipt.Receipt {
	engine, err := plain.New(corpus)
	require.NoError(t, err)
	r, err := engine.Receipt(answer)
	require.NoError(t, err)
	return r
}

func TestReceiptsAreThoseOfAnExhaustiveSearch(t *testing.T) {
	spans, divided := 0, 0
	for seed := range uint64(1500) {
		corpus, answer := drawnCase(seed)
		got, want := attribute(t, corpus, answer), newSearch(corpus).receipt(answer)
		require.Equal(t, want.N, got.N, "case %d", seed)
		require.Equal(t, want.V, got.V, "case %d", seed)
		require.Equal(t, want.Spans, got.Spans, "case %d", seed)
		require.Equal(t, want.Shares, got.Shares, "case %d", seed)
		require.Equal(t, want.CoveragePPM, got.CoveragePPM, "case %d", seed)
		spans += len(got.Spans)
		for _, s := range got.Spans {
			if len(s.Payees) > 1 {
				divided++
			}
		}
	}
	require.Greater(t, spans, 500, "the cases should credit something")
	require.Greater(t, divided, 30, "some spans should be divided among origins")
}
