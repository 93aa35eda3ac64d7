package index

import "math/bits"

// A filter holds a set of hashes with one bit each: what was put in is found, what was not is mostly not found.
type filter []uint64

// bitsPerGram makes a filter of all 3-grams pass at most every tenth that was not put in, in practice every
// twentieth, since 3-grams repeat.
const bitsPerGram = 10

func newFilter(items, bitsPerItem int) filter {
	return huge(make(filter, (uint64(items)*uint64(bitsPerItem)+63)/64+1))
}

// at returns where the bit of a hash is.
func (f filter) at(hash uint64) (word int, mask uint64) {
	hi, lo := bits.Mul64(hash, uint64(len(f)))
	return int(hi), 1 << (lo >> 58)
}

func (f filter) put(hash uint64) {
	word, mask := f.at(hash)
	f[word] |= mask
}

func (f filter) has(hash uint64) bool {
	word, mask := f.at(hash)
	return f[word]&mask != 0
}

// gramHash is part of the file format.
func gramHash(a, b, c uint32) uint64 {
	h := (uint64(a)<<32 | uint64(b)) * 0x9E3779B97F4A7C15
	h ^= h >> 32
	h = (h + uint64(c)) * 0xD6E8FEB86659FD93
	return h ^ h>>32*0xA0761D6478BD642F
}

// newGrams returns the filter of a text's 3-grams.
func newGrams(text []int32, tokens int) filter {
	f := newFilter(tokens, bitsPerGram)
	for i := 0; i+2 < len(text); i++ {
		if text[i] != separator && text[i+1] != separator && text[i+2] != separator {
			f.put(gramHash(uint32(text[i]), uint32(text[i+1]), uint32(text[i+2])))
		}
	}
	return f
}
