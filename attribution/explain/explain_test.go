package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/explain"
	"github.com/datanet-consortium/datanet/attribution/plain"
)

const (
	hafez = "الا یا ایها الساقی ادر کأسا و ناولها\nکه عشق آسان نمود اول ولی افتاد مشکل‌ها"
	other = "seven lonely elephants <b>walked</b> slowly & quietly towards distant purple mountains"
)

func explained(t testing.TB, output string) *explain.Explanation {
	engine, err := plain.New(attribution.Corpus{
		{ID: "c1", Account: "A:hafez", Records: [][]byte{[]byte("پیش از این\n" + hafez + "\nو پس از آن")}},
		{ID: "c2", Account: "B:<other>", Records: [][]byte{[]byte("short words that come first\n" + other)}},
	})
	require.NoError(t, err)
	r, err := engine.Receipt(attribution.Answer{Output: []byte(output)})
	require.NoError(t, err)
	e, err := explain.New(r, []byte(output))
	require.NoError(t, err)
	return e
}

func TestPiecesAreTheWholeOutput(t *testing.T) {
	output := "« " + hafez + " » and then: " + strings.ToUpper(other) + "!"
	e := explained(t, output)
	require.Len(t, e.Passages, 2)
	var all, marked strings.Builder
	for _, piece := range e.Pieces {
		all.WriteString(piece.Text)
		if piece.Passage >= 0 {
			fmt.Fprintf(&marked, "[%d %s]", piece.Passage, piece.Text)
			require.Equal(t, e.Passages[piece.Passage].Text, piece.Text)
		}
	}
	require.Equal(t, output, all.String())
	require.Equal(t, "[0 "+hafez+"][1 "+strings.ToUpper(other)+"]", marked.String())
	require.Equal(t, "A:hafez", e.Contributors[e.Passages[0].Contributor].Account)
}

func TestAPassageIsShownInItsRecord(t *testing.T) {
	e := explained(t, strings.ToUpper(other))
	p := &e.Passages[0]
	require.NoError(t, p.Surround([]byte("short words that come first\n"+other), 2))
	require.Equal(t, "… come first\n", p.Before)
	require.Equal(t, other, p.Home)
	require.Empty(t, p.After)
	require.ErrorContains(t, p.Surround([]byte("short words"), 2), "ends before")
	require.ErrorContains(t, p.Surround([]byte(strings.Repeat("word ", 40)), 2), "does not stand")
}

func TestAReceiptOfAnotherOutputIsNotExplained(t *testing.T) {
	e := explained(t, other)
	_, err := explain.New(e.Receipt, []byte(other+"!"))
	require.ErrorContains(t, err, "is about an output of")
}

func TestTerminal(t *testing.T) {
	e := explained(t, "\x1b[31m\u202e«"+hafez+"» new words "+other)
	var marked, coloured strings.Builder
	require.NoError(t, e.Terminal(&marked, false))
	require.NoError(t, e.Terminal(&coloured, true))
	require.Contains(t, marked.String(), "«[1: \u2068", "text from right to left is isolated")
	require.Contains(t, marked.String(), "\u2069\n  \u2068", "on each line")
	require.Contains(t, marked.String(), "B:<other>")
	require.Contains(t, marked.String(), explain.Claim)
	require.NotContains(t, marked.String(), "\x1b")
	require.NotContains(t, coloured.String(), "\x1b[31m", "the text's own escapes are left out")
	require.NotContains(t, coloured.String()+marked.String(), "\u202e")
	for line := range strings.SplitSeq(coloured.String(), "\n") {
		require.Equal(t, strings.Count(line, "\x1b[38;5;"), strings.Count(line, "\x1b[0m"), "no colour runs over a line's end")
	}
	var none strings.Builder
	require.NoError(t, explained(t, "nothing of it stands anywhere else").Terminal(&none, false))
	require.Contains(t, none.String(), "No passage of it is credited")
}

func TestTheSharesAreWrittenAsTheyAre(t *testing.T) {
	require.Equal(t, "100.00 %", explain.Percent(1_000_000))
	require.Equal(t, "0.01 %", explain.Percent(199))
	require.Equal(t, "1.5", explain.Bits(3<<15))
	require.Equal(t, "0.0", explain.Bits(1))
}

func TestHTMLEscapesEverything(t *testing.T) {
	e := explained(t, hafez+" <script>alert(1)</script> "+other)
	require.NoError(t, e.Passages[1].Surround([]byte("short words that come first\n"+other), 2))
	var page strings.Builder
	require.NoError(t, e.HTML(&page))
	require.NotContains(t, page.String(), "<script")
	require.NotContains(t, page.String(), "<b>")
	require.NotContains(t, page.String(), "<other>")
	require.Contains(t, page.String(), "&lt;script&gt;")
	require.NotContains(t, page.String(), "http://")
	require.NotContains(t, page.String(), "https://", "the page loads nothing")
	id, err := e.Receipt.ID()
	require.NoError(t, err)
	require.Contains(t, page.String(), id.String())
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain\x1b[0m\u202etext\xff")
	f.Fuzz(func(t *testing.T, text string) {
		shown := explain.Printable(text)
		require.NotContains(t, shown, "\x1b")
		require.NotContains(t, shown, "\r")
		require.Equal(t, shown, explain.Printable(shown))
	})
}
