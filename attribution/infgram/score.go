package infgram

import (
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A Passage is a text whose probability is asked for.
type Passage struct {
	// Before is the text of the same record before it, nothing at the beginning of a record.
	Before []byte
	Text   []byte
	// Ends is whether the record ends behind it, which has a probability too.
	Ends bool
}

// symbols returns those of the whole record, and which of them is the first that is asked for.
func (m *Model) passage(p Passage) (list []uint32, from int) {
	list = m.symbols(p.Before)
	from = len(list)
	list = append(list, m.symbols(p.Text)...)
	if p.Ends {
		list = append(list, end)
	}
	return list, from
}

// EachChain calls visit with what the probability of each symbol of a passage follows from, in order, had the model
// been trained on the contributions of each of the subsets; on all when there is none given. The chain is valid during
// the call. It fails with the cause of ctx when that ends.
//
// The subsets' chains are exactly those of models that are trained on an index of only these contributions.
func (m *Model) EachChain(ctx context.Context, p Passage, subsets []Subset, visit func(symbol, subset int, chain Chain)) error {
	if len(subsets) == 0 {
		subsets = []Subset{{}}
	}
	list, from := m.passage(p)
	longest := m.longest(list[:from], 0, from)
	w := walks{subsets: subsets, each: make([]walk, len(subsets)), distinct: make(map[*spread][]uint64)}
	for i := from; i < len(list); i++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if i > from {
			longest = m.longest(list[:i], 0, longest)
		}
		m.chains(list[:i], longest, list[i], w)
		for k := range w.each {
			visit(i-from, k, w.each[k].Chain)
		}
	}
	return nil
}

// walks are the chains of subsets in the making.
type walks struct {
	subsets []Subset
	each    []walk
	// distinct holds T by subset, for the contexts whose spreads are kept.
	distinct map[*spread][]uint64
}

type walk struct {
	Chain
	gone bool // the context does not stand in the subset's texts, so no longer one does
}

// chains computes the chains of a symbol after a text.
func (m *Model) chains(text []uint32, longest int, symbol uint32, w walks) {
	for k := range w.each {
		w.each[k] = walk{Chain: Chain{Symbols: m.distinct + 2, Levels: w.each[k].Levels[:0]}}
	}
	var p places
	for length := range longest + 1 {
		context := text[len(text)-length:]
		before := p.n
		// A single place remains one: what follows it is the same behind every longer context.
		if length < 2 || before > 1 {
			p = m.places(context)
		}
		same := length > 1 && p.n == before
		level := m.levels(context, p, symbol, w)
		for k := range w.each {
			v := &w.each[k]
			switch {
			case v.gone:
				continue
			case same:
				v.Levels = append(v.Levels, v.Levels[len(v.Levels)-1])
				continue
			}
			l := level(k)
			if length == 0 {
				// The end of a record is a symbol also where there is none.
				v.Symbols = max(l.T, 1) + 1
			}
			if v.gone = l.N == 0; !v.gone {
				v.Levels = append(v.Levels, l)
			}
		}
	}
}

// levels returns what tells the level of each subset after one context.
func (m *Model) levels(context []uint32, p places, symbol uint32, w walks) func(subset int) Level {
	var s *spread
	var after owners
	var distinct []uint64
	return func(k int) Level {
		subset := w.subsets[k]
		if subset.all() {
			return Level{N: p.n, T: m.distinctAfter(context, p), C: m.count(p, symbol)}
		}
		if s == nil {
			s, after = m.spread(context, p), m.ownersAfter(context, p, symbol)
			if distinct = w.distinct[s]; distinct == nil {
				for _, subset := range w.subsets {
					distinct = append(distinct, s.distinct(subset))
				}
				if p.n >= costly {
					w.distinct[s] = distinct
				}
			}
		}
		return Level{N: s.places.in(subset), T: distinct[k], C: after.in(subset)}
	}
}

// A Score is how well a model predicts a passage.
type Score struct {
	// Bits is what the passage takes in an ideal code by the model: −log₂ of its probability. An unknown token takes
	// what the model gives to being unknown, and nothing for its letters.
	Bits   float64      `json:"bits"`
	Tokens []TokenScore `json:"tokens"`
	// Bytes is the size of the passage's text.
	Bytes int `json:"bytes"`
}

// A TokenScore is that of one token.
type TokenScore struct {
	// Start and End bound the token in the text, in bytes; both are the text's length at the end of the record.
	Start int `json:"start"`
	End   int `json:"end"`
	// Log2 is the logarithm of its probability to the base 2.
	Log2 float64 `json:"log2"`
	// Context is the length of the longest context that stands in the corpus, in tokens.
	Context int `json:"context"`
	// Known is whether the corpus has the token.
	Known bool `json:"known"`
}

// BitsPerByte is the bits divided by the bytes of the raw text, 0 of no text.
func (s Score) BitsPerByte() float64 {
	if s.Bytes == 0 {
		return 0
	}
	return s.Bits / float64(s.Bytes)
}

// Score returns the probability of a passage had the model been trained on the contributions of a subset.
func (m *Model) Score(ctx context.Context, p Passage, subset Subset) (Score, error) {
	score := Score{Bytes: len(p.Text)}
	for _, t := range text1.Tokens(p.Text) {
		score.Tokens = append(score.Tokens, TokenScore{Start: t.Start, End: t.End})
	}
	if p.Ends {
		score.Tokens = append(score.Tokens, TokenScore{Start: len(p.Text), End: len(p.Text)})
	}
	err := m.EachChain(ctx, p, []Subset{subset}, func(symbol, _ int, chain Chain) {
		t := &score.Tokens[symbol]
		t.Log2 = chain.Log2(m.options.Interpolation)
		t.Context = max(0, len(chain.Levels)-1)
		t.Known = len(chain.Levels) > 0 && chain.Levels[0].C > 0
		score.Bits -= t.Log2
	})
	if err != nil {
		return Score{}, fmt.Errorf("score a text: %w", err)
	}
	return score, nil
}

// A Counterfactual is what the model would give a passage without the contributions of one account.
type Counterfactual struct {
	Account string `json:"account"`
	// Bits is −log₂ of the passage's probability without the account.
	Bits float64 `json:"bits"`
	// Gain is by how many bits the account's contributions make the passage more probable; less than 0 when they
	// make it less probable.
	Gain float64 `json:"gain"`
}

// LeaveOneOut returns the bits of a passage by the whole model, and by the model without each of the accounts, in
// their order.
func (m *Model) LeaveOneOut(ctx context.Context, p Passage) (bits float64, each []Counterfactual, err error) {
	subsets := make([]Subset, 1, 1+len(m.accounts))
	for account, name := range m.accounts {
		subsets = append(subsets, Subset{accounts: []int32{int32(account)}})
		each = append(each, Counterfactual{Account: name})
	}
	err = m.EachChain(ctx, p, subsets, func(_, subset int, chain Chain) {
		b := -chain.Log2(m.options.Interpolation)
		if subset == 0 {
			bits += b
		} else {
			each[subset-1].Bits += b
		}
	})
	if err != nil {
		return 0, nil, fmt.Errorf("leave one out: %w", err)
	}
	for i := range each {
		each[i].Gain = each[i].Bits - bits
	}
	return bits, each, nil
}
