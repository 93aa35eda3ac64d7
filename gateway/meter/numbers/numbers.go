// Package numbers keeps sets of request numbers as ranges, since a consumer counts upwards with few gaps.
package numbers

import (
	"errors"
	"math"
	"slices"
)

// Range holds the numbers from First to Last, both included.
type Range struct{ First, Last uint64 }

// Set is a set of numbers: ranges, ascending, with gaps between them. The zero value is empty.
type Set struct{ ranges []Range }

// ErrOrder is a list of ranges that no set has.
var ErrOrder = errors.New("ranges of numbers are ascending, with gaps between them")

// Of is the set of these ranges, as Ranges returned them.
func Of(ranges []Range) (Set, error) {
	for i, r := range ranges {
		if r.Last < r.First || i > 0 && (ranges[i-1].Last == math.MaxUint64 || r.First <= ranges[i-1].Last+1) {
			return Set{}, ErrOrder
		}
	}
	return Set{slices.Clone(ranges)}, nil
}

// find returns the index of the first range that ends at n or later.
func (s *Set) find(n uint64) int {
	i, _ := slices.BinarySearchFunc(s.ranges, n, func(r Range, n uint64) int {
		if r.Last < n {
			return -1
		}
		return 1
	})
	return i
}

// Has tells whether n is in the set.
func (s *Set) Has(n uint64) bool {
	i := s.find(n)
	return i < len(s.ranges) && s.ranges[i].First <= n
}

// Add puts n into the set.
func (s *Set) Add(n uint64) {
	i := s.find(n)
	if i < len(s.ranges) && s.ranges[i].First <= n {
		return
	}
	before := i > 0 && s.ranges[i-1].Last+1 == n
	after := i < len(s.ranges) && s.ranges[i].First == n+1
	switch {
	case before && after:
		s.ranges[i-1].Last = s.ranges[i].Last
		s.ranges = slices.Delete(s.ranges, i, i+1)
	case before:
		s.ranges[i-1].Last = n
	case after:
		s.ranges[i].First = n
	default:
		s.ranges = slices.Insert(s.ranges, i, Range{n, n})
	}
}

// Len is the number of ranges, to which the memory of the set is in proportion.
func (s *Set) Len() int { return len(s.ranges) }

// Ranges returns the ranges, ascending.
func (s *Set) Ranges() []Range { return slices.Clone(s.ranges) }

// MaxRanges is how many gaps a consumer may leave in its numbers.
const MaxRanges = 4096

// Seen holds numbers that somebody shows who may be anybody: those beyond MaxRanges ranges one by one.
type Seen struct {
	Set
	Further map[uint64]bool
}

// Has tells whether a number is there.
func (s *Seen) Has(n uint64) bool { return s.Set.Has(n) || s.Further[n] }

// Join takes in the numbers of another one, each by itself.
func (s *Seen) Join(other *Seen) {
	for _, r := range other.ranges {
		s.First(r.First)
		for n := r.First; n < r.Last; {
			n++
			s.First(n)
		}
	}
	for n := range other.Further {
		s.First(n)
	}
}

// First takes in a number and tells whether it was not there.
func (s *Seen) First(n uint64) bool {
	if s.Has(n) {
		return false
	}
	if s.Len() < MaxRanges {
		s.Add(n)
		return true
	}
	if s.Further == nil {
		s.Further = map[uint64]bool{}
	}
	s.Further[n] = true
	return true
}
