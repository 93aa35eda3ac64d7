// Package apportion divides a whole number of units exactly, by largest remainder.
package apportion

import (
	"math/big"
	"slices"
)

// Split divides total among weights in proportion to them, so that the parts sum exactly to it: each
// gets its quota rounded down, and the units left over go one each to the largest remainders, compared
// exactly; of equal remainders the earlier one in the list comes first. No weight and no total is
// negative. When the weights sum to zero nothing can be divided and every part is zero.
func Split(total *big.Int, weights []*big.Int) []*big.Int {
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, w)
	}
	parts := make([]*big.Int, len(weights))
	for i := range parts {
		parts[i] = new(big.Int)
	}
	if sum.Sign() == 0 {
		return parts
	}
	left := new(big.Int).Set(total)
	remainders := make([]*big.Int, len(weights))
	order := make([]int, len(weights))
	for i, w := range weights {
		remainders[i] = new(big.Int)
		parts[i].Mul(total, w)
		parts[i].QuoRem(parts[i], sum, remainders[i])
		left.Sub(left, parts[i])
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainders[b].Cmp(remainders[a]) })
	one := big.NewInt(1)
	for _, i := range order[:left.Int64()] {
		parts[i].Add(parts[i], one)
	}
	return parts
}
