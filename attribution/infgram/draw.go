package infgram

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// draws is a stream of random numbers that is the same for a seed on every machine: the big-endian 64-bit words of
// SHA-256("INFGRAM/1" ‖ seed ‖ 0), SHA-256("INFGRAM/1" ‖ seed ‖ 1), …, where seed and counter have 8 bytes each.
type draws struct {
	block [len(drawLabel) + 16]byte
	words [sha256.Size]byte
	next  int
	used  uint64
}

const drawLabel = "INFGRAM/1"

func newDraws(seed uint64) *draws {
	d := &draws{next: sha256.Size}
	copy(d.block[:], drawLabel)
	binary.BigEndian.PutUint64(d.block[len(drawLabel):], seed)
	return d
}

func (d *draws) word() uint64 {
	if d.next == len(d.words) {
		binary.BigEndian.PutUint64(d.block[len(drawLabel)+8:], d.used)
		d.words, d.next = sha256.Sum256(d.block[:]), 0
		d.used++
	}
	w := binary.BigEndian.Uint64(d.words[d.next:])
	d.next += 8
	return w
}

// below returns a number in [0, n), every one as likely: of the next word w for which the lower half of w·n (128
// bits) is at least 2⁶⁴ mod n, the upper half (Lemire, "Fast random integer generation in an interval", 2019).
func (d *draws) below(n uint64) uint64 {
	for {
		hi, lo := bits.Mul64(d.word(), n)
		if lo >= n || lo >= -n%n {
			return hi
		}
	}
}
