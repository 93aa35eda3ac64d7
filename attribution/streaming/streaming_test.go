package streaming

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

var cases = flag.Int("cases", 10_000, "how many random cases to compare with the plain engine")

func TestTheReceiptsOfThePublishedExamplesAreEqualByteForByte(t *testing.T) {
	examples, err := golden.Examples()
	require.NoError(t, err)
	for i, example := range examples {
		engine, err := New(example.Corpus)
		require.NoError(t, err, "example %d", i)
		r, err := engine.Receipt(t.Context(), example.Answer)
		require.NoError(t, err, "example %d", i)
		encoded, err := r.Encode()
		require.NoError(t, err, "example %d", i)
		require.Equal(t, hex.EncodeToString(example.Receipt), hex.EncodeToString(encoded), "example %d", i)
	}
}

// alphabets are what cases are drawn from: many words, few of them so that everything repeats, tokens of one
// rune so that passages are long, and words whose letters are cut, folded or broken.
var alphabets = [][]string{
	strings.Fields(numbered("word", 200)),
	strings.Fields(numbered("w", 12)),
	strings.Split("abcdefghijklmnopqrstuvwxyz", ""),
	{"a", "b"},
	{"aa", "b", "ccc"},
	strings.Split("中文字典漢語詩詞天地玄黃宇宙洪荒", ""),
	{"کتاب", "كتاب", "دل", "می\u200cروم", "½", "ﬁn", "\xff", "x\xfey", "日本", "…", strings.Repeat("long", 20), "عِلْـــم"},
}

func numbered(word string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d ", word, i)
	}
	return b.String()
}

// draw returns a corpus whose records repeat each other and some answers that repeat them.
func draw(seed uint64) (attribution.Corpus, []attribution.Answer) {
	r := rand.New(rand.NewPCG(seed, 7))
	words := alphabets[r.IntN(len(alphabets))]
	text := golden.Texts(r, words)
	var corpus attribution.Corpus
	for i := range r.IntN(8) {
		c := attribution.Contribution{ID: fmt.Sprint("c", i), Account: string(rune('a' + r.IntN(4)))}
		for range r.IntN(5) {
			c.Records = append(c.Records, text())
		}
		corpus = append(corpus, c)
	}
	answers := make([]attribution.Answer, 1+r.IntN(3))
	for i := range answers {
		answers[i] = attribution.Answer{Model: "m@1", Tau: uint8(r.IntN(3) / 2 * r.IntN(attribution.MaxTau+1)), Output: text()}
		for range r.IntN(3) {
			answers[i].Prompt = append(answers[i].Prompt, text())
		}
	}
	return corpus, answers
}

func TestReceiptsAreThoseOfThePlainEngine(t *testing.T) {
	defer func(most int) { mostNodes = most }(mostNodes)
	spans, divided, compared := 0, 0, 0
	for seed := uint64(0); compared < *cases; seed++ {
		corpus, answers := draw(seed)
		slow, err := plain.New(corpus)
		require.NoError(t, err)
		mostNodes = []int{1 << 21, 0, 40}[seed%3] // origins with one pass, with one for each span, and between
		// Small pieces put borders of windows everywhere.
		fast, err := newEngine(corpus, 1+int(seed%23))
		require.NoError(t, err)
		got, err := fast.Receipts(t.Context(), answers...)
		require.NoError(t, err, "seed %d", seed)
		for i, answer := range answers {
			want, err := slow.Receipt(answer)
			require.NoError(t, err)
			expected, err := want.Encode()
			require.NoError(t, err)
			actual, err := got[i].Encode()
			require.NoError(t, err)
			if !bytes.Equal(expected, actual) {
				require.Equal(t, want, got[i], "seed %d, answer %d", seed, i)
			}
			compared++
			spans += len(want.Spans)
			for _, s := range want.Spans {
				if len(s.Payees) > 1 {
					divided++
				}
			}
		}
	}
	require.Greater(t, spans, *cases/4, "the cases should credit something")
	require.Greater(t, divided, *cases/100, "some spans should be divided among origins")
}

