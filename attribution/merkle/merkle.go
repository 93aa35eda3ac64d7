// Package merkle is the Merkle tree of RFC 6962 over SHA-256: roots, an append-only frontier, and
// inclusion proofs.
//
// A leaf is SHA-256 of 0x00 ‖ data, an inner node SHA-256 of 0x01 ‖ left ‖ right, and the root of the
// empty tree SHA-256 of nothing. A tree of n > 1 leaves has as its left child the largest power of
// two that is less than n.
package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Hash is a SHA-256 digest. As text it is 64 lower-case hex digits.
type Hash [sha256.Size]byte

// String returns the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hash in lower-case hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText accepts exactly 64 lower-case hex digits.
func (h *Hash) UnmarshalText(text []byte) error {
	var got Hash
	if len(text) != 2*len(got) {
		return fmt.Errorf("a hash has %d hex digits, this has %d characters", 2*len(got), len(text))
	}
	if _, err := hex.Decode(got[:], text); err != nil {
		return fmt.Errorf("read hash: %w", err)
	}
	if got.String() != string(text) {
		return fmt.Errorf("hash %q is not in lower-case hex", text)
	}
	*h = got
	return nil
}

// Leaf returns the hash of the leaf that holds data.
func Leaf(data []byte) Hash {
	d := sha256.New()
	d.Write([]byte{0})
	d.Write(data)
	return Hash(d.Sum(nil))
}

// Node returns the hash of an inner node.
func Node(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Root returns the root of the tree over the given leaves.
func Root(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := leftSize(len(leaves))
	return Node(Root(leaves[:k]), Root(leaves[k:]))
}

// leftSize returns the largest power of two less than n, for n > 1.
func leftSize(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
