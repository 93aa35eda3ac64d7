package infgram

import (
	"context"
	"fmt"
	"iter"
	"sort"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A Writer continues a text, token by token. It is for one goroutine.
//
// What it writes follows from the corpus, the model's options, the text, and the seed, by integers alone, so it is the
// same on every machine:
//
//  1. The context is the longest end of the text so far that stands in the corpus, MaxContext tokens at most.
//  2. Its N places are ordered by what follows them: the end of a record first, then tokens in the order in
//     which they first occur in the corpus. Places with the same symbol form a group. A number u below
//     (10 + Escape)·N is drawn. u < 10·N: place ⌊u/10⌋ is taken, and its symbol is what comes next, unless the place
//     is the first of its group and u mod 10 < Discount: then the context loses its first token, and this step is
//     repeated. u ≥ 10·N: if place ⌊(u − 10·N)/Escape⌋ is the first of its group, the context loses its first
//     token, and this step is repeated; else another u is drawn.
//  3. What comes next after the empty context lost is drawn below the number of symbols, the distinct tokens and 2: 0 is
//     the end of the record, the last one the unknown token, upon which all begins again at step 1.
//
// So the symbol x is written with the probability of [Chain], given that it is not the unknown one, and no draw
// depends on the number of distinct symbols behind a context, which would have to be counted.
type Writer struct {
	m       *Model
	text    []uint32
	longest int // of the text's ends that stand in the corpus
	draws   *draws
	ended   bool
}

// Continue returns a writer that goes on after a text. Its tokens are those of one record; the model knows none
// before them. For the token after a text, and no more, call Next once.
func (m *Model) Continue(text []byte, seed uint64) *Writer {
	w := &Writer{m: m, text: m.symbols(text), draws: newDraws(seed)}
	w.longest = m.longest(w.text, 0, len(w.text))
	return w
}

// symbols are those of a text's tokens.
func (m *Model) symbols(text []byte) []uint32 {
	var list []uint32
	var token []byte
	for s := text1.NewScanner(text); s.Next(); {
		token = index.AppendToken(token[:0], s.Runes())
		list = append(list, m.lookUp(index.Token{Text: token, Hash: index.Hash(token)}))
	}
	return list
}

// Next writes one token and returns it, in canonical form. ok is false when the record has ended instead; then it has
// ended for good.
func (w *Writer) Next() (token string, ok bool) {
	if w.ended {
		return "", false
	}
	symbol, context := w.m.draw(w.text, w.longest, w.draws)
	if symbol == end {
		w.ended = true
		return "", false
	}
	w.text = append(w.text, symbol)
	known := context + 1
	if w.m.options.MaxContext > 0 {
		known = min(known, w.m.options.MaxContext)
	}
	w.longest = w.m.longest(w.text, known, w.longest)
	return w.m.token(symbol), true
}

// draw draws what comes after a text and returns how long the context was that it was drawn from.
func (m *Model) draw(text []uint32, longest int, d *draws) (symbol uint32, context int) {
	discount, escape := uint64(m.options.Interpolation.Discount), uint64(m.options.Interpolation.Escape)
	for {
		for length := longest; length >= 0; length-- {
			run := text[len(text)-length:]
			p := m.places(run)
			if symbol, ok := m.pick(run, p, discount, escape, d); ok {
				return symbol, length
			}
		}
		u := d.below(m.distinct + 2)
		if u <= m.distinct {
			return uint32(u), 0
		}
	}
}

// pick is step 2 for one context: it reports whether it came to a symbol.
func (m *Model) pick(context []uint32, p places, discount, escape uint64, d *draws) (symbol uint32, ok bool) {
	if p.n == 0 {
		return 0, false // only an empty corpus
	}
	for {
		u := d.below((tenths + escape) * p.n)
		if u < tenths*p.n {
			symbol, first := m.at(context, p, u/tenths)
			return symbol, !first || u%tenths >= discount
		}
		if _, first := m.at(context, p, (u-tenths*p.n)/escape); first {
			return 0, false
		}
	}
}

// at returns the symbol at a place, counted in the order of what follows, and whether the place is the first of those
// with this symbol.
func (m *Model) at(context []uint32, p places, place uint64) (symbol uint32, first bool) {
	switch {
	case len(m.parts) == 1:
		g := m.parts[0]
		if p.length == 0 {
			if place < uint64(g.Records()) {
				return end, place == 0
			}
			place -= uint64(g.Records())
		}
		rank := p.ranges[0].Start + uint32(place)
		symbol = g.Next(rank, p.length)
		return symbol, place == 0 || g.Next(rank-1, p.length) != symbol
	case p.length == 0:
		i := sort.Search(len(m.before)-1, func(i int) bool { return m.before[i+1] > place })
		return uint32(i), m.before[i] == place
	default:
		list := m.follows(context, p)
		i := sort.Search(len(list), func(i int) bool { return list[i].upTo > place })
		return list[i].symbol, place == 0 || i > 0 && list[i-1].upTo == place
	}
}

// Generation says how much is to be written.
type Generation struct {
	// Tokens is the most that are written.
	Tokens int
	// Seed decides over the draws.
	Seed uint64
}

// Generate continues a text until its record ends, so many tokens are written, the caller stops, or ctx ends; only
// then there is an error, and it is the last thing that is yielded. The text that was written is the tokens, joined
// by spaces: its canonical tokens are those that were yielded.
func (m *Model) Generate(ctx context.Context, text []byte, g Generation) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		w := m.Continue(text, g.Seed)
		for range g.Tokens {
			if err := context.Cause(ctx); err != nil {
				yield("", fmt.Errorf("generate: %w", err))
				return
			}
			token, ok := w.Next()
			if !ok || !yield(token, nil) {
				return
			}
		}
	}
}
