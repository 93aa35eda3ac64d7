package suffix_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/index/internal/suffix"
)

func always() error { return nil }

// sorted is the definition of a suffix array.
func sorted(text []int32) []int32 {
	sa := make([]int32, len(text))
	for i := range sa {
		sa[i] = int32(i)
	}
	slices.SortFunc(sa, func(a, b int32) int { return slices.Compare(text[a:], text[b:]) })
	return sa
}

func requireSorted(t require.TestingT, text []int32, symbols int) {
	got := make([]int32, len(text))
	require.NoError(t, suffix.Sort(got, text, symbols, always))
	require.Equal(t, sorted(text), got, "%v", text)
}

func TestTheSuffixesOfEveryShortTextAreSorted(t *testing.T) {
	for symbols := 1; symbols <= 3; symbols++ {
		for length := 0; length <= 8; length++ {
			text := make([]int32, length)
			for {
				requireSorted(t, text, symbols)
				i := 0
				for ; i < length && int(text[i]) == symbols-1; i++ {
					text[i] = 0
				}
				if i == length {
					break
				}
				text[i]++
			}
		}
	}
}

func TestTheSuffixesOfDrawnTextsAreSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		symbols := rapid.IntRange(1, 300).Draw(t, "symbols")
		text := rapid.SliceOfN(rapid.Int32Range(0, int32(symbols-1)), 0, 400).Draw(t, "text")
		for range rapid.IntRange(0, 3).Draw(t, "doublings") {
			text = append(text, text...)
		}
		requireSorted(t, text, symbols)
	})
}

func TestTextsThatRepeatThemselvesAreSorted(t *testing.T) {
	fibonacci, before := []int32{0, 1}, []int32{0}
	for len(fibonacci) < 4000 {
		fibonacci, before = append(slices.Clone(fibonacci), before...), fibonacci
	}
	requireSorted(t, fibonacci, 2)
	requireSorted(t, make([]int32, 3000), 1)
	period := make([]int32, 3000)
	for i := range period {
		period[i] = int32(i % 7)
	}
	requireSorted(t, period, 7)
}

func TestTheErrorOfProceedEndsTheWork(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]int32, 1000)
	for i := range text {
		text[i] = r.Int32N(4)
	}
	calls, sa := 0, make([]int32, len(text))
	require.NoError(t, suffix.Sort(sa, text, 4, func() error { calls++; return nil }))
	stop := errors.New("stop")
	for last := range calls {
		left := last
		require.ErrorIs(t, suffix.Sort(sa, text, 4, func() error {
			if left--; left < 0 {
				return stop
			}
			return nil
		}), stop)
	}
}

func BenchmarkSort(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 2, 1<<19)
	text := make([]int32, 10_000_000)
	for i := range text {
		text[i] = int32(z.Uint64())
	}
	sa := make([]int32, len(text))
	for b.Loop() {
		if err := suffix.Sort(sa, text, 1<<19+1, always); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(len(text)), "ns/symbol")
}
