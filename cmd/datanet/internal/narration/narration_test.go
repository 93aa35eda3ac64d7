package narration_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
)

func TestVerse(t *testing.T) {
	runs := []narration.Run{{Text: "one two", From: 1}, {Text: " and "}, {Text: "three\nfour", From: 2}, {Text: "\x1b[31m\a!"}}
	var plain, colour bytes.Buffer
	narration.New(&plain, false, false).Verse(runs)
	require.Equal(t, "      [1: one two] and [2: three\n      four][31m!\n", plain.String(), "brackets where there are no colours, no control characters")
	narration.New(&colour, true, true).Verse(runs)
	require.Equal(t, "      \x1b[38;5;33mone two\x1b[0m and \x1b[38;5;166mthree\x1b[0m\n      \x1b[38;5;166mfour\x1b[0m[31m!\n", colour.String(),
		"no colour runs over the end of a line")
}

func TestProgressIsForTerminalsAndDisappears(t *testing.T) {
	var file, terminal bytes.Buffer
	for out, n := range map[*bytes.Buffer]*narration.Narrator{&file: narration.New(&file, false, false), &terminal: narration.New(&terminal, true, false)} {
		n.Progress("1 of 2")
		n.Progress("2 of 2")
		n.Say("done")
		require.Contains(t, out.String(), "   done\n")
	}
	require.Equal(t, "   done\n", file.String())
	require.Equal(t, "   1 of 2\r\x1b[K   2 of 2\r\x1b[K   done\n", terminal.String())
}

func TestTablesAlignTheirColumns(t *testing.T) {
	var out bytes.Buffer
	narration.New(&out, false, false).Table([][]string{{"poet", "lines"}, {"hafez", "9"}, {"saadi", "10"}})
	require.Equal(t, "   poet   lines\n   ────   ─────\n   hafez  9\n   saadi  10\n", out.String())
}
