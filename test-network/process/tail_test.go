package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTailReturnsTheLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for content, want := range map[string][]string{
		"":                 nil,
		"\n":               nil,
		"one":              {"one"},
		"one\ntwo\n":       {"one", "two"},
		"one\ntwo\nthree":  {"two", "three"},
		"one\n\nthree\n\n": {"", "three"},
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		got, err := Tail(path, 2)
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", content)
	}
	_, err := Tail(path+"absent", 2)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTailReadsABoundedPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 3*tailBytes/100)), 0o600))
	got, err := Tail(path, 1<<30)
	require.NoError(t, err)
	require.LessOrEqual(t, len(got), tailBytes/100+1)
}

func FuzzLastLines(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), 1)
	f.Add([]byte("\xff\xfe\n"), 3)
	f.Add([]byte(strings.Repeat("x", 3*lineBytes)), 2)
	f.Fuzz(func(t *testing.T, content []byte, n int) {
		got := lastLines(content, n)
		require.LessOrEqual(t, len(got), max(0, n))
		for _, line := range got {
			require.True(t, utf8.ValidString(line))
			require.LessOrEqual(t, len(line), 3*lineBytes+len("…"))
		}
	})
}
