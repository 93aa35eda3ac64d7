package report_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/report"
	"github.com/datanet-consortium/datanet/examples"
)

func contribution(id, account string, records ...string) attribution.Contribution {
	c := attribution.Contribution{ID: id, Account: account}
	for _, r := range records {
		c.Records = append(c.Records, []byte(r))
	}
	return c
}

// prose returns n words that are drawn from many, the same for a seed.
func prose(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 3))
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", r.IntN(5000))
	}
	return words
}

func TestDerivedIsThatOfTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "abc", "c", "دل"}), 0, 30).Draw(t, "words"), " ")
		})
		var corpus attribution.Corpus
		for i, records := range rapid.SliceOfN(rapid.SliceOfN(record, 1, 3), 1, 5).Draw(t, "corpus") {
			corpus = append(corpus, contribution(fmt.Sprint(i), rapid.SampledFrom([]string{"A:a", "B:b", "C:c"}).Draw(t, "account"), records...))
		}
		engine, err := plain.New(corpus)
		require.NoError(t, err)
		last := len(corpus) - 1
		derived, tokens := engine.Derived(last)
		r := report.Of(corpus[:last], corpus[last])
		require.Equal(t, int64(derived), r.Derived.Tokens)
		require.Equal(t, int64(tokens), r.Contribution.Tokens)
	})
}

func TestATextWithEveryFifthWordChangedIsFound(t *testing.T) {
	original := prose(1, 400)
	changed := slices.Clone(original)
	for i := 4; i < len(changed); i += 5 {
		changed[i] = fmt.Sprint("new", i)
	}
	corpus := attribution.Corpus{
		contribution("o", "A:poet", strings.Join(prose(2, 400), " "), strings.Join(original, " ")),
		contribution("p", "B:other", strings.Join(prose(3, 400), " ")),
	}
	r := report.Of(corpus, contribution("n", "C:copier", strings.Join(prose(4, 400), " "), strings.Join(changed, ", ")))
	require.Zero(t, r.Derived.Tokens, "it escapes the origins")
	require.Equal(t, 1, r.Duplicates.Near)
	require.Len(t, r.Duplicates.SimilarTo, 1)
	pair := r.Duplicates.SimilarTo[0]
	require.Equal(t, []any{1, "o", 1}, []any{pair.Record, pair.Contribution, pair.Other})
	require.InDelta(t, 250_000, pair.Similarity, 10_000)
	require.InDelta(t, 400_000, pair.Contained, 10_000)
	require.Len(t, r.Contained, 1)
	require.Equal(t, "A:poet", r.Contained[0].Account)
	require.InDelta(t, 200_000, r.Contained[0].PPM, 10_000, "half of the contribution is a copy")
}

func TestATextCutOutOfALargerOneIsContained(t *testing.T) {
	book := prose(1, 20_000)
	r := report.Of(attribution.Corpus{contribution("book", "A:a", strings.Join(book, " "))},
		contribution("n", "B:b", strings.Join(book[5000:5200], " ")))
	require.Zero(t, r.Duplicates.Near)
	require.Equal(t, int64(1_000_000), r.Derived.PPM)
	require.Equal(t, int64(1_000_000), r.Contained[0].PPM)
}

func TestEqualRecordsAreFoundEverywhere(t *testing.T) {
	poem := strings.Join(prose(1, 30), " ")
	loud := strings.ToUpper(strings.ReplaceAll(poem, " ", " — "))
	r := report.Of(attribution.Corpus{contribution("o", "A:a", "something else entirely", poem)},
		contribution("n", "B:b", "a first record of its own", poem, loud))
	require.Equal(t, 2, r.Duplicates.Equal)
	whole := int64(1_000_000)
	require.Equal(t, []report.Pair{
		{Record: 1, Contribution: "o", Other: 1, Similarity: whole, Contained: whole},
		{Record: 2, Contribution: "o", Other: 1, Similarity: whole, Contained: whole},
		{Record: 2, Contribution: "n", Other: 1, Similarity: whole, Contained: whole},
	}, r.Duplicates.EqualTo)
	require.Zero(t, r.Duplicates.Near)
}

func TestUnrelatedTextsAreNotSimilar(t *testing.T) {
	var corpus attribution.Corpus
	for i := range uint64(20) {
		corpus = append(corpus, contribution(fmt.Sprint(i), fmt.Sprint("A:", i), strings.Join(prose(i, 300), " ")))
	}
	r := report.Of(corpus, contribution("n", "B:b", strings.Join(prose(100, 300), " ")))
	require.Empty(t, r.Duplicates.SimilarTo)
	require.Empty(t, r.Contained)
	require.Zero(t, r.Lists.Records)
}

