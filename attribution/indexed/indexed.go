// Package indexed computes the receipt of an answer from an index of the corpus (docs/attribution.md). It is the
// engine that hosts use: a receipt takes well under a millisecond whatever the size of the corpus.
//
// The spans that can be kept carry at least the threshold's information, and all their 3-grams occur in the
// corpus. So from each start of a span the least end that suffices is known, and the suffixes are only searched
// where the index's filter has every 3-gram up to there. The next maximal span reaches beyond the last one,
// which moves that end along.
package indexed

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

// An Engine makes receipts over one corpus. It may be used concurrently, as long as its view is open.
type Engine struct {
	corpus *index.View
	n, v   uint64
	whole  uint64          // L(N+V)
	known  [1 << 15]uint64 // info(t) by count(t), for small counts
	pool   sync.Pool
}

// New returns the engine of a corpus.
func New(corpus *index.View) *Engine {
	e := &Engine{corpus: corpus}
	e.n, e.v = corpus.Size()
	e.whole = attribution.Log(e.n + e.v)
	for count := range min(uint64(len(e.known)), e.n+1) {
		e.known[count] = e.compute(count)
	}
	e.pool.New = func() any { return new(scratch) }
	return e
}

// Size returns N and V of section 2: the number of tokens in the corpus, and that of its distinct ones plus one.
func (e *Engine) Size() (n, v uint64) { return e.n, e.v }

// information is info(t) of section 3 for a token that occurs count times.
func (e *Engine) information(count uint64) uint64 {
	if count < uint64(len(e.known)) {
		return e.known[count]
	}
	return e.compute(count)
}

func (e *Engine) compute(count uint64) uint64 {
	// No count is larger than N, so the logarithm of one more is not larger than that of N+V.
	return min(attribution.MaxInformation, e.whole-attribution.Log(count+1))
}

// A Trace is the part of a receipt that follows from the texts alone.
type Trace struct {
	// Tokens is the number of the output's tokens.
	Tokens      uint32
	CoveragePPM uint32
	Spans       []receipt.Span
	Shares      []receipt.Share
}

// Receipt computes the receipt of an answer. It fails when something does not fit in a receipt.
func (e *Engine) Receipt(a attribution.Answer) (*receipt.Receipt, error) {
	r := &receipt.Receipt{
		Roots: receipt.Roots(a.Roots),
		N:     e.n, V: e.v,
		Model: a.Model, Artifact: a.Artifact,
		Output: attribution.CommitOutput(a.Nonces.Output, a.Output),
		Tau:    a.Tau,
	}
	var err error
	if r.Prompt, err = attribution.CommitPrompt(a.Nonces.Prompt, a.Prompt); err != nil {
		return nil, err
	}
	if r.Context, err = attribution.CommitContext(a.Nonces.Context, a.Context); err != nil {
		return nil, err
	}
	t, err := e.Trace(a.Output, a.Prompt, a.Tau)
	if err != nil {
		return nil, err
	}
	r.OutputBytes, r.OutputTokens = uint32(len(a.Output)), t.Tokens
	r.Spans, r.Shares, r.CoveragePPM = t.Spans, t.Shares, t.CoveragePPM
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r, nil
}

// Trace finds the credited spans of an output, to whom they belong and what shares follow (sections 4 and 5). It
// fails when the output's bytes do not fit in 32 bits.
func (e *Engine) Trace(output []byte, prompt [][]byte, tau uint8) (Trace, error) {
	if uint64(len(output)) > math.MaxUint32 {
		return Trace{}, fmt.Errorf("trace an output: its %d bytes do not fit in 32 bits", len(output))
	}
	s := e.pool.Get().(*scratch)
	defer e.pool.Put(s)
	s.read(output)
	t := Trace{Tokens: uint32(len(s.tokens))}
	if e.n == 0 || len(s.tokens) == 0 {
		return t, nil
	}
	s.lookUp(e.corpus)
	s.weigh(e, prompt)
	s.threshold(attribution.Log(e.n) + attribution.Log(uint64(len(s.tokens))) + uint64(tau)*attribution.Bit)
	s.search(e.corpus)
	s.belong()
	credit := s.pay(e.corpus)
	t.Spans = append([]receipt.Span(nil), s.paid...)
	t.Shares = receipt.Shares(t.Spans)
	t.CoveragePPM = ppm(credit, s.sums[len(s.tokens)])
	return t, nil
}