func engineOf(t testing.TB, texts ...string) *Engine {
	var corpus attribution.Corpus
	for i, text := range texts {
		corpus = append(corpus, attribution.Contribution{ID: fmt.Sprint("c", i), Account: fmt.Sprint("A:", i), Records: [][]byte{[]byte(text)}})
	}
	engine, err := New(corpus)
	require.NoError(t, err)
	return engine
}

func TestVerifyNamesTheFirstFieldThatIsWrong(t *testing.T) {
	poem, other := numbered("poem", 20), numbered("other", 20)
	engine := engineOf(t, poem, other)
	answer := attribution.Answer{Model: "m@1", Output: []byte(poem[:60] + other[:60])}
	honest, err := engine.Receipt(t.Context(), answer)
	require.NoError(t, err)
	require.NoError(t, engine.Verify(t.Context(), honest, answer))
	require.Len(t, honest.Spans, 2)

	for field, forge := range map[string]func(*receipt.Receipt){
		"number of corpus tokens":   func(r *receipt.Receipt) { r.N++ },
		"model":                     func(r *receipt.Receipt) { r.Model = "n@1" },
		"commitment to the output":  func(r *receipt.Receipt) { r.Output[0]++ },
		"tau":                       func(r *receipt.Receipt) { r.Tau = 3 },
		"coverage in ppm":           func(r *receipt.Receipt) { r.CoveragePPM-- },
		"number of spans":           func(r *receipt.Receipt) { r.Spans = r.Spans[:1] },
		"span 1: end":               func(r *receipt.Receipt) { r.Spans[1].End-- },
		"span 0: home contribution": func(r *receipt.Receipt) { r.Spans[0].Home.Contribution = "c1" },
		"span 1: payee 0: account":  func(r *receipt.Receipt) { r.Spans[1].Payees = []receipt.Payee{{Account: "thief", Credit: 1}} },
		"share 0: ppm":              func(r *receipt.Receipt) { r.Shares[0].PPM++ },
	} {
		forged, err := engine.Receipt(t.Context(), answer)
		require.NoError(t, err)
		forge(forged)
		var mismatch *receipt.Mismatch
		require.ErrorAs(t, engine.Verify(t.Context(), forged, answer), &mismatch, field)
		require.Equal(t, field, mismatch.Field)
		require.NotEqual(t, mismatch.Claimed, mismatch.Computed)
	}
	answer.Output = answer.Output[1:]
	require.Error(t, engine.Verify(t.Context(), honest, answer), "the receipt is of another answer")
}

// A search that looks at every pair of equal places would not end here.
func TestRepetitionsAreSearchedInLinearTime(t *testing.T) {
	same, poem := strings.Repeat("again ", 10_000), numbered("poem", 20)
	engine := engineOf(t, strings.Repeat(same+poem, 4), same)
	r, err := engine.Receipt(t.Context(), attribution.Answer{Output: []byte(strings.Repeat(same, 2) + poem)})
	require.NoError(t, err)
	require.Len(t, r.Spans, 1)
	require.Equal(t, uint32(10_000), r.Spans[0].Start, "all repetitions before the poem that the corpus has too")
	require.Equal(t, uint64(4), r.Spans[0].Occurrences)
}

func TestABrokenCorpusIsRefused(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file)
	require.ErrorContains(t, w.Record([]byte("text")), "before the first contribution")
	require.ErrorContains(t, w.Contribution("", "a"), "is empty")
	require.ErrorContains(t, w.Contribution("c", "a\x00"), "NUL")
	require.NoError(t, w.Contribution("c", "a"))
	require.ErrorContains(t, w.Contribution("c", "b"), "twice")
}

