package index

import (
	"context"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
)

// A View is a corpus: the contributions of its segments, in order. It never changes and may be read
// concurrently.
type View struct {
	segments []*Segment
	n, v     uint64
	release  func() error
}

// Size returns N and V of the definition: the corpus' tokens, and its distinct ones plus one.
func (v *View) Size() (n, distinct uint64) { return v.n, v.v }

// Segments are the parts of the corpus, in order. What a question about the corpus comes to in each of them is
// added, or the larger or earlier taken; it does not depend on where one segment ends and the next begins.
func (v *View) Segments() []*Segment { return v.segments }

// Contributions is the number of contributions.
func (v *View) Contributions() int {
	if len(v.segments) == 0 {
		return 0
	}
	last := v.segments[len(v.segments)-1]
	return last.base + len(last.contributions)
}

// Contribution returns the id and the account of a contribution, numbered from 0.
func (v *View) Contribution(number int) (id, account string) {
	for _, g := range v.segments {
		if number < g.base+len(g.contributions) {
			c := g.contributions[number-g.base]
			return c.id, c.account
		}
	}
	panic(fmt.Sprintf("index: contribution %d of %d", number, v.Contributions()))
}

// Origins appends the origin of each token at the positions [start, end) of a segment, which lie in one record:
// the contribution of the earliest home among the passages that cover the token, its own one when none does.
func (v *View) Origins(origins []int, g *Segment, start, end uint32) []int {
	offset := len(origins)
	origins = g.earliest(origins, start, end)
	if g == v.segments[0] {
		return origins // nothing is earlier
	}
	of := origins[offset:]
	g.eachPassage(start, end, func(from, to uint32) {
		for _, other := range v.segments {
			if other == g {
				break // what comes later is not earlier
			}
			if p, ok := other.home(g, g.text[from:to]); ok {
				home := other.Place(p).Contribution
				for i := max(from, start); i < min(to, end); i++ {
					of[i-start] = min(of[i-start], home)
				}
				break
			}
		}
	})
	return origins
}

// Derived counts the tokens of a contribution, numbered from 0, and those among them that are derived: whose origin
// is another account.
func (v *View) Derived(number int) (derived, tokens uint64) {
	_, own := v.Contribution(number)
	var origins []int
	for _, g := range v.segments {
		if number < g.base || number >= g.base+len(g.contributions) {
			continue
		}
		first, last := g.recordsOf(number - g.base)
		for r := first; r < last; r++ {
			end := g.records[r]
			for g.text[end] != separator {
				end++
			}
			if end == g.records[r] {
				continue
			}
			origins = v.Origins(origins[:0], g, g.records[r], end)
			for _, origin := range origins {
				if _, account := v.Contribution(origin); account != own {
					derived++
				}
			}
			tokens += uint64(len(origins))
		}
	}
	return derived, tokens
}

// home returns where a run of another segment's ids occurs first.
func (g *Segment) home(other *Segment, run []uint32) (position uint32, ok bool) {
	var here [attribution.LongestPassage]uint32
	for i, id := range run {
		if here[i] = g.ID(other.Token(id)); here[i] == Unknown {
			return 0, false
		}
		if i >= 2 && !g.MayHold(here[i-2], here[i-1], here[i]) {
			return 0, false
		}
	}
	places := g.Places(here[:len(run)])
	if places.Count() == 0 {
		return 0, false
	}
	return g.First(places), true
}

// newView puts segments together. distinct is the number of their distinct tokens.
func newView(segments []*Segment, distinct uint64) *View {
	v := &View{segments: make([]*Segment, len(segments)), v: distinct + 1}
	base := 0
	for i, g := range segments {
		numbered := *g // a segment may be part of several views
		numbered.base = base
		v.segments[i] = &numbered
		base += len(g.contributions)
		v.n += uint64(g.Tokens())
	}
	return v
}

// Close gives the view up. Its segments must not be used afterwards.
func (v *View) Close() error {
	if v.release == nil {
		return nil // in memory
	}
	return v.release()
}

// distinct counts the distinct tokens of segments.
func distinct(ctx context.Context, segments []*Segment) (uint64, error) {
	count := uint64(0)
	for i, g := range segments {
		fresh, err := unseen(ctx, g, segments[:i])
		if err != nil {
			return 0, err
		}
		count += fresh
	}
	return count, nil
}

// unseen counts the distinct tokens of a segment that none of the segments before it has.
func unseen(ctx context.Context, g *Segment, before []*Segment) (uint64, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	count := uint64(0)
	for id := 1; id < g.Size(); id++ {
		t := g.Token(uint32(id))
		if !slices.ContainsFunc(before, func(b *Segment) bool { return b.ID(t) != Unknown }) {
			count++
		}
	}
	return count, nil
}