// ppm is ⌊part·10⁶ / all⌋, 0 when all is 0. part is at most all.
func ppm(part, all uint64) uint32 {
	if all == 0 {
		return 0
	}
	hi, lo := bits.Mul64(part, 1_000_000)
	quotient, _ := bits.Div64(hi, lo, all)
	return uint32(quotient)
}

// A span is a passage of the output that occurs in the corpus and may be credited; positions count tokens.
type span struct {
	start, end int
	sum        uint64 // S
	from, to   int    // the tokens that belong to it lie in [from, to)
	credit     uint64
}

// belong is step 4 of section 4: each covered token belongs to the covering span with the largest S, of equal
// ones to the leftmost. Spans start and end in the same order, so those that cover a token are neighbours.
func (s *scratch) belong() {
	s.owner = slices.Grow(s.owner[:0], len(s.tokens))[:len(s.tokens)]
	queue := s.queue[:0] // covering spans whose S is larger than that of all that start later
	next := 0
	for i := range s.tokens {
		for len(queue) > 0 && s.spans[queue[0]].end <= i {
			queue = queue[1:]
		}
		for ; next < len(s.spans) && s.spans[next].start <= i; next++ {
			for len(queue) > 0 && s.spans[queue[len(queue)-1]].sum < s.spans[next].sum {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, next)
		}
		s.owner[i] = -1
		if len(queue) > 0 {
			owner := &s.spans[queue[0]]
			s.owner[i] = queue[0]
			owner.credit += s.weight[i]
			if owner.to == 0 {
				owner.from = i
			}
			owner.to = i + 1
		}
	}
}

// pay is step 1 of section 5: every token that belongs to a span is paid, with its w, to the origin of the
// corresponding token at the span's home. It leaves the credited spans in s.paid and returns the sum of credits.
func (s *scratch) pay(corpus *index.View) uint64 {
	s.paid = s.paid[:0]
	total := uint64(0)
	for k := range s.spans {
		v := &s.spans[k]
		if v.credit == 0 {
			continue
		}
		total += v.credit
		occurrences := uint64(0)
		var home *index.Segment
		var position uint32
		for i, g := range corpus.Segments() {
			places := g.Places(s.ids[i][v.start:v.end])
			if places.Count() == 0 {
				continue
			}
			if home == nil {
				home, position = g, g.First(places)
			}
			occurrences += uint64(places.Count())
		}
		s.origins = corpus.Origins(s.origins[:0], home, position+uint32(v.from-v.start), position+uint32(v.to-v.start))
		clear(s.credits)
		for i := v.from; i < v.to; i++ {
			if s.owner[i] == k && s.weight[i] > 0 {
				_, account := corpus.Contribution(s.origins[i-v.from])
				s.credits[account] += s.weight[i]
			}
		}
		place := home.Place(position)
		id, _ := corpus.Contribution(place.Contribution)
		s.paid = append(s.paid, receipt.Span{
			Start: uint32(v.start), End: uint32(v.end),
			ByteStart: s.tokens[v.start].start, ByteEnd: s.tokens[v.end-1].end,
			Information: v.sum, Credit: v.credit, Occurrences: occurrences,
			Home:   receipt.Home{Contribution: id, Record: uint32(place.Record), Token: uint32(place.Token)},
			Payees: payees(s.credits),
		})
	}
	return total
}

// payees lists accounts and their credits, bytewise ascending.
func payees(credits map[string]uint64) []receipt.Payee {
	list := make([]receipt.Payee, 0, len(credits))
	for account, c := range credits {
		list = append(list, receipt.Payee{Account: account, Credit: c})
	}
	slices.SortFunc(list, func(a, b receipt.Payee) int { return strings.Compare(a.Account, b.Account) })
	return list
}
