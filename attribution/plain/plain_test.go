package plain_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

// line returns n words that stand nowhere else.
func line(name string, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%03d", name, i)
	}
	return strings.Join(list, " ")
}

func contribution(id, account string, records ...string) attribution.Contribution {
	c := attribution.Contribution{ID: id, Account: account}
	for _, r := range records {
		c.Records = append(c.Records, []byte(r))
	}
	return c
}

func TestReceipt(t *testing.T) {
	hafez, saadi := line("hafez", 20), line("saadi", 20)
	corpus := attribution.Corpus{
		contribution("h", "A:hafez", hafez, line("more", 30)),
		contribution("s", "B:saadi", saadi),
	}
	excerpt := func(text string, from, to int) string { return strings.Join(strings.Fields(text)[from:to], " ") }

	for _, c := range []struct {
		claim  string
		answer attribution.Answer
		shares []receipt.Share
	}{
		{"an excerpt pays its poet",
			attribution.Answer{Output: []byte("new words " + excerpt(hafez, 3, 13) + " new words")},
			[]receipt.Share{{Account: "A:hafez", PPM: 1_000_000}}},
		{"two equal excerpts share equally",
			attribution.Answer{Output: []byte(excerpt(saadi, 0, 8) + ". " + excerpt(hafez, 3, 11))},
			[]receipt.Share{{Account: "A:hafez", PPM: 500_000}, {Account: "B:saadi", PPM: 500_000}}},
		{"other letter forms and punctuation make no difference",
			attribution.Answer{Output: []byte(strings.ReplaceAll(strings.ToUpper(excerpt(hafez, 0, 10)), " ", " … "))},
			[]receipt.Share{{Account: "A:hafez", PPM: 1_000_000}}},
		{"what the consumer sent is not paid",
			attribution.Answer{Output: []byte(excerpt(hafez, 3, 13)), Prompt: [][]byte{[]byte("complete: " + hafez)}}, nil},
		{"what the host added is paid",
			attribution.Answer{Output: []byte(excerpt(hafez, 3, 13)), Context: [][]byte{[]byte(hafez)}},
			[]receipt.Share{{Account: "A:hafez", PPM: 1_000_000}}},
		{"two words are too few",
			attribution.Answer{Output: []byte(excerpt(hafez, 3, 5))}, nil},
		{"a larger tau asks for longer spans",
			attribution.Answer{Output: []byte(excerpt(hafez, 3, 6)), Tau: attribution.MaxTau}, nil},
		{"foreign words pay nobody",
			attribution.Answer{Output: []byte(line("foreign", 40))}, nil},
		{"nothing matches across the border of two records",
			attribution.Answer{Output: []byte(excerpt(hafez, 18, 20) + " " + excerpt(line("more", 30), 0, 2))}, nil},
		{"an empty output pays nobody", attribution.Answer{}, nil},
	} {
		t.Run(c.claim, func(t *testing.T) {
			r := attribute(t, corpus, c.answer)
			require.Equal(t, c.shares, r.Shares)
			require.Equal(t, len(c.shares) > 0, r.CoveragePPM > 0)
		})
	}
}

func TestOfTwoSpansThatTellTheSameTheLeftmostOwnsWhatBothCover(t *testing.T) {
	corpus := attribution.Corpus{contribution("1", "a", "one two three four"), contribution("2", "b", "three four five six")}
	r := attribute(t, corpus, attribution.Answer{Output: []byte("one two three four five six")})
	require.Len(t, r.Spans, 2)
	require.Equal(t, r.Spans[0].Information, r.Spans[1].Information)
	once, twice := attribution.Information(r.N, r.V, 1), attribution.Information(r.N, r.V, 2)
	require.Equal(t, 2*once+2*twice, r.Spans[0].Credit)
	require.Equal(t, 2*once, r.Spans[1].Credit)
}

func TestASpanThatJustReachesTheThresholdIsKept(t *testing.T) {
	// N = V = 8, so a token that occurs once tells log₂ 16 − log₂ 2 = 3 bits, and three of them 9, which is
	// log₂ 8 for the corpus, log₂ 4 for the output and 4 for tau.
	corpus := attribution.Corpus{contribution("1", "a", "one two three four five six seven", "seven")}
	r := attribute(t, corpus, attribution.Answer{Output: []byte("one two three other"), Tau: 4})
	require.Len(t, r.Spans, 1)
	require.Equal(t, uint64(9*attribution.Bit), r.Spans[0].Information)
	r = attribute(t, corpus, attribution.Answer{Output: []byte("one two three other"), Tau: 5})
	require.Empty(t, r.Spans)
}

