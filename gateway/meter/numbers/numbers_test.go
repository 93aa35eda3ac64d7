package numbers_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

func TestASetIsWhatAMapWouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Uint64Max(20), rapid.Uint64Min(math.MaxUint64-3))
		var set numbers.Set
		plain := map[uint64]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "adds") {
			n := number.Draw(t, "n")
			set.Add(n)
			plain[n] = true
			again, err := numbers.Of(set.Ranges())
			require.NoError(t, err, "ranges stay ascending, with gaps between them")
			require.Equal(t, set, again)
		}
		held := 0
		for _, r := range set.Ranges() {
			held += int(r.Last - r.First + 1)
		}
		require.Equal(t, len(plain), held)
		n := number.Draw(t, "asked")
		require.Equal(t, plain[n], set.Has(n))
	})
	_, err := numbers.Of([]numbers.Range{{First: 1, Last: 2}, {First: 3, Last: 4}})
	require.ErrorIs(t, err, numbers.ErrOrder)
}

func TestASeenNumberIsFirstOnce(t *testing.T) {
	var seen, joined numbers.Seen
	joined.First(0)
	for n := range uint64(numbers.MaxRanges + 10) {
		require.True(t, seen.First(2*n))
		require.False(t, seen.First(2*n))
	}
	require.Len(t, seen.Further, 10, "what no honest consumer leaves")
	seen.First(1)
	joined.Join(&seen)
	for n := range uint64(2*numbers.MaxRanges + 30) {
		want := n == 1 || n%2 == 0 && n < 2*(numbers.MaxRanges+10)
		require.Equal(t, want, seen.Has(n), "%d", n)
		require.Equal(t, want, joined.Has(n), "%d", n)
	}
}
