package serving

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// slowly is what an output comes to, found by looking at the whole text at once.
func slowly(text string, limit uint64, stops []string) (string, string) {
	finish := ""
	cut := len(text)
	for _, s := range stops {
		if at := strings.Index(text, s); at >= 0 && at < cut {
			cut, finish = at, openai.FinishStop
		}
	}
	text = text[:cut]
	if evidence.Tokens([]byte(text)) > limit {
		finish = openai.FinishLength
		for evidence.Tokens([]byte(text)) > limit {
			_, size := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-size]
		}
	}
	return text, finish
}

func TestAnOutputIsCutAtItsLimitsHoweverItComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "b", "ab", " ", "\n", ".", "ﷺ", "見", "é", "😀", "١", "َ", strings.Repeat("long", 20)})
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(letters, 0, 5).Draw(t, "part"), "")
		}), 0, 20).Draw(t, "parts")
		limit := rapid.Uint64Range(1, 30).Draw(t, "limit")
		stops := rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "b ", "aab", ".\n", "見a", "bbbb"}), 0, 3).Draw(t, "stops")
		var passed strings.Builder
		o := &output{limit: limit, stops: stops, emit: func(p string) error { passed.WriteString(p); return nil }}
		var err error
		for _, p := range parts {
			if err = o.write(p); err != nil {
				require.Equal(t, errFull, err)
				break
			}
			require.True(t, strings.HasPrefix(string(o.text), passed.String()), "what was passed on is not taken back")
			require.LessOrEqual(t, evidence.Tokens([]byte(passed.String())), limit)
		}
		require.NoError(t, o.end(openai.FinishStop))
		require.Equal(t, string(o.text), passed.String())
		require.LessOrEqual(t, o.tokens(), limit)
		require.Equal(t, evidence.Tokens(o.text), o.tokens())
		require.True(t, utf8.Valid(o.text))
		whole, finish := slowly(strings.Join(parts, ""), limit, stops)
		if finish == "" {
			require.NoError(t, err)
			finish = openai.FinishStop
		}
		// Cut before a token, the text keeps the white space that stands there; and where one rune makes several tokens it
		// loses them together.
		require.Equal(t, finish, o.finish)
		require.True(t, strings.HasPrefix(strings.Join(parts, ""), string(o.text)))
		if finish == openai.FinishStop {
			require.Equal(t, whole, string(o.text))
		} else {
			require.GreaterOrEqual(t, len(o.text), len(strings.TrimRight(whole, "ﷺ")))
		}
	})
}
