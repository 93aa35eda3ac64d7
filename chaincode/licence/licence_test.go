package licence_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

var newYear = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestALicenceNamesEveryTermThatFails(t *testing.T) {
	l := licence.Licence{Purposes: []licence.Purpose{licence.Evaluation, licence.Research}, Expires: newYear, Geography: []string{"AF", "IR"}}
	before := newYear.Add(-time.Second)
	for claim, test := range map[string]struct {
		use  licence.Use
		want []string
	}{
		"covered":              {licence.Use{Purpose: licence.Research, At: before, Country: "IR"}, nil},
		"another purpose":      {licence.Use{Purpose: licence.CommercialService, At: before, Country: "IR"}, []string{"purpose"}},
		"at its end":           {licence.Use{Purpose: licence.Research, At: newYear, Country: "IR"}, []string{"expires"}},
		"another country":      {licence.Use{Purpose: licence.Research, At: before, Country: "FR"}, []string{"geography"}},
		"no country is stated": {licence.Use{Purpose: licence.Research, At: before}, []string{"geography"}},
		"nothing fits":         {licence.Use{Purpose: licence.InternalUse, At: newYear}, []string{"purpose", "expires", "geography"}},
	} {
		t.Run(claim, func(t *testing.T) {
			var terms []string
			for _, f := range l.Covers(test.use) {
				require.NotEmpty(t, f.Message)
				terms = append(terms, f.Term)
			}
			require.Equal(t, test.want, terms)
		})
	}
	open := licence.Licence{Purposes: []licence.Purpose{licence.Research}}
	require.Empty(t, open.Covers(licence.Use{Purpose: licence.Research, At: newYear.AddDate(100, 0, 0)}), "never expires and holds anywhere")
}

var countries = []string{"AF", "FR", "IR", "TJ"}

func drawLicence(t *rapid.T, label string) licence.Licence {
	l := licence.Licence{
		Purposes:      rapid.SliceOfNDistinct(rapid.SampledFrom(licence.Purposes), 1, 5, rapid.ID).Draw(t, label+" purposes"),
		DerivativePpm: rapid.IntRange(0, 3).Draw(t, label+" derivative"),
		Geography:     rapid.SliceOfDistinct(rapid.SampledFrom(countries), rapid.ID).Draw(t, label+" geography"),
	}
	slices.Sort(l.Purposes)
	slices.Sort(l.Geography)
	if days := rapid.IntRange(0, 3).Draw(t, label+" days"); days > 0 {
		l.Expires = newYear.AddDate(0, 0, days)
	}
	return l
}

// TestStricterMeansThatNothingMoreIsCovered tries every use: a licence is stricter exactly when it covers none that the
// other does not, and asks for no smaller part.
func TestStricterMeansThatNothingMoreIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, base := drawLicence(t, "licence"), drawLicence(t, "base")
		require.NoError(t, l.Validate("licence"))
		stricter := l.DerivativePpm >= base.DerivativePpm
		for _, purpose := range licence.Purposes {
			for day := range 6 {
				for _, country := range append([]string{"", "DE"}, countries...) {
					use := licence.Use{Purpose: purpose, At: newYear.AddDate(0, 0, day), Country: country}
					if len(l.Covers(use)) == 0 && len(base.Covers(use)) > 0 {
						stricter = false
					}
				}
			}
		}
		err := l.StricterThan(base, "licence")
		require.Equal(t, stricter, err == nil, "%v", err)
		if err != nil {
			require.Equal(t, ledger.CodeLicence, ledger.AsFault(err).Code)
		}
	})
}

func TestLicencesThatAreMalformed(t *testing.T) {
	good := licence.Licence{Purposes: []licence.Purpose{licence.Research}}
	require.NoError(t, good.Validate("licence"))
	for claim, test := range map[string]struct {
		change func(*licence.Licence)
		field  string
	}{
		"no purpose":             {func(l *licence.Licence) { l.Purposes = nil }, "licence.purposes"},
		"a word that is none":    {func(l *licence.Licence) { l.Purposes = []licence.Purpose{"anything"} }, "licence.purposes"},
		"a purpose twice":        {func(l *licence.Licence) { l.Purposes = []licence.Purpose{"research", "research"} }, "licence.purposes"},
		"out of order":           {func(l *licence.Licence) { l.Purposes = []licence.Purpose{"research", "evaluation"} }, "licence.purposes"},
		"a negative part":        {func(l *licence.Licence) { l.DerivativePpm = -1 }, "licence.derivativePpm"},
		"more than the whole":    {func(l *licence.Licence) { l.DerivativePpm = 1_000_001 }, "licence.derivativePpm"},
		"a fraction of a second": {func(l *licence.Licence) { l.Expires = newYear.Add(1) }, "licence.expires"},
		"another zone":           {func(l *licence.Licence) { l.Expires = newYear.In(time.FixedZone("x", 3600)) }, "licence.expires"},
		"no country":             {func(l *licence.Licence) { l.Geography = []string{"XX"} }, "licence.geography"},
		"small letters":          {func(l *licence.Licence) { l.Geography = []string{"ir"} }, "licence.geography"},
		"a border of two codes":  {func(l *licence.Licence) { l.Geography = []string{"D "} }, "licence.geography"},
		"a country twice":        {func(l *licence.Licence) { l.Geography = []string{"IR", "IR"} }, "licence.geography"},
	} {
		t.Run(claim, func(t *testing.T) {
			l := good
			test.change(&l)
			f := ledger.AsFault(l.Validate("licence"))
			require.Equal(t, ledger.CodeInvalid, f.Code)
			require.Equal(t, test.field, f.Field)
		})
	}
}

// FuzzLicence decodes arbitrary documents: one that is valid is encoded as it can be decoded again, to the same.
func FuzzLicence(f *testing.F) {
	f.Add([]byte(`{"purposes":["research"],"derivativePpm":0}`))
	f.Add([]byte(`{"purposes":["evaluation","research"],"derivativePpm":50000,"expires":"2030-01-31T12:00:00Z","geography":["AF","IR"]}`))
	f.Add([]byte(`{"purposes":[],"derivativePpm":1e3,"expires":"2030-01-31T12:00:00.5+01:00"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var l licence.Licence
		if ledger.Decode(document, &l) != nil || l.Validate("licence") != nil {
			return
		}
		encoded, err := ledger.Encode(l)
		require.NoError(t, err)
		var again licence.Licence
		require.NoError(t, ledger.Decode(encoded, &again))
		same, err := ledger.Same(l, again)
		require.NoError(t, err)
		require.True(t, same)
		require.NoError(t, l.StricterThan(again, "licence"), "a licence is as strict as itself")
	})
}
