package index

import (
	"iter"
	"sort"
)

// RecordEnd is what follows the last token of a record, in the place of an id. No token has it.
const RecordEnd = separator

// Next returns the id that follows the run of n tokens at a rank, RecordEnd where the record ends behind it.
func (g *Segment) Next(rank uint32, n int) uint32 {
	at := uint64(g.suffixes[rank]) + uint64(n)
	if at >= uint64(len(g.text)) {
		return RecordEnd // in a damaged segment only
	}
	return g.text[at]
}

// Following yields what follows a run of n tokens, at whose places it always stands: every id once, in ascending
// order and RecordEnd first, with the places of the run at which that id follows.
func (g *Segment) Following(places Range, n int) iter.Seq2[uint32, Range] {
	return func(yield func(uint32, Range) bool) {
		for start := places.Start; start < places.End; {
			id := g.Next(start, n)
			end := g.lastNext(Range{start, places.End}, n, id)
			if !yield(id, Range{start, end}) {
				return
			}
			start = end
		}
	}
}

// lastNext returns where in a range, whose first place an id follows, other ids begin to follow.
func (g *Segment) lastNext(places Range, n int, id uint32) uint32 {
	// Most ids follow a few times only, so the end is looked for in steps that double.
	last := places.Start
	for step := uint32(1); ; step *= 2 {
		if step >= places.End-last {
			if g.Next(places.End-1, n) == id {
				return places.End
			}
			return g.border(last, places.End-1, func(rank uint32) bool { return g.Next(rank, n) != id })
		}
		if g.Next(last+step, n) != id {
			return g.border(last, last+step, func(rank uint32) bool { return g.Next(rank, n) != id })
		}
		last += step
	}
}

// Narrow returns those of the places of a run of n tokens at which an id follows it.
func (g *Segment) Narrow(places Range, n int, id uint32) Range {
	count := places.Count()
	start := sort.Search(count, func(i int) bool { return g.Next(places.Start+uint32(i), n) >= id })
	length := sort.Search(count-start, func(i int) bool { return g.Next(places.Start+uint32(start+i), n) > id })
	return Range{places.Start + uint32(start), places.Start + uint32(start+length)}
}

// All returns the places of the run of no tokens: every token's.
func (g *Segment) All() Range { return Range{0, uint32(len(g.suffixes))} }

// Records is the number of records in the segment.
func (g *Segment) Records() int { return len(g.records) }

// Owner returns the number in the view of the contribution that holds a position.
func (g *Segment) Owner(position uint32) int {
	return g.base + sort.Search(len(g.contributions), func(i int) bool {
		c := g.contributions[i]
		return uint64(c.record) >= uint64(len(g.records)) || g.records[c.record] > position
	}) - 1
}

// Last is the number in the view of the segment's last contribution.
func (g *Segment) Last() int { return g.base + len(g.contributions) - 1 }

// Extent returns the positions [start, end) of a contribution of the view, borders of its records included. It is
// empty when the segment does not hold the contribution.
func (g *Segment) Extent(contribution int) (start, end uint32) {
	local := contribution - g.base
	if local < 0 || local >= len(g.contributions) {
		return 0, 0
	}
	first, last := g.recordsOf(local)
	return g.RecordStart(first), g.RecordStart(last)
}

// RecordStart returns the position at which a record of the segment begins, numbered from 0; behind the last one, the end
// of the text.
func (g *Segment) RecordStart(record int) uint32 {
	if record < len(g.records) {
		return g.records[record]
	}
	return uint32(len(g.text))
}
