package explain

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Terminal prints an explanation for people: the text with its passages marked, where they stand, and the table
// of shares. With colours a passage has that of its contributor, without it stands in brackets behind its number.
func (e *Explanation) Terminal(out io.Writer, colour bool) error {
	t := terminal{colour: colour}
	t.text(e)
	t.passages(e)
	t.table(e)
	fmt.Fprintf(&t.b, "\n%s\n", Claim)
	_, err := io.WriteString(out, t.b.String())
	return err
}

type terminal struct {
	b      strings.Builder
	colour bool
}

func (t *terminal) text(e *Explanation) {
	var b strings.Builder
	for _, piece := range e.Pieces {
		text := Printable(piece.Text)
		switch {
		case piece.Passage < 0:
			b.WriteString(text)
		case t.colour:
			b.WriteString(Paint(e.Passages[piece.Passage].Contributor, text))
		default:
			fmt.Fprintf(&b, "[%d: %s]", e.Passages[piece.Passage].Contributor+1, isolate(text))
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
		fmt.Fprintf(&t.b, "  %s\n", line)
	}
}

func (t *terminal) passages(e *Explanation) {
	for _, p := range e.Passages {
		if !p.Found {
			continue
		}
		fmt.Fprintf(&t.b, "\n%s%s, record %d, token %d; it stands in the corpus %s\n", t.mark(p.Contributor),
			isolate(Printable(p.Span.Home.Contribution)), p.Span.Home.Record, p.Span.Home.Token, times(p.Span.Occurrences))
		home := Printable(p.Home)
		if t.colour {
			home = Paint(p.Contributor, home)
		} else {
			home = "[" + isolate(home) + "]"
		}
		for line := range strings.SplitSeq(Printable(p.Before)+home+Printable(p.After), "\n") {
			fmt.Fprintf(&t.b, "    %s\n", line)
		}
	}
}

// table puts names last, so that the width and the direction of their letters disturb no column.
func (t *terminal) table(e *Explanation) {
	coverage := e.Receipt.CoveragePPM
	if len(e.Contributors) == 0 {
		t.b.WriteString("\nNo passage of it is credited to anybody.\n")
		return
	}
	fmt.Fprintf(&t.b, "\n%s of what the text tells is credited:\n", Percent(coverage))
	w := tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "share\tbits\tpassages\t  contributor")
	for i, c := range e.Contributors {
		fmt.Fprintf(w, "%s\t%s\t%d\t  %s%s\n", Percent(c.PPM), Bits(c.Credit), c.Passages, t.mark(i), isolate(Printable(c.Account)))
	}
	// A strings.Builder takes everything.
	_ = w.Flush()
}

func (t *terminal) mark(contributor int) string {
	if t.colour {
		return Paint(contributor, "■ ")
	}
	return fmt.Sprintf("[%d] ", contributor+1)
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Percent writes millionths as a percentage.
func Percent(ppm uint32) string { return fmt.Sprintf("%d.%02d %%", ppm/10_000, ppm/100%100) }

// Bits writes information, which is in units of 2⁻¹⁶ bit, in bits.
func Bits(q16 uint64) string {
	tenths := (q16*10 + 1<<15) >> 16
	return fmt.Sprintf("%d.%d", tenths/10, tenths%10)
}

// Printable leaves out what would act on a terminal or turn text around instead of showing: control characters
// but line feed and tab, and the directional overrides, embeddings and isolates. Bytes that are no text
// become U+FFFD.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == 0x2028, r == 0x2029:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// isolate keeps text that runs from right to left from turning around what stands beside it. An isolate ends with
// its line, so each line has its own.
func isolate(text string) string {
	if !strings.ContainsFunc(text, rightToLeft) {
		return text
	}
	return "\u2068" + strings.ReplaceAll(text, "\n", "\u2069\n\u2068") + "\u2069"
}

func rightToLeft(r rune) bool {
	return 0x590 <= r && r <= 0x8ff || 0xfb1d <= r && r <= 0xfdff || 0xfe70 <= r && r <= 0xfeff || 0x10800 <= r && r <= 0x10fff || 0x1e800 <= r && r <= 0x1efff
}

// palette has colours that are told apart on dark and light grounds, as numbers of the usual 256 and for the web.
var palette = []struct {
	number int
	web    string
}{
	{33, "#0b61a4"}, {166, "#b34700"}, {35, "#00803c"}, {162, "#b0006f"}, {136, "#7a5c00"}, {61, "#4b4e9d"},
	{37, "#007a7a"}, {160, "#b80000"}, {99, "#6d3fd1"}, {64, "#4c7a00"}, {208, "#a85400"}, {27, "#0044cc"},
}

// Paint gives text the colour of a contributor, each line on its own.
func Paint(contributor int, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = fmt.Sprintf("\x1b[38;5;%dm%s\x1b[0m", palette[contributor%len(palette)].number, line)
		}
	}
	return strings.Join(lines, "\n")
}
