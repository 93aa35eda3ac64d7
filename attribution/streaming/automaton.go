package streaming

import "slices"

// An automaton is the suffix automaton of a text of numbers: every run of them that occurs in the text leads
// from the root to one state, runs that end at the same positions of the text to the same state. Fed with
// a corpus token by token, it knows at each the longest run ending there that the text has too, in time
// linear in the corpus whatever it and the text look like.
type automaton struct {
	states []state
	edges  map[edge]int32 // but for each state's first
	starts map[[minSpan]uint32]int32
	ends   []int32 // of every prefix of the text, its state
}

// The runs that lead to a state have all lengths above its link's, up to length.
type state struct {
	link, length int32
	symbol       uint32 // of the first edge, which leads to next; 0 stands for no edge
	next         int32
	others       []uint32 // symbols of the other edges
}

type edge struct {
	from   int32
	symbol uint32
}

const root = 0

func newAutomaton(text []uint32) *automaton {
	a := &automaton{
		states: append(make([]state, 0, 2*len(text)+1), state{link: -1}),
		edges:  make(map[edge]int32),
		starts: make(map[[minSpan]uint32]int32, len(text)),
		ends:   make([]int32, len(text)),
	}
	last := int32(root)
	for i, symbol := range text {
		last = a.extend(last, symbol)
		a.ends[i] = last
	}
	for i := 0; i+minSpan <= len(text); i++ {
		run := [minSpan]uint32(text[i:])
		if slices.Contains(run[:], absent) {
			continue
		}
		s := int32(root)
		for _, symbol := range run {
			s = a.target(s, symbol)
		}
		a.starts[run] = s
	}
	return a
}

// extend appends a symbol to the text, whose state is last, and returns the new text's state.
func (a *automaton) extend(last int32, symbol uint32) int32 {
	added := a.add(state{length: a.states[last].length + 1})
	s := last
	for ; s >= 0 && a.target(s, symbol) == root; s = a.states[s].link {
		a.lead(s, symbol, added)
	}
	if s < 0 {
		a.states[added].link = root
		return added
	}
	met := a.target(s, symbol)
	if a.states[met].length == a.states[s].length+1 {
		a.states[added].link = met
		return added
	}
	clone := a.add(state{link: a.states[met].link, length: a.states[s].length + 1})
	a.lead(clone, a.states[met].symbol, a.states[met].next)
	for _, other := range a.states[met].others {
		a.lead(clone, other, a.edges[edge{met, other}])
	}
	for ; s >= 0 && a.target(s, symbol) == met; s = a.states[s].link {
		a.lead(s, symbol, clone)
	}
	a.states[met].link, a.states[added].link = clone, clone
	return added
}

func (a *automaton) add(s state) int32 {
	a.states = append(a.states, s)
	return int32(len(a.states) - 1)
}

// target returns where a symbol leads, root when nowhere.
func (a *automaton) target(s int32, symbol uint32) int32 {
	from := &a.states[s]
	if from.symbol == symbol {
		return from.next
	}
	if len(from.others) == 0 {
		return root
	}
	return a.edges[edge{s, symbol}]
}

// lead sets the edge of a symbol; symbol 0, which a state without edges has for its first, leads nowhere.
func (a *automaton) lead(s int32, symbol uint32, to int32) {
	if symbol == 0 {
		return
	}
	from := &a.states[s]
	switch {
	case from.symbol == symbol:
		from.next = to
		return
	case from.symbol == 0:
		from.symbol, from.next = symbol, to
		return
	}
	key := edge{s, symbol}
	if _, known := a.edges[key]; !known {
		from.others = append(from.others, symbol)
	}
	a.edges[key] = to
}

// step follows the corpus by one token, from a state and the length of the longest run that the text has
// too. When that becomes shorter than minSpan it returns root.
func (a *automaton) step(s, length int32, symbol uint32) (next, longest int32) {
	for length >= minSpan-1 {
		if to := a.target(s, symbol); to != root {
			return to, length + 1
		}
		s = a.states[s].link
		if s < 0 {
			break
		}
		length = a.states[s].length
	}
	return root, 0
}

// A sighting is how one state's runs occur in the corpus.
type sighting struct {
	all   uint64 // positions at which the longest run that the text has too is one of them
	first int64  // the first of these positions

	longest      int32 // length of the longest of these runs
	longestCount uint64
	longestFirst int64
}

func (v *sighting) add(length int32, end int64) {
	if v.all == 0 {
		v.first = end
	}
	v.all++
	v.merge(length, 1, end)
}

// merge adds count occurrences of a run of a length, the first of them at a position.
func (v *sighting) merge(length int32, count uint64, first int64) {
	switch {
	case count == 0:
	case length > v.longest:
		v.longest, v.longestCount, v.longestFirst = length, count, first
	case length == v.longest:
		v.longestCount += count
		v.longestFirst = min(v.longestFirst, first)
	}
}

func (v *sighting) join(other sighting) {
	if other.all == 0 {
		return
	}
	if v.all == 0 || other.first < v.first {
		v.first = other.first
	}
	v.all += other.all
	v.merge(other.longest, other.longestCount, other.longestFirst)
}

// fold passes what was seen of the states on to their links: where a run occurs, its ends occur too.
// Afterwards longest, longestCount and longestFirst of a state are right for the longest of its runs that
// occurs in the corpus, if it has at least minSpan tokens.
func (a *automaton) fold(seen []sighting) {
	order := make([]int32, len(a.states))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return int(a.states[y].length) - int(a.states[x].length) })
	for _, s := range order {
		link := a.states[s].link
		if link <= root || seen[s].all == 0 {
			continue
		}
		to := &seen[link]
		if to.all == 0 || seen[s].first < to.first {
			to.first = seen[s].first
		}
		to.all += seen[s].all
		to.merge(a.states[link].length, seen[s].all, seen[s].first)
	}
}

// A match is a run of the text that ends at one position of it, as it occurs in the corpus.
type match struct {
	length      int32
	occurrences uint64
	end         int64 // of the first occurrence, the position after its last token
}

// longest returns for each position of the text the longest run ending with it that occurs in the corpus,
// length 0 when it has fewer than minSpan tokens. seen has been folded.
func (a *automaton) longest(seen []sighting) []match {
	matches := make([]match, len(a.ends))
	for i, s := range a.ends {
		for s > root && seen[s].all == 0 {
			s = a.states[s].link
		}
		if s > root && seen[s].longest >= minSpan {
			matches[i] = match{seen[s].longest, seen[s].longestCount, seen[s].longestFirst}
		}
	}
	return matches
}