func TestAListOfCommonPhrasesIsSeen(t *testing.T) {
	phrases := strings.Fields(strings.Repeat("as-well-as in-the-end of-all-things once-upon-a-time at-the-same-time ", 1))
	var corpus attribution.Corpus
	for i := range uint64(3) {
		corpus = append(corpus, contribution(fmt.Sprint(i), fmt.Sprint("A:", i), strings.Join(append(prose(i, 50), phrases...), " ")))
	}
	var list []string
	for i := range 100 {
		list = append(list, phrases[i%len(phrases)])
	}
	r := report.Of(corpus, contribution("n", "B:b",
		strings.Join(list, "\n"), strings.Join(prose(9, 300), " "), strings.Join(list, "، ")))
	require.Equal(t, 2, r.Lists.Records)
	require.Equal(t, []int{0, 2}, []int{r.Lists.Found[0].Record, r.Lists.Found[1].Record})
	require.Greater(t, r.Lists.Found[0].Frequent, int64(500_000))
}

func TestVerseIsNoList(t *testing.T) {
	poets := make(map[string][]string)
	require.NoError(t, fs.WalkDir(examples.PersianPoetry(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".txt") {
			return err
		}
		text, err := fs.ReadFile(examples.PersianPoetry(), name)
		poet, _, _ := strings.Cut(name, "/")
		poets[poet] = append(poets[poet], string(text))
		return err
	}))
	names := slices.Sorted(maps.Keys(poets))
	require.Greater(t, len(names), 3)
	var corpus attribution.Corpus
	for _, name := range names {
		r := report.Of(corpus, contribution(name, "A:"+name, poets[name]...))
		require.Zero(t, r.Lists.Records, name)
		require.Zero(t, r.Duplicates.Near+r.Duplicates.Equal, name)
		require.Equal(t, "fa", r.Languages[0].Language, name)
		corpus = append(corpus, contribution(name, "A:"+name, poets[name]...))
	}
}

func TestLanguages(t *testing.T) {
	for language, text := range map[string]string{
		"en":  "It was the best of times and it was the worst of times, and nobody could tell which of them it would be.",
		"de":  "Der Mann ging mit dem Hund durch die Stadt, und es war nicht zu sehen, wohin er wollte.",
		"fr":  "Le chat est sur la table et il ne veut pas descendre, mais nous avons du temps pour cela.",
		"fa":  "بنی آدم اعضای یک پیکرند که در آفرینش ز یک گوهرند",
		"ar":  "ذهب الرجل إلى السوق في الصباح ثم عاد من هناك بعد أن اشترى كل ما كان يريد",
		"ru":  "Он не знал, что она была в городе, но как только увидел её, всё понял.",
		"zh":  "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。",
		"ja":  "古池や蛙飛びこむ水の音という句は、とても有名です。",
		"ko":  "나 보기가 역겨워 가실 때에는 말없이 고이 보내 드리오리다",
		"tr":  "Bu kitap çok güzel ama ben daha okumadım, çünkü bir türlü vakit olmadı ve ne yazık ki kayboldu.",
		"und": "zxcv qwrt plmk bnhg",
	} {
		r := report.Of(nil, contribution("n", "A:a", text))
		require.Len(t, r.Languages, 1)
		require.Equal(t, language, r.Languages[0].Language, text)
		require.Equal(t, int64(1_000_000), r.Languages[0].PPM)
	}
}

