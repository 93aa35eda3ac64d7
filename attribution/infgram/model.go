// Package infgram is the built-in language model: an ∞-gram model (Liu et al., arXiv 2401.17377) with interpolation
// over the lengths of its contexts, on the same index that receipts are made from. It is trained when the index is
// built. It is honest and small, and no LLM: it knows which tokens followed which, and much of what it writes is
// quotation. What it is for is that everything it does follows from counts, so that what a contributor's data does
// to an answer can be told exactly: [Model.Score] gives the probability of a text as it would be had the model
// been trained on any part of the contributors.
//
// Life of a token: the context so far is cut to its longest end that stands in the corpus; a place where it stands is
// drawn, and what follows there is the token, unless the draw says to go on with a context one token shorter.
package infgram

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/datanet-consortium/datanet/attribution/index"
)

// Options are the settings of a model. The zero value is the ∞-gram model with WittenBell.
type Options struct {
	// MaxContext is how many tokens before a token decide over it at most; 0 is any number. A model without a limit
	// quotes to the end once it has begun.
	MaxContext int
	// Interpolation is WittenBell when it is zero.
	Interpolation Interpolation
}

// A Model is a language model over the corpus of a view. It never changes and may be used concurrently, while the view
// is open.
//
// A symbol is a canonical token of the corpus, numbered from 1 in the order in which tokens first occur there, or
// the end of a record. Nothing depends on how the corpus is segmented, but a model over several segments is slower:
// merge them.
type Model struct {
	corpus  *index.View
	options Options
	parts   []part

	n        uint64   // tokens and ends of records
	distinct uint64   // tokens
	before   []uint64 // of several segments: how many places have a smaller symbol

	accounts []string // bytewise ascending
	owner    []int32  // the account of each contribution

	followers    cache[uint64]   // T by context
	spreads      cache[*spread]  // by context
	groups       cache[[]follow] // by context, of several segments
	holders      cache[owners]   // by context
	whole        func() *spread  // of the empty context
	recordOwners func() owners
}

// A part is a segment and how its ids and the model's symbols translate; both are the same in the only segment.
type part struct {
	*index.Segment
	symbols []uint32 // by id
	ids     []uint32 // by symbol, index.Unknown where the segment lacks it
}

// end is the symbol of a record's end.
const end = index.RecordEnd

// New returns the model of a corpus. It takes the time to list the contributions, and that to compare the segments'
// vocabularies where there are several.
func New(ctx context.Context, corpus *index.View, options Options) (*Model, error) {
	if options.Interpolation == (Interpolation{}) {
		options.Interpolation = WittenBell
	}
	if options.MaxContext < 0 || !options.Interpolation.valid() {
		return nil, fmt.Errorf("model: %d tokens of context and an interpolation of %+v are out of range", options.MaxContext, options.Interpolation)
	}
	m := &Model{corpus: corpus, options: options}
	_, v := corpus.Size()
	m.distinct = v - 1
	for _, g := range corpus.Segments() {
		m.parts = append(m.parts, part{Segment: g})
		m.n += uint64(g.Tokens()) + uint64(g.Records())
	}
	if len(m.parts) > 1 {
		if err := m.number(ctx); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
	}
	for c := range corpus.Contributions() {
		_, account := corpus.Contribution(c)
		m.accounts = append(m.accounts, account)
	}
	slices.Sort(m.accounts)
	m.accounts = slices.Compact(m.accounts)
	for c := range corpus.Contributions() {
		_, account := corpus.Contribution(c)
		i, _ := slices.BinarySearch(m.accounts, account)
		m.owner = append(m.owner, int32(i))
	}
	m.whole, m.recordOwners = sync.OnceValue(m.spreadOfAll), sync.OnceValue(m.endOwners)
	return m, nil
}

// number gives one symbol to equal tokens of several segments.
func (m *Model) number(ctx context.Context) error {
	counts := []uint64{0}
	for k, p := range m.parts {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p.symbols = make([]uint32, p.Size())
		counts[end] += uint64(p.Records())
		for id := uint32(1); id < uint32(p.Size()); id++ {
			token := p.Token(id)
			symbol := uint32(0)
			for _, earlier := range m.parts[:k] {
				if other := earlier.ID(token); other != index.Unknown {
					symbol = earlier.symbols[other]
					break
				}
			}
			if symbol == 0 {
				symbol = uint32(len(counts))
				counts = append(counts, 0)
			}
			counts[symbol] += uint64(p.Count(id))
			p.symbols[id] = symbol
		}
		m.parts[k].symbols = p.symbols
	}
	if uint64(len(counts))-1 != m.distinct {
		return errors.New("the corpus and its segments do not agree on the number of distinct tokens; build the index again")
	}
	for k, p := range m.parts {
		ids := slices.Repeat([]uint32{index.Unknown}, len(counts))
		for id := uint32(1); id < uint32(p.Size()); id++ {
			ids[p.symbols[id]] = id
		}
		m.parts[k].ids = ids
	}
	m.before = append(m.before, 0)
	for _, c := range counts {
		m.before = append(m.before, m.before[len(m.before)-1]+c)
	}
	return nil
}

// symbol is that of a part's id, RecordEnd included.
func (p part) symbol(id uint32) uint32 {
	if p.symbols == nil || id == end {
		return id
	}
	return p.symbols[id]
}

