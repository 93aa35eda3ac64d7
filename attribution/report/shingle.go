package report

import (
	"slices"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

const shingleTokens = 3

// hashToken and hashShingle are 64 bits that are the same everywhere. Two shingles with one hash count as one,
// which makes more of a text look known, never less.
func hashToken(runes []rune) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, r := range runes {
		h = (h ^ uint64(r)) * 0x100000001b3
	}
	return mix(h)
}

func hashShingle(tokens []uint64) uint64 {
	h := uint64(0)
	for _, t := range tokens[:shingleTokens] {
		h = mix(h*0x9e3779b97f4a7c15 + t)
	}
	return h
}

// mix is the finaliser of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// tokenHashes returns the hashes of a text's tokens, in buffer.
func tokenHashes(text []byte, buffer []uint64) []uint64 {
	buffer = buffer[:0]
	for s := text1.NewScanner(text); s.Next(); {
		buffer = append(buffer, hashToken(s.Runes()))
	}
	return buffer
}

// sketchSize is how many of the smallest hashes a sketch keeps. Of two texts whose shingles have a Jaccard index
// of ¼, as after a change of every fifth word, sketches share 16 on average and fewer than minShared
// in one case of 50,000.
const (
	sketchSize = 64
	minShared  = 4
)

// sketch returns the bottom-k MinHash sketch of shingles: the smallest distinct hashes, ascending. It does
// not change its argument.
func sketch(shingles []uint64) []uint64 {
	kept := make([]uint64, 0, min(len(shingles), 4*sketchSize))
	limit := ^uint64(0)
	for _, h := range shingles {
		if h > limit {
			continue
		}
		if kept = append(kept, h); len(kept) == cap(kept) {
			if kept = smallest(kept); len(kept) == sketchSize {
				limit = kept[sketchSize-1]
			}
		}
	}
	return smallest(kept)
}

func smallest(hashes []uint64) []uint64 {
	hashes = distinct(hashes)
	return hashes[:min(len(hashes), sketchSize)]
}

// distinct sorts hashes in place and keeps each once.
func distinct(hashes []uint64) []uint64 {
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// shared counts what two ascending lists have in common.
func shared(a, b []uint64) int64 {
	n := int64(0)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			n++
			a, b = a[1:], b[1:]
		}
	}
	return n
}
