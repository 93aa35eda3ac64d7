package main

import (
	"bytes"
	"cmp"
	"index/suffixarray"
	"math"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A tracer does what OLMoTrace does (arXiv 2504.07096), on the same tokens: of the maximal spans that occur in the
// corpus it keeps the ⌈m/20⌉ least probable by their tokens' frequencies, shows up to ten documents of each, and
// says nothing of shares. Here each kept span's length is divided equally among the documents shown.
type tracer struct {
	*anthology
	all bool // keep all spans, which it does not
}

const shownDocuments = 10

func (t *tracer) find(output []byte) (finding, error) {
	g := t.view.Segments()[0]
	var ids []uint32
	for _, word := range words(output) {
		ids = append(ids, g.ID(index.Token{Text: []byte(word), Hash: index.Hash([]byte(word))}))
	}
	type span struct {
		start, end  int
		probability float64 // its logarithm
	}
	var spans []span
	far := 0
	for i := range ids {
		end := i + g.Longest(ids[i:])
		if end <= far {
			continue
		}
		far = end
		s := span{start: i, end: end}
		for _, id := range ids[i:end] {
			s.probability += math.Log(float64(g.Count(id)) / float64(g.Tokens()))
		}
		spans = append(spans, s)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.probability, b.probability) })
	if !t.all {
		spans = spans[:min(len(spans), (len(ids)+19)/20)]
	}
	f := finding{credited: make([]bool, len(ids)), shares: make(map[string]float64)}
	total := 0.0
	for _, s := range spans {
		for i := s.start; i < s.end; i++ {
			f.credited[i] = true
		}
		places := g.Places(ids[s.start:s.end])
		shown := make(map[int]bool)
		for rank := places.Start; rank < places.End && len(shown) < shownDocuments; rank++ {
			shown[g.Place(g.Position(rank)).Contribution] = true
		}
		for c := range shown {
			f.shares[t.corpus[c].Account] += float64(s.end-s.start) / float64(len(shown))
		}
		total += float64(s.end - s.start)
	}
	for account := range f.shares {
		f.shares[account] /= total
	}
	return f, nil
}

// A byteMatcher matches raw bytes: it credits maximal runs of the output's bytes that stand in the corpus and are
// at least leastBytes long, each to the first contribution that holds it.
type byteMatcher struct {
	*anthology
	all    *suffixarray.Index
	starts []int
}

// leastBytes is about four words of Persian.
const leastBytes = 32

func newByteMatcher(a *anthology) *byteMatcher {
	var all bytes.Buffer
	m := &byteMatcher{anthology: a}
	for _, p := range a.poets {
		m.starts = append(m.starts, all.Len())
		all.Write(p.text)
		all.WriteByte(0)
	}
	m.all = suffixarray.New(all.Bytes())
	return m
}

func (m *byteMatcher) find(output []byte) (finding, error) {
	tokens := text1.Tokens(output)
	f := finding{credited: make([]bool, len(tokens)), shares: make(map[string]float64)}
	total := 0.0
	for i := 0; i+leastBytes <= len(output); i++ {
		if m.all.Lookup(output[i:i+leastBytes], 1) == nil {
			continue
		}
		end := i + leastBytes
		for step := 1 << 12; step > 0; step /= 2 {
			for end+step <= len(output) && m.all.Lookup(output[i:end+step], 1) != nil {
				end += step
			}
		}
		at := slices.Min(m.all.Lookup(output[i:end], -1))
		c, found := slices.BinarySearch(m.starts, at)
		if !found {
			c--
		}
		f.shares[m.corpus[c].Account] += float64(end - i)
		total += float64(end - i)
		for k, t := range tokens {
			if i <= t.Start && t.End <= end {
				f.credited[k] = true
			}
		}
		i = end - 1
	}
	for account := range f.shares {
		f.shares[account] /= total
	}
	return f, nil
}

// unigrams is the naive method: every known word is credited, to each contributor by how much of all its
// occurrences is his.
type unigrams struct {
	*anthology
	counts map[string][]float64
}

func newUnigrams(a *anthology) *unigrams {
	u := &unigrams{anthology: a, counts: make(map[string][]float64)}
	for i, p := range a.poets {
		for _, t := range p.tokens {
			c := u.counts[t.Text]
			if c == nil {
				c = make([]float64, len(a.poets))
				u.counts[strings.Clone(t.Text)] = c
			}
			c[i]++
		}
	}
	return u
}

func (u *unigrams) find(output []byte) (finding, error) {
	list := words(output)
	f := finding{credited: make([]bool, len(list)), shares: make(map[string]float64)}
	total := 0.0
	for i, word := range list {
		counts := u.counts[word]
		if counts == nil {
			continue
		}
		f.credited[i] = true
		all := 0.0
		for _, c := range counts {
			all += c
		}
		information := u.information(word)
		for k, c := range counts {
			if c > 0 {
				f.shares[u.corpus[k].Account] += information * c / all
			}
		}
		total += information
	}
	for account := range f.shares {
		f.shares[account] /= total
	}
	return f, nil
}
