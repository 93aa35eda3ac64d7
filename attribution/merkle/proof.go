package merkle

import (
	"errors"
	"fmt"
	"math/bits"
)

// ErrNotIncluded is returned for a proof that does not lead to the root.
var ErrNotIncluded = errors.New("the proof does not lead to the root")

// Prove returns the inclusion proof (RFC 6962 audit path, from the leaf upwards) of the leaf at index
// in the tree over leaves.
func Prove(leaves []Hash, index int) ([]Hash, error) {
	if index < 0 || index >= len(leaves) {
		return nil, fmt.Errorf("prove inclusion: there is no leaf %d in a tree of %d", index, len(leaves))
	}
	return path(leaves, index), nil
}

func path(leaves []Hash, index int) []Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := leftSize(len(leaves))
	if index < k {
		return append(path(leaves[:k], index), Root(leaves[k:]))
	}
	return append(path(leaves[k:], index-k), Root(leaves[:k]))
}

// Verify checks that leaf is number index (from 0) of the tree of size leaves with the given root. The
// error is ErrNotIncluded when the hashes disagree, another one when the proof has a wrong shape.
func Verify(leaf Hash, index, size uint64, proof []Hash, root Hash) error {
	if index >= size {
		return fmt.Errorf("verify inclusion: there is no leaf %d in a tree of %d", index, size)
	}
	// Up to the node where the paths of this leaf and the last one meet there is a sibling at every
	// level; above it only where this subtree is a right child.
	both := bits.Len64(index ^ (size - 1))
	if want := both + bits.OnesCount64(index>>both); len(proof) != want {
		return fmt.Errorf("verify inclusion: a proof of leaf %d in a tree of %d has %d hashes, not %d", index, size, want, len(proof))
	}
	hash := leaf
	for level, sibling := range proof {
		if level < both && index>>level&1 == 0 {
			hash = Node(hash, sibling)
		} else {
			hash = Node(sibling, hash)
		}
	}
	if hash != root {
		return fmt.Errorf("verify inclusion of leaf %d in a tree of %d: %w", index, size, ErrNotIncluded)
	}
	return nil
}