func TestAnAnswerThatDoesNotFitGivesNoReceipt(t *testing.T) {
	for _, engine := range []*Engine{engineOf(t), engineOf(t, "some text")} {
		_, err := engine.Receipt(t.Context(), attribution.Answer{Tau: 31})
		require.ErrorContains(t, err, "tau")
		_, err = engine.Receipt(t.Context(), attribution.Answer{Model: strings.Repeat("m", 65_536)})
		require.ErrorContains(t, err, "16 bits")
	}
}

func TestACancelledCheckStops(t *testing.T) {
	engine := engineOf(t, numbered("poem", 20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := engine.Receipt(ctx, attribution.Answer{Output: []byte(numbered("poem", 20))})
	require.ErrorIs(t, err, ctx.Err())
}

// written returns a token stream of two poems in small pieces.
func written(t testing.TB) []byte {
	var file bytes.Buffer
	w := newWriter(&file, 8)
	for i, text := range []string{numbered("poem", 20), numbered("other", 20), numbered("poem", 10)} {
		require.NoError(t, w.Contribution(fmt.Sprint("c", i), fmt.Sprint("A:", i)))
		require.NoError(t, w.Record([]byte(text)))
	}
	require.NoError(t, w.Close())
	return file.Bytes()
}

func TestEveryDamageToATokenStreamIsNoticed(t *testing.T) {
	good := written(t)
	answer := attribution.Answer{Output: []byte(numbered("poem", 20) + numbered("other", 20))}
	check := func(file []byte) error {
		engine, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return err
		}
		_, err = engine.Receipt(t.Context(), answer)
		return err
	}
	require.NoError(t, check(good))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		require.ErrorIs(t, check(bad), ErrDamaged, "byte %d of %d", i, len(good))
	}
	for i := range good {
		require.Error(t, check(good[:i]), "cut after %d bytes of %d", i, len(good))
	}
	require.ErrorIs(t, check(append(bytes.Clone(good), 0)), ErrDamaged)
}

func FuzzOpen(f *testing.F) {
	f.Add(written(f))
	f.Add([]byte(magic))
	var empty bytes.Buffer
	require.NoError(f, NewWriter(&empty).Close())
	f.Add(empty.Bytes())
	answer := attribution.Answer{Output: []byte(numbered("poem", 20) + numbered("other", 20))}
	f.Fuzz(func(t *testing.T, file []byte) {
		file = bytes.Clone(file)
		reseal(file)
		engine, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		// Whatever passes for a token stream is read without a panic.
		_, _ = engine.Receipt(t.Context(), answer)
	})
}

// reseal gives a file the checksum of its tail that it needs to be looked at.
func reseal(file []byte) {
	if len(file) < footerSize {
		return
	}
	footer := file[len(file)-footerSize:]
	size := binary.LittleEndian.Uint64(footer[40:])
	if size > uint64(len(file)-footerSize) {
		return
	}
	tail := file[uint64(len(file)-footerSize)-size : len(file)-footerSize]
	binary.LittleEndian.PutUint32(footer[52:], crc32.Update(crc32.Checksum(tail, castagnoli), castagnoli, footer[:52]))
}

// BenchmarkReceipt makes receipts for outputs of 100 tokens over a corpus of ten million.
func BenchmarkReceipt(b *testing.B) {
	var file bytes.Buffer
	w := NewWriter(&file)
	require.NoError(b, w.Contribution("a", "x"))
	var record bytes.Buffer
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, 1.1, 2, 500_000)
	for range 100 {
		record.Reset()
		for range 100_000 {
			fmt.Fprintf(&record, "w%d ", zipf.Uint64())
		}
		require.NoError(b, w.Record(record.Bytes()))
	}
	require.NoError(b, w.Close())
	engine, err := Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(b, err)
	answer := attribution.Answer{Output: []byte(strings.Join(strings.Fields(record.String())[1000:1100], " "))}
	for b.Loop() {
		_, err := engine.Receipt(b.Context(), answer)
		require.NoError(b, err)
	}
}