// id is that of a symbol that is not the end of a record.
func (p part) id(symbol uint32) uint32 {
	if p.ids == nil || symbol == index.Unknown {
		return symbol
	}
	return p.ids[symbol]
}

// lookUp returns the symbol of a token, index.Unknown when the corpus lacks it.
func (m *Model) lookUp(t index.Token) uint32 {
	for _, p := range m.parts {
		if id := p.ID(t); id != index.Unknown {
			return p.symbol(id)
		}
	}
	return index.Unknown
}

// token is what a symbol of a token stands for.
func (m *Model) token(symbol uint32) string {
	for _, p := range m.parts {
		if id := p.id(symbol); id != index.Unknown {
			return string(p.Token(id).Text)
		}
	}
	return ""
}

// Accounts are those whose contributions the corpus holds, bytewise ascending.
func (m *Model) Accounts() []string { return slices.Clone(m.accounts) }

// places are those of a context, for each part.
type places struct {
	length int
	n      uint64 // over all parts; of the empty context also the ends of records
	ranges []index.Range
}

// places returns where a context stands.
func (m *Model) places(context []uint32) places {
	p := places{length: len(context), ranges: make([]index.Range, len(m.parts))}
	if len(context) == 0 {
		p.n = m.n
		for i, part := range m.parts {
			p.ranges[i] = part.All()
		}
		return p
	}
	var ids []uint32
	for i, part := range m.parts {
		run := context
		if part.ids != nil {
			ids = ids[:0]
			for _, symbol := range context {
				ids = append(ids, part.id(symbol))
			}
			run = ids
		}
		if last := len(run) - 3; last >= 0 && (slices.Contains(run, index.Unknown) || !part.MayHold(run[last], run[last+1], run[last+2])) {
			continue
		}
		p.ranges[i] = part.Places(run)
		p.n += uint64(p.ranges[i].Count())
	}
	return p
}

// longest returns the length of the longest end of a context that stands in the corpus. It is at least known, which
// may be a guess too low, and at most likely plus one, where likely is that of the context without its last token.
func (m *Model) longest(context []uint32, known, likely int) int {
	limit := min(len(context), likely+1)
	if m.options.MaxContext > 0 {
		limit = min(limit, m.options.MaxContext)
	}
	occurs := func(length int) bool { return m.places(context[len(context)-length:]).n > 0 }
	if limit <= known || occurs(limit) {
		return limit
	}
	// Ends of what occurs occur too. Most are short, so the first that does not is looked for in steps that double.
	lo, hi := known, limit
	for step := 1; lo+step < hi; step *= 2 {
		if !occurs(lo + step) {
			hi = lo + step
			break
		}
		lo += step
	}
	return lo + sort.Search(hi-lo-1, func(i int) bool { return !occurs(lo + 1 + i) })
}

// narrow returns the places of a context that is not empty at which a symbol follows.
func (m *Model) narrow(p places, symbol uint32) places {
	narrow := places{length: p.length + 1, ranges: make([]index.Range, len(m.parts))}
	for i, part := range m.parts {
		id := uint32(end)
		if symbol != end {
			if id = part.id(symbol); id == index.Unknown {
				continue
			}
		}
		narrow.ranges[i] = part.Narrow(p.ranges[i], p.length, id)
		narrow.n += uint64(narrow.ranges[i].Count())
	}
	return narrow
}

// count is how often a symbol follows a context.
func (m *Model) count(p places, symbol uint32) uint64 {
	switch {
	case symbol == index.Unknown:
		return 0
	case p.length > 0:
		return m.narrow(p, symbol).n
	}
	total := uint64(0)
	for _, part := range m.parts {
		if symbol == end {
			total += uint64(part.Records())
		} else {
			total += uint64(part.Count(part.id(symbol)))
		}
	}
	return total
}

// distinctAfter is how many distinct symbols follow a context.
func (m *Model) distinctAfter(context []uint32, p places) uint64 {
	if p.length == 0 {
		if m.n == 0 {
			return 0
		}
		return m.distinct + 1
	}
	return m.followers.get(context, p.n, func() uint64 {
		if len(m.parts) > 1 {
			return uint64(len(m.follows(context, p)))
		}
		count := uint64(0)
		for range m.parts[0].Following(p.ranges[0], p.length) {
			count++
		}
		return count
	}, func(uint64) int { return 0 })
}

// A follow is a symbol and how often it follows a context, or a smaller symbol does.
type follow struct {
	symbol uint32
	upTo   uint64 // places at which it or a smaller symbol follows
}

// follows lists what follows a context that is not empty, by symbol.
func (m *Model) follows(context []uint32, p places) []follow {
	return m.groups.get(context, p.n, func() []follow {
		var list []follow
		for i, part := range m.parts {
			for id, where := range part.Following(p.ranges[i], p.length) {
				list = append(list, follow{part.symbol(id), uint64(where.Count())})
			}
		}
		slices.SortFunc(list, func(a, b follow) int { return int(int64(a.symbol) - int64(b.symbol)) })
		merged, total := list[:0], uint64(0)
		for _, f := range list {
			total += f.upTo
			if last := len(merged) - 1; last >= 0 && merged[last].symbol == f.symbol {
				merged[last].upTo = total
			} else {
				merged = append(merged, follow{f.symbol, total})
			}
		}
		return merged
	}, func(list []follow) int { return len(list) })
}
