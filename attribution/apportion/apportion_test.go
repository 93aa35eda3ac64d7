package apportion_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/apportion"
)

func ints(list ...int64) []*big.Int {
	bigs := make([]*big.Int, len(list))
	for i, n := range list {
		bigs[i] = big.NewInt(n)
	}
	return bigs
}

func text(list []*big.Int) []string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = n.String()
	}
	return texts
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		claim   string
		total   int64
		weights []int64
		want    []int64
	}{
		{"an exact division leaves nothing over", 10, []int64{1, 4}, []int64{2, 8}},
		{"the largest remainder gets the unit left over", 10, []int64{1, 2, 3}, []int64{2, 3, 5}},
		{"of equal remainders the earlier comes first", 10, []int64{1, 1, 1}, []int64{4, 3, 3}},
		{"a weight of zero gets nothing", 1, []int64{0, 1, 0}, []int64{0, 1, 0}},
		{"without weights nothing is divided", 10, []int64{0, 0}, []int64{0, 0}},
		{"a total of zero is zero for all", 0, []int64{1, 2}, []int64{0, 0}},
		{"nobody gets nothing", 10, nil, []int64{}},
	} {
		t.Run(c.claim, func(t *testing.T) {
			require.Equal(t, text(ints(c.want...)), text(apportion.Split(big.NewInt(c.total), ints(c.weights...))))
		})
	}
}

// slow gives out unit by unit: each goes to whom the parts given so far fall shortest of the quota, the
// quotas rounded down first.
func slow(total int64, weights []int64) []int64 {
	parts := make([]int64, len(weights))
	sum := int64(0)
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		return parts
	}
	left := total
	for i, w := range weights {
		for (parts[i]+1)*sum <= total*w {
			parts[i]++
			left--
		}
	}
	for ; left > 0; left-- {
		best := 0
		for i, w := range weights {
			if total*w-parts[i]*sum > total*weights[best]-parts[best]*sum {
				best = i
			}
		}
		parts[best]++
	}
	return parts
}

func TestSplitFollowsTheSlowVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 500).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, 50), 0, 12).Draw(t, "weights")
		require.Equal(t, text(ints(slow(total, weights)...)), text(apportion.Split(big.NewInt(total), ints(weights...))))
	})
}

func TestThePartsOfHugeNumbersSumToTheTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) *big.Int { return new(big.Int).SetBytes(b) })
		total := number.Draw(t, "total")
		weights := rapid.SliceOfN(number, 1, 20).Draw(t, "weights")
		weights = append(weights, big.NewInt(1))
		before := text(append([]*big.Int{total}, weights...))
		sum := new(big.Int)
		for _, part := range apportion.Split(total, weights) {
			require.GreaterOrEqual(t, part.Sign(), 0)
			sum.Add(sum, part)
		}
		require.Zero(t, total.Cmp(sum))
		require.Equal(t, before, text(append([]*big.Int{total}, weights...)), "the arguments are left as they were")
	})
}
