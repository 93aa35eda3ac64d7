package money

import (
	"errors"
	"math/big"
	"slices"
	"strings"
)

// Million is the denominator of parts: a part is given in parts per million (ppm).
const Million = 1_000_000

// Part is one claim on an amount that is split: a name, unique in the split, and a weight ≥ 0 in any unit.
type Part struct {
	Name   string
	Weight *big.Int
}

// Split divides total among the parts in proportion to their weights, exactly: each gets the floor of its quota, and
// the micro-credits that remain go one each to the largest remainders (tie: the bytewise lower name). The amounts
// come in the order of the parts and sum to total. It fails when no weight is positive.
func Split(total Amount, parts []Part) ([]Amount, error) {
	sum := new(big.Int)
	for _, p := range parts {
		if p.Weight.Sign() < 0 {
			return nil, errors.New("split: negative weight of " + p.Name)
		}
		sum.Add(sum, p.Weight)
	}
	if sum.Sign() == 0 {
		return nil, errors.New("split: no weight is positive")
	}
	amounts := make([]Amount, len(parts))
	remainders := make([]*big.Int, len(parts))
	left := total
	for i, p := range parts {
		quota, remainder := new(big.Int), new(big.Int)
		quota.QuoRem(quota.Mul(big.NewInt(int64(total)), p.Weight), sum, remainder)
		amounts[i], remainders[i] = Amount(quota.Int64()), remainder
		left -= amounts[i]
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if c := remainders[j].Cmp(remainders[i]); c != 0 {
			return c
		}
		return strings.Compare(parts[i].Name, parts[j].Name)
	})
	for _, i := range order[:left] {
		amounts[i]++
	}
	return amounts, nil
}
