package attribution

import "math/bits"

// Bit is one bit of information in Q16: all information is counted in units of 2⁻¹⁶ bit.
const Bit = 1 << FractionBits

// MaxInformation is the most information that one token carries, in Q16.
const MaxInformation = MaxBits * Bit

// Log is L(x) of section 3: the logarithm of x to base 2 in Q16, rounded down at sixteen bits. x is at
// least 1, a smaller one panics.
func Log(x uint64) uint64 {
	if x == 0 {
		panic("attribution: logarithm of 0")
	}
	k := bits.Len64(x) - 1
	m := x << (63 - k)
	l := uint64(k)
	for range FractionBits {
		hi, lo := bits.Mul64(m, m)
		l <<= 1
		if hi>>63 == 1 {
			l |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return l
}

// Information is info(t) of section 3 for a token that occurs count times in a corpus of n tokens with
// v distinct ones plus one: the less usual a token, the more it tells. In Q16, at most MaxInformation.
func Information(n, v, count uint64) uint64 {
	return min(MaxInformation, Log(n+v)-Log(count+1))
}
