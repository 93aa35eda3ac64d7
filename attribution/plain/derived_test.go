package plain

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
)

func TestDerivedCountsTheTokensWhoseOriginIsAnotherAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.Custom(func(t *rapid.T) []byte {
			return []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "abc", "c", "دل"}), 0, 30).Draw(t, "words"), " "))
		})
		var corpus attribution.Corpus
		for i, records := range rapid.SliceOfN(rapid.SliceOfN(record, 1, 3), 1, 4).Draw(t, "corpus") {
			corpus = append(corpus, attribution.Contribution{ID: fmt.Sprint(i), Records: records,
				Account: rapid.SampledFrom([]string{"A:a", "B:b", "C:c"}).Draw(t, "account")})
		}
		engine, err := New(corpus)
		require.NoError(t, err)
		for k, contribution := range corpus {
			var want, tokens uint64
			for r, record := range engine.corpus.records[k] {
				for i := range record {
					tokens++
					if engine.corpus.origin(attribution.Place{Contribution: k, Record: r, Token: i}) != contribution.Account {
						want++
					}
				}
			}
			derived, all := engine.Derived(k)
			require.Equal(t, want, derived)
			require.Equal(t, tokens, all)
		}
	})
}
