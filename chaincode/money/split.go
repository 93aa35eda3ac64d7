package money

import (
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution/apportion"
)

// Million is the denominator of parts: a part is given in parts per million (ppm).
const Million = 1_000_000

// Part is one claim on an amount that is split: a name, unique in the split, and a weight ≥ 0 in any unit.
type Part struct {
	Name   string
	Weight *big.Int
}

// Split divides total among the parts in proportion to their weights, exactly, by largest remainder (tie: the bytewise
// lower name). The amounts come in the order of the parts and sum to total. It fails when a weight is negative or none
// is positive.
func Split(total Amount, parts []Part) ([]Amount, error) {
	positive := false
	order := make([]int, len(parts))
	for i, p := range parts {
		if p.Weight.Sign() < 0 {
			return nil, errors.New("split: negative weight of " + p.Name)
		}
		positive = positive || p.Weight.Sign() > 0
		order[i] = i
	}
	if !positive {
		return nil, errors.New("split: no weight is positive")
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(parts[i].Name, parts[j].Name) })
	weights := make([]*big.Int, len(parts))
	for place, i := range order {
		weights[place] = parts[i].Weight
	}
	amounts := make([]Amount, len(parts))
	for place, amount := range apportion.Split(big.NewInt(int64(total)), weights) {
		amounts[order[place]] = Amount(amount.Int64())
	}
	return amounts, nil
}
