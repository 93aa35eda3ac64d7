package merkle

import (
	"fmt"
	"math/bits"
	"slices"
)

// A Frontier is what must be kept of a tree to append to it: its size and the roots of its perfect
// subtrees, the largest (leftmost) first. The zero value is the empty tree. A copy made by assignment
// shares memory with the original; only one of the two may be appended to.
type Frontier struct {
	size  uint64
	peaks []Hash
}

// NewFrontier restores a frontier from what Size and Peaks returned. It fails when the number of peaks
// does not belong to the size.
func NewFrontier(size uint64, peaks []Hash) (*Frontier, error) {
	if len(peaks) != bits.OnesCount64(size) {
		return nil, fmt.Errorf("a tree of %d leaves has %d peaks, not %d", size, bits.OnesCount64(size), len(peaks))
	}
	return &Frontier{size: size, peaks: slices.Clone(peaks)}, nil
}

// Append adds a leaf at the end.
func (f *Frontier) Append(leaf Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.peaks) - 1
		leaf = Node(f.peaks[last], leaf)
		f.peaks = f.peaks[:last]
	}
	f.peaks = append(f.peaks, leaf)
	f.size++
}

// Size returns the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Peaks returns the roots of the perfect subtrees, the largest first.
func (f *Frontier) Peaks() []Hash { return slices.Clone(f.peaks) }

// Root returns the root of the tree, the same as Root over all its leaves.
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return Root(nil)
	}
	last := len(f.peaks) - 1
	root := f.peaks[last]
	for _, peak := range slices.Backward(f.peaks[:last]) {
		root = Node(peak, root)
	}
	return root
}
