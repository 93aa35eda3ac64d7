package text1_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

func TestTheEmbeddedTableIsTheFrozenOne(t *testing.T) {
	digest := sha256.Sum256([]byte(text1.Table()))
	require.Equal(t, "c0363adb46db7e45f9dde15a192f52034d7f1d98022e90e1186040cec07ddc41", hex.EncodeToString(digest[:]))
}

func TestTokens(t *testing.T) {
	for _, c := range []struct{ claim, text, want string }{
		{"case and diacritics make no difference", "Café CAFE\u0301", "cafe cafe"},
		{"Arabic letters become their Persian forms", "كتاب علي", "کتاب علی"},
		{"harakat and tatweel vanish", "عِلْـــم", "علم"},
		{"digits of all scripts are equal", "۱۲ ١٢ 12", "12 12 12"},
		{"ZWNJ separates", "می\u200cروم", "می روم"},
		{"a zero-width joiner vanishes", "a\u200db", "ab"},
		{"each Han character is a token", "ab中文c", "ab 中 文 c"},
		{"one rune may become several tokens", "½", "1 2"},
		{"a ligature is its letters", "ﬁn", "fin"},
		{"an invalid byte separates", "a\xffb", "a b"},
		{"punctuation alone is nothing", " … — ! ", ""},
		{"nothing is nothing", "", ""},
	} {
		t.Run(c.claim, func(t *testing.T) {
			var got []string
			for _, token := range text1.Tokens([]byte(c.text)) {
				got = append(got, token.Text)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

func TestATokenIsCutAfter64Runes(t *testing.T) {
	tokens := text1.Tokens([]byte(strings.Repeat("a", 129)))
	require.Equal(t, []text1.Token{
		{Text: strings.Repeat("a", 64), Runes: 64, Start: 0, End: 64},
		{Text: strings.Repeat("a", 64), Runes: 64, Start: 64, End: 128},
		{Text: "a", Runes: 1, Start: 128, End: 129},
	}, tokens)
	require.Len(t, text1.Tokens([]byte(strings.Repeat("a", 64)+" b")), 2)
}

func TestTheByteRangeLeavesOutDroppedRunesAtTheEnds(t *testing.T) {
	text := "\u0640a\u0301b\u0301 c"
	require.Equal(t, []text1.Token{
		{Text: "ab", Runes: 2, Start: 2, End: 6},
		{Text: "c", Runes: 1, Start: 9, End: 10},
	}, text1.Tokens([]byte(text)))
	require.Equal(t, []text1.Token{
		{Text: "x1", Runes: 2, Start: 0, End: 3},
		{Text: "2", Runes: 1, Start: 1, End: 3},
	}, text1.Tokens([]byte("x½")), "a rune that gives items to two tokens lies in both ranges")
}

// slow reads the table line by line and applies the definition without any of the package's structures.
type slow map[rune][]string

func readSlow() slow {
	items := make(slow)
	for line := range strings.Lines(text1.Table()) {
		fields := strings.Fields(line)
		first, _ := strconv.ParseInt(fields[0], 16, 32)
		last, _ := strconv.ParseInt(fields[1], 16, 32)
		for r := first; r <= last; r++ {
			items[rune(r)] = fields[2:]
		}
	}
	return items
}

func (s slow) tokens(text []byte) []text1.Token {
	type piece struct {
		kind       byte
		r          rune
		start, end int
	}
	var pieces []piece
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRune(text[i:])
		items, covered := s[r]
		if !covered {
			items = []string{"|"}
		}
		for _, item := range items {
			p := piece{kind: item[0], r: r, start: i, end: i + width}
			if len(item) > 1 {
				n, _ := strconv.ParseInt(item[1:], 16, 32)
				p.r = rune(n)
			}
			if p.kind != '-' {
				pieces = append(pieces, p)
			}
		}
		i += width
	}
	var tokens []text1.Token
	fresh := true
	for _, p := range pieces {
		switch {
		case p.kind == '|':
			fresh = true
			continue
		case fresh || p.kind == 'c' || tokens[len(tokens)-1].Runes == text1.MaxRunes:
			tokens = append(tokens, text1.Token{Start: p.start})
		}
		last := &tokens[len(tokens)-1]
		last.Text += string(p.r)
		last.Runes++
		last.End = p.end
		fresh = p.kind == 'c'
	}
	return tokens
}

func TestEveryRuneBecomesWhatItsLineSays(t *testing.T) {
	reference := readSlow()
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		text := []byte(fmt.Sprintf("a%cb", r))
		if got, want := text1.Tokens(text), reference.tokens(text); !equal(got, want) {
			require.Equal(t, want, got, "%04X", r)
		}
	}
}

func equal(a, b []text1.Token) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTokensFollowTheDefinitionOnAnyBytes(t *testing.T) {
	reference := readSlow()
	piece := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("ab ½ﷺ中อ\u0640\u0301\u200cفي٣|ﬃ㍿")), 0, 20, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(60, 70), func(n int) string { return strings.Repeat("x", n) }),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "text"), ""))
		require.Equal(t, reference.tokens(text), text1.Tokens(text))
	})
}

func FuzzTokens(f *testing.F) {
	for _, seed := range []string{"", "Café ½", "علي می\u200cروم", "中文 ab", "\xff\xed\xa0\x80", strings.Repeat("ﷺ", 30)} {
		f.Add([]byte(seed))
	}
	reference := readSlow()
	f.Fuzz(func(t *testing.T, text []byte) {
		require.Equal(t, reference.tokens(text), text1.Tokens(text))
	})
}

func BenchmarkScanner(b *testing.B) {
	text := []byte(strings.Repeat("توانا بود هر که دانا بود ز دانش دل پیر برنا بود. ", 1000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for s := text1.NewScanner(text); s.Next(); {
		}
	}
}

func ExampleTokens() {
	for _, token := range text1.Tokens([]byte("كتابِ Saʿdī")) {
		fmt.Println(token.Text, token.Start, token.End)
	}
	// Output:
	// کتاب 0 8
	// saʿdi 11 18
}
