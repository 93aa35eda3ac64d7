package seal

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/licence"
)

func drawLicence(t *rapid.T) licence.Licence {
	some := func(name string, of []string) []string {
		return slices.Sorted(slices.Values(rapid.SliceOfDistinct(rapid.SampledFrom(of), rapid.ID[string]).Draw(t, name)))
	}
	l := licence.Licence{DerivativePpm: rapid.IntRange(0, 9).Draw(t, "derivative"), Geography: some("geography", []string{"DE", "FR", "IR"})}
	for _, p := range some("purposes", []string{"evaluation", "internal-use", "research"}) {
		l.Purposes = append(l.Purposes, licence.Purpose(p))
	}
	if day := rapid.IntRange(0, 3).Draw(t, "expires"); day > 0 {
		l.Expires = time.Date(2030, 1, day, 0, 0, 0, 0, time.UTC)
	}
	return l
}

// covers tells whether a licence allows a use.
func covers(l licence.Licence, use licence.Use) bool { return len(l.Covers(use)) == 0 }

func TestTwoLicencesTogetherAllowWhatBothDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawLicence(t), drawLicence(t)
		both := intersect(a, b)
		require.Equal(t, max(a.DerivativePpm, b.DerivativePpm), both.DerivativePpm)
		for _, purpose := range licence.Purposes {
			for _, country := range []string{"", "DE", "FR", "IR", "US"} {
				for day := 1; day <= 4; day++ {
					use := licence.Use{Purpose: purpose, Country: country, At: time.Date(2029, 12, 30+day, 12, 0, 0, 0, time.UTC)}
					require.Equal(t, covers(a, use) && covers(b, use), covers(both, use), "%v and %v give %v for %v", a, b, both, use)
				}
			}
		}
	})
}

// leaf is a live leaf of the slow account of terms.
type leaf struct {
	version int
	own     *licence.Licence
}

func TestTermsCountLeavesAndAreNeverLaxerThanOneOfThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var terms []Terms
		var live []leaf
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if len(live) > 0 && rapid.Bool().Draw(t, "retire") {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				terms = count(terms, live[i].version, live[i].own, -1)
				live = slices.Delete(live, i, i+1)
			} else {
				l := leaf{version: rapid.IntRange(1, 3).Draw(t, "version")}
				if rapid.Bool().Draw(t, "own") {
					own := drawLicence(t)
					l.own = &own
				}
				terms = count(terms, l.version, l.own, 1)
				live = append(live, l)
			}
			check(t, terms, live)
		}
	})
}

func check(t *rapid.T, terms []Terms, live []leaf) {
	plain, own := map[int]int64{}, map[int]int64{}
	for _, l := range live {
		if l.own == nil {
			plain[l.version]++
		} else {
			own[l.version]++
		}
	}
	for i, term := range terms {
		require.True(t, i == 0 || terms[i-1].Version < term.Version, "ascending")
		require.Equal(t, plain[term.Version], term.Plain)
		require.Equal(t, own[term.Version], term.Own)
		require.Positive(t, term.Plain+term.Own)
		require.Equal(t, term.Own > 0, term.Strictest != nil)
		delete(plain, term.Version)
		delete(own, term.Version)
		use := licence.Use{Purpose: licence.Research, Country: "DE", At: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)}
		for _, l := range live {
			if l.version == term.Version && l.own != nil && !covers(*l.own, use) {
				require.False(t, covers(*term.Strictest, use))
			}
		}
	}
	require.Empty(t, plain)
	require.Empty(t, own)
}
