package streaming

import (
	"context"
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/datanet-consortium/datanet/attribution"
)

// matches is the first pass: it returns for each position of a text of numbers the longest run ending with
// it that occurs in the corpus.
func (s *stream) matches(ctx context.Context, text []uint32) ([]match, error) {
	a := newAutomaton(text)
	f := newFilter(len(a.starts))
	for run := range a.starts {
		f.add(run[:])
	}
	if len(a.starts) == 0 {
		return make([]match, len(text)), nil
	}
	seen := make([]sighting, len(a.states))
	var lock sync.Mutex
	var all [][]sighting
	// No match is longer than the text, so that many numbers before a window bring the automaton into the
	// state that it would have after the whole corpus before.
	err := s.scan(ctx, s.positions, int64(len(text)), 0, len(a.states)*int(unsafe.Sizeof(sighting{})), func() func(*window) {
		m := matcher{automaton: a, filter: f, seen: make([]sighting, len(a.states))}
		lock.Lock()
		all = append(all, m.seen)
		lock.Unlock()
		return m.visit
	})
	if err != nil {
		return nil, err
	}
	for _, worker := range all {
		for i := range seen {
			seen[i].join(worker[i])
		}
	}
	a.fold(seen)
	return a.longest(seen), nil
}

// A matcher follows the corpus through the automaton wherever at least minSpan tokens match.
type matcher struct {
	automaton *automaton
	filter    *filter
	seen      []sighting

	key           key
	state, length int32
}

func (m *matcher) visit(w *window) {
	m.key, m.state, m.length = 0, root, 0
	warm := 4 * (w.start - w.from)
	m.follow(w.data, 0, int(warm), w.from, false)
	m.follow(w.data, int(warm), len(w.data), w.from, true)
}

// follow reads the numbers at [next, end) bytes of data, which begins at a position, and notes what it sees.
func (m *matcher) follow(data []byte, next, end int, from int64, note bool) {
	for next < end {
		if m.length == 0 {
			next = m.search(data, next, end)
			if m.length == 0 {
				return
			}
		} else {
			number := binary.LittleEndian.Uint32(data[next:])
			next += 4
			m.key = m.key.then(number)
			m.state, m.length = m.automaton.step(m.state, m.length, number)
		}
		if note && m.length > 0 {
			m.seen[m.state].add(m.length, from+int64(next/4))
		}
	}
}

// search reads on until minSpan numbers match and returns where it stands then.
func (m *matcher) search(data []byte, next, end int) int {
	k := m.key
	for ; next < end; next += 4 {
		k = k.then(binary.LittleEndian.Uint32(data[next:]))
		if m.filter.has(k) && next >= 4*(minSpan-1) {
			var run [minSpan]uint32
			for i := range run {
				run[i] = binary.LittleEndian.Uint32(data[next-4*(minSpan-1-i):])
			}
			if s, ok := m.automaton.starts[run]; ok {
				m.key, m.state, m.length = k, s, minSpan
				return next + 4
			}
		}
	}
	m.key = k
	return next
}

// homes is the second pass: it returns for each node of a trie whose passage occurs before limit where it
// does first, limit for all others.
func (s *stream) homes(ctx context.Context, t *trie, f *filter, limit int64) ([]int64, error) {
	homes := make([]int64, len(t.leaf))
	for i := range homes {
		homes[i] = limit
	}
	var lock sync.Mutex
	var all [][]int64
	err := s.scan(ctx, limit, 0, attribution.LongestPassage-1, 8*len(t.leaf), func() func(*window) {
		found := make([]int64, len(t.leaf))
		lock.Lock()
		all = append(all, found)
		lock.Unlock()
		return func(w *window) { findPassages(w, t, f, found) }
	})
	if err != nil {
		return nil, err
	}
	for _, found := range all {
		for node, position := range found {
			if position > 0 {
				homes[node] = min(homes[node], position-1)
			}
		}
	}
	return homes, nil
}

// findPassages notes in found, for each node, the position after the first start of its passage in a window,
// unless one is noted already.
func findPassages(w *window, t *trie, f *filter, found []int64) {
	var k key
	for next := 0; next < len(w.data); next += 4 {
		k = k.then(binary.LittleEndian.Uint32(w.data[next:]))
		if !f.has(k) || next < 4*(minSpan-1) {
			continue
		}
		begin := next - 4*(minSpan-1)
		node, ok := t.find(func(i int) (uint32, bool) {
			if begin+4*i >= len(w.data) {
				return 0, false
			}
			return binary.LittleEndian.Uint32(w.data[begin+4*i:]), true
		})
		if ok && found[node] == 0 {
			found[node] = w.from + int64(begin/4) + 1
		}
	}
}
