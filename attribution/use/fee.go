package use

import (
	"errors"
	"math/bits"
)

// ErrFee is a fee that exceeds every amount.
var ErrFee = errors.New("the fee exceeds 9223372036854775807 micro-credits")

// Fee is ⌈(in·priceIn + out·priceOut)/1000⌉ micro-credits: what an answer costs whose prompt has in canonical tokens and
// whose output has out, at prices in micro-credits for 1,000 of them.
func Fee(in, out, priceIn, priceOut uint64) (uint64, error) {
	hi, lo := bits.Mul64(in, priceIn)
	hi2, lo2 := bits.Mul64(out, priceOut)
	lo, carry := bits.Add64(lo, lo2, 0)
	hi, carry = bits.Add64(hi, hi2, carry)
	lo, carry2 := bits.Add64(lo, 999, 0)
	hi, carry3 := bits.Add64(hi, 0, carry2)
	if carry+carry3 > 0 || hi >= 1000 {
		return 0, ErrFee
	}
	fee, _ := bits.Div64(hi, lo, 1000)
	if fee > MaxAmount {
		return 0, ErrFee
	}
	return fee, nil
}