func TestWhoRegistersLaterWhatStandsThereAlreadyEarnsNothing(t *testing.T) {
	paid := 0
	for seed := range uint64(2000) {
		corpus, answer := drawnCase(seed)
		r := rand.New(rand.NewPCG(seed, 2))
		copier := attribution.Contribution{ID: "copy", Account: "copier"}
		for _, c := range corpus {
			for _, text := range c.Records {
				list := words(text)
				a := r.IntN(len(list) + 1)
				b := a + r.IntN(len(list)+1-a)
				copier.Records = append(copier.Records, []byte(strings.Join(list[a:b], " ")))
			}
		}
		for _, share := range attribute(t, append(corpus, copier), answer).Shares {
			require.NotEqual(t, "copier", share.Account, "case %d", seed)
			paid++
		}
	}
	require.Greater(t, paid, 300, "the cases should pay somebody")
}

func TestACopyInANewFrameEarnsNothingByTheCopy(t *testing.T) {
	poem := line("poem", 12)
	framed := line("before", 6) + " " + poem + " " + line("after", 6)
	corpus := attribution.Corpus{contribution("p", "poet", poem), contribution("f", "copier", framed)}
	r := attribute(t, corpus, attribution.Answer{Output: []byte(framed)})
	require.Len(t, r.Spans, 1, "the whole stands in the copier's record only")
	require.Equal(t, "f", r.Spans[0].Home.Contribution)
	require.Equal(t, []receipt.Payee{
		{Account: "copier", Credit: 12 * attribution.Information(r.N, r.V, 1)},
		{Account: "poet", Credit: 12 * attribution.Information(r.N, r.V, 2)},
	}, r.Spans[0].Payees, "the frame is the copier's, the poem the poet's")
	r = attribute(t, corpus, attribution.Answer{Output: []byte(poem)})
	require.Equal(t, []receipt.Share{{Account: "poet", PPM: 1_000_000}}, r.Shares)
}

func TestANewEngineRefusesABrokenCorpus(t *testing.T) {
	_, err := plain.New(attribution.Corpus{contribution("a", "x"), contribution("a", "y")})
	require.ErrorContains(t, err, "twice")
	_, err = plain.New(attribution.Corpus{contribution("a", "")})
	require.Error(t, err)
}

func TestAnAnswerThatDoesNotFitGivesNoReceipt(t *testing.T) {
	engine, err := plain.New(nil)
	require.NoError(t, err)
	_, err = engine.Receipt(attribution.Answer{Tau: 31})
	require.ErrorContains(t, err, "tau")
	_, err = engine.Receipt(attribution.Answer{Model: strings.Repeat("m", 65_536)})
	require.ErrorContains(t, err, "16 bits")
	many := make([]merkle.Hash, 65_536)
	for i := range many {
		many[i] = merkle.Leaf(fmt.Append(nil, i))
	}
	_, err = engine.Receipt(attribution.Answer{Roots: many})
	require.ErrorContains(t, err, "16 bits")
	_, err = engine.Receipt(attribution.Answer{Roots: make([]merkle.Hash, 65_536)})
	require.NoError(t, err, "one root, however often it is named")
}

// BenchmarkReceipt makes receipts for outputs of 100 tokens over a corpus of half a megabyte.
func BenchmarkReceipt(b *testing.B) {
	var record bytes.Buffer
	state := uint32(1)
	for range 100_000 {
		state = state*1664525 + 1013904223
		fmt.Fprintf(&record, "w%d ", (state>>16)%(1+state>>24*16))
	}
	text := record.Bytes()
	engine, err := plain.New(attribution.Corpus{{ID: "a", Account: "x", Records: [][]byte{text[:len(text)/2], text[len(text)/2:]}}})
	require.NoError(b, err)
	answer := attribution.Answer{Output: []byte(strings.Join(strings.Fields(string(text))[1000:1100], " "))}
	for b.Loop() {
		_, err := engine.Receipt(answer)
		require.NoError(b, err)
	}
}

func Example() {
	engine, err := plain.New(attribution.Corpus{
		{ID: "c1", Account: "PoetrySocietyMSP:7d1e", Records: [][]byte{[]byte("توانا بود هر که دانا بود\nز دانش دل پیر برنا بود")}},
		{ID: "c2", Account: "NationalLibraryMSP:02b9", Records: [][]byte{[]byte("بنی آدم اعضای یک پیکرند\nکه در آفرینش ز یک گوهرند")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := engine.Receipt(attribution.Answer{
		Model:  "AILabMSP/verse@1",
		Output: []byte("گفت: «بني آدم اعضای یک پیکرند، که در آفرینش ز یک گوهرند»"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, share := range r.Shares {
		fmt.Printf("%s: %d ppm of %d ppm of the answer\n", share.Account, share.PPM, r.CoveragePPM)
	}
	// Output:
	// NationalLibraryMSP:02b9: 1000000 ppm of 886622 ppm of the answer
}