func TestPersonalData(t *testing.T) {
	for text, want := range map[string]string{
		"write to j.doe+x@example.co.uk.":             "email j.doe+x@example.co.uk",
		"an @ alone, a@b and @handle":                 "",
		"GB82 WEST 1234 5698 7654 32":                 "iban GB82 WEST 1234 5698 7654 32",
		"GB82WEST12345698765433":                      "",
		"IR820540102680020817909002":                  "iban IR820540102680020817909002",
		"4111 1111 1111 1111":                         "card 4111 1111 1111 1111",
		"4111-1111-1111-1112":                         "",
		"card ۶۰۳۷۹۹۱۱۹۹۵۰۰۵۹۰ of a bank":             "card ۶۰۳۷۹۹۱۱۹۹۵۰۰۵۹۰",
		"۴۱۱۱ ۱۱۱۱ ۱۱۱۱ ۱۱۱۱":                         "card ۴۱۱۱ ۱۱۱۱ ۱۱۱۱ ۱۱۱۱",
		"SSN 078-05-1120":                             "national_us 078-05-1120",
		"666-05-1120":                                 "",
		"2345 6789 0124 is no person's":               "national_in 2345 6789 0124",
		"2345 6789 0123":                              "",
		"CPF 529.982.247-25":                          "national_br 529.982.247-25",
		"11010519491231002X":                          "national_cn 11010519491231002X",
		"110105194912310021":                          "",
		"DNI 12345678Z":                               "national_es 12345678Z",
		"DNI 12345678A":                               "",
		"X1234567L":                                   "national_es X1234567L",
		"NI AB 12 34 56 C":                            "national_gb AB 12 34 56 C",
		"code 0499370899":                             "national_ir 0499370899",
		"1 84 12 76 451 089 46":                       "national_fr 1 84 12 76 451 089 46",
		"+98 21 8888 7777":                            "telephone +98 21 8888 7777",
		"call 0912 345 6789 now":                      "telephone 0912 345 6789",
		"(212) 555-0187":                              "telephone (212) 555-0187",
		"212-555-0187":                                "telephone 212-555-0187",
		"0049 30 901820":                              "telephone 0049 30 901820",
		"in 1999 and 2021-01-01, 3.14159265358979323": "",
		"0000000000 1111 1111 1111 1111":              "",
		"id_4111111111111111":                         "",
	} {
		r := report.Of(nil, contribution("n", "A:a", "first", text))
		got := ""
		for _, f := range r.Personal.Found {
			require.Equal(t, 1, f.Record)
			got = strings.TrimSpace(got + " " + string(f.Kind) + " " + text[f.Start:f.End])
		}
		require.Equal(t, want, got, text)
	}
}

func TestOddCharactersAreCounted(t *testing.T) {
	r := report.Of(nil, contribution("n", "A:a", "a\x00b\xff\ufffd\u200b\u202e\ue000\U000e0041 pаypal 𝐛𝐨𝐥𝐝 "+strings.Repeat("x", 41)+" plain\ttext\r\n"))
	require.Equal(t, report.Characters{Control: 1, Replacement: 2, PrivateUse: 1, Zero: 1, Directional: 1, Tags: 1, Mixed: 1, Long: 1, Decorated: 4}, r.Characters)
}

func TestSizes(t *testing.T) {
	r := report.Of(nil, contribution("n", "A:a", "too short", strings.Join(prose(1, 20), " "), strings.Join(prose(1, 30), " "), ""))
	require.Equal(t, report.Spread{Least: 0, Median: 2, Largest: 30}, r.Sizes.Tokens)
	require.Equal(t, 2, r.Sizes.NoPassage)
}

func TestTheHashIsThatOfTheSameBytesEverywhere(t *testing.T) {
	make := func() *report.Report {
		return report.Of(attribution.Corpus{contribution("o", "A:a", "one two three four five six", "seven eight nine ten")},
			contribution("n", "B:b", "one two three four five seven", "call +98 21 8888 7777", "one two three four five six"))
	}
	first, err := make().Hash()
	require.NoError(t, err)
	for range 20 {
		again, err := make().Hash()
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	require.Equal(t, "27b9f829dda51b5ac53c28db6ea5b068828cceb75d3130de8428e650990c2f9a", first.String())
	other, err := report.Of(nil, contribution("n", "B:b", "one two three four five seven")).Hash()
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}

func FuzzOf(f *testing.F) {
	f.Add([]byte("mail a@b.co or +98 21 8888 7777"), []byte("4111 1111 1111 1111, GB82 WEST 1234 5698 7654 32"))
	f.Add([]byte("one two three\none two three"), []byte("\xff\u202e"))
	f.Fuzz(func(t *testing.T, earlier, text []byte) {
		if len(earlier)+len(text) > 2048 {
			return // longer texts take long and show nothing new
		}
		corpus := attribution.Corpus{{ID: "o", Account: "A:a", Records: [][]byte{earlier}}}
		r := report.Of(corpus, attribution.Contribution{ID: "n", Account: "B:b", Records: [][]byte{text, earlier, text}})
		for _, found := range r.Personal.Found {
			require.True(t, 0 <= found.Start && found.Start < found.End && found.End <= max(len(text), len(earlier)))
		}
		require.LessOrEqual(t, r.Derived.PPM, int64(1_000_000))
		_, err := r.Hash()
		require.NoError(t, err)
	})
}
