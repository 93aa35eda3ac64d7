package money_test

import (
	"fmt"
	"math"
	"math/big"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/money"
)

func TestAmountTextIsStrict(t *testing.T) {
	for _, bad := range []string{"", "-1", "+1", "01", "1.0", "1e3", " 1", "9223372036854775808", "12345678901234567890", "٣"} {
		var a money.Amount
		require.Error(t, a.UnmarshalText([]byte(bad)), "%q", bad)
	}
	for _, good := range []string{"0", "7", "9223372036854775807"} {
		var a money.Amount
		require.NoError(t, a.UnmarshalText([]byte(good)))
		require.Equal(t, good, a.String())
	}
	_, err := money.Amount(-1).MarshalText()
	require.Error(t, err)
}

func TestArithmeticNeverWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Min(0).Draw(t, "a"), rapid.Int64Min(0).Draw(t, "b")
		exact := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		sum, err := money.Amount(a).Add(money.Amount(b))
		if exact.IsInt64() {
			require.NoError(t, err)
			require.Equal(t, exact.Int64(), int64(sum))
		} else {
			require.ErrorIs(t, err, money.ErrOverflow)
		}
		difference, err := money.Amount(a).Sub(money.Amount(b))
		if b <= a {
			require.NoError(t, err)
			require.Equal(t, a-b, int64(difference))
		} else {
			require.ErrorIs(t, err, money.ErrNegative)
		}
	})
	_, err := money.Sum(math.MaxInt64, 1)
	require.ErrorIs(t, err, money.ErrOverflow)
}

// slowSplit hands out one micro-credit at a time to the part whose exact quota is furthest ahead of what it has,
// after everybody's floor.
func slowSplit(total int64, parts []money.Part) map[string]int64 {
	sum := new(big.Int)
	for _, p := range parts {
		sum.Add(sum, p.Weight)
	}
	got, left := map[string]int64{}, total
	for _, p := range parts {
		q := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(total), p.Weight), sum)
		floor := new(big.Int).Quo(q.Num(), q.Denom()).Int64()
		got[p.Name] = floor
		left -= floor
	}
	names := []string{}
	fraction := map[string]*big.Rat{}
	for _, p := range parts {
		q := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(total), p.Weight), sum)
		fraction[p.Name] = q.Sub(q, new(big.Rat).SetInt64(got[p.Name]))
		names = append(names, p.Name)
	}
	sort.Strings(names)
	sort.SliceStable(names, func(i, j int) bool { return fraction[names[i]].Cmp(fraction[names[j]]) > 0 })
	for _, name := range names[:left] {
		got[name]++
	}
	return got
}

func TestSplitIsExactAndEqualsTheSlowOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, math.MaxInt64).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 12).Draw(t, "weights")
		weights = append(weights, rapid.Int64Range(1, 100).Draw(t, "positive"))
		parts := make([]money.Part, len(weights))
		for i, w := range weights {
			parts[i] = money.Part{Name: fmt.Sprintf("p%02d", len(weights)-i), Weight: big.NewInt(w)}
		}
		amounts, err := money.Split(money.Amount(total), parts)
		require.NoError(t, err)
		var sum int64
		want := slowSplit(total, parts)
		for i, a := range amounts {
			require.Equal(t, want[parts[i].Name], int64(a))
			sum += int64(a)
		}
		require.Equal(t, total, sum)
	})
}

func TestSplitWithoutWeightIsRefused(t *testing.T) {
	_, err := money.Split(5, []money.Part{{Name: "a", Weight: new(big.Int)}})
	require.Error(t, err)
	_, err = money.Split(5, []money.Part{{Name: "a", Weight: big.NewInt(-1)}})
	require.Error(t, err)
}

func FuzzAmount(f *testing.F) {
	f.Add("0")
	f.Add("9223372036854775807")
	f.Add("٣")
	f.Fuzz(func(t *testing.T, text string) {
		var a money.Amount
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.GreaterOrEqual(t, int64(a), int64(0))
		again, err := a.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(again), "an amount is written in one way only")
	})
}
