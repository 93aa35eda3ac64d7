package indexed

import (
	"cmp"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
)

// threshold finds where a span from each token must end at least to be kept (step 3 of section 4).
func (s *scratch) threshold(least uint64) {
	s.need = s.need[:0]
	end := 0
	for i := range s.tokens {
		end = max(end, i+attribution.MinSpan)
		for end <= len(s.tokens) && s.sums[end]-s.sums[i] < least {
			end++
		}
		s.need = append(s.need, end)
	}
}

// search finds the spans that are kept (steps 2 and 3 of section 4).
func (s *scratch) search(corpus *index.View) {
	s.found = s.found[:0]
	for i, g := range corpus.Segments() {
		s.searchSegment(g, s.ids[i])
	}
	if len(corpus.Segments()) > 1 {
		slices.SortFunc(s.found, func(a, b span) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
		})
	}
	// What is maximal in one segment is not in the corpus when another segment has more of it.
	s.spans = s.spans[:0]
	far := 0
	for _, v := range s.found {
		if v.end > far {
			far = v.end
			v.sum = s.sums[v.end] - s.sums[v.start]
			s.spans = append(s.spans, v)
		}
	}
}

// searchSegment adds the spans that are maximal in one segment and carry the threshold.
func (s *scratch) searchSegment(g *index.Segment, ids []uint32) {
	grams := len(ids) - 2
	if grams < 1 {
		return
	}
	s.holes = s.holes[:0]
	hole := -1
	for i := range grams {
		if ids[i] == index.Unknown || ids[i+1] == index.Unknown || ids[i+2] == index.Unknown || !g.MayHold(ids[i], ids[i+1], ids[i+2]) {
			hole = i
		}
		s.holes = append(s.holes, hole)
	}
	far := 0 // the largest R so far
	for i := 0; i < grams; {
		end := max(s.need[i], far+1)
		if end > len(ids) {
			return // later ones need not less
		}
		if hole := s.holes[end-3]; hole >= i {
			i = hole + 1 // every span from here to there would hold the hole
			continue
		}
		far = max(far, i+g.Longest(ids[i:]))
		if far >= end {
			s.found = append(s.found, span{start: i, end: far})
		}
		i++
	}
}
