package infgram

import (
	"math"
	"math/big"
)

// An Interpolation says how much of a symbol's probability after a context comes from what followed the context
// itself, and how much from what followed the context without its first token. After a context that stands N
// times in the corpus and is followed by T distinct symbols, C times by the symbol x,
//
//	P(x) = (10·C − d + (d + e)·T·P'(x)) / (10·N + e·T),
//
// with d = 0 where C = 0, and P' the probability after the shorter context. Both are given in tenths, so that
// everything follows from integers.
type Interpolation struct {
	Discount uint8 `json:"discount"` // d, at most 10
	Escape   uint8 `json:"escape"`   // e; d + e is at least 1
}

var (
	// WittenBell is the method C of Witten and Bell 1991: a context counts once more for each symbol that was new
	// after it. A model of it trusts long contexts, so it quotes.
	WittenBell = Interpolation{Discount: 0, Escape: 10}
	// Discounted gives contexts half the trust and takes eight tenths of every count. It predicts unseen verse
	// better than Kneser and Ney's interpolation of order 4 does, but hardly quotes.
	Discounted = Interpolation{Discount: 8, Escape: 20}
)

// tenths is the unit of an interpolation's parts.
const tenths = 10

func (i Interpolation) valid() bool {
	return i.Discount <= tenths && i.Discount+i.Escape > 0 && i.Escape <= 100
}

// A Level is what a corpus tells of a symbol after one context.
type Level struct {
	N uint64 `json:"n"` // how often the context stands there
	T uint64 `json:"t"` // how many distinct symbols follow it
	C uint64 `json:"c"` // how often the symbol does
}

// A Chain is all that the probability of a symbol follows from: the levels of its contexts, from the empty one to
// the longest that stands in the corpus.
type Chain struct {
	// Symbols is the number of symbols: the corpus' distinct tokens, the end of a record, and the token that the
	// corpus does not know. Without any context all are alike.
	Symbols uint64
	Levels  []Level
}

// Rational returns the probability exactly.
func (c Chain) Rational(i Interpolation) *big.Rat {
	p := big.NewRat(1, int64(c.Symbols))
	for _, l := range c.Levels {
		own, rest, all := i.parts(l)
		lower := new(big.Rat).Mul(new(big.Rat).SetInt(new(big.Int).SetUint64(rest)), p)
		lower.Add(lower, new(big.Rat).SetInt(new(big.Int).SetUint64(own)))
		p = lower.Quo(lower, new(big.Rat).SetInt(new(big.Int).SetUint64(all)))
	}
	return p
}

// Log2 returns the logarithm of the probability to the base 2, at most 0. It is computed in floating point: its
// last digits may differ between kinds of machines, which is why nobody is paid by it.
func (c Chain) Log2(i Interpolation) float64 {
	// The probability is p·2^exponent, since it may be smaller than any float64.
	p, exponent := math.Frexp(1 / float64(c.Symbols))
	for _, l := range c.Levels {
		own, rest, all := i.parts(l)
		if own == 0 {
			p = p * float64(rest) / float64(all)
		} else {
			lower := float64(rest) * math.Ldexp(p, exponent)
			p, exponent = (float64(own)+lower)/float64(all), 0
		}
		var more int
		p, more = math.Frexp(p)
		exponent += more
	}
	return math.Log2(p) + float64(exponent)
}

// parts are the numerator's first term, the factor of the lower probability, and the denominator.
func (i Interpolation) parts(l Level) (own, rest, all uint64) {
	if l.C > 0 {
		own = tenths*l.C - uint64(i.Discount)
	}
	return own, uint64(i.Discount+i.Escape) * l.T, tenths*l.N + uint64(i.Escape)*l.T
}
