// Package narration prints the demonstration for the people who watch it: chapters, sentences, tables, verse with its
// contributors marked, and progress while something takes long.
package narration

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/datanet-consortium/datanet/attribution/explain"
)

// Narrator prints to one output. It is used by one goroutine at a time.
type Narrator struct {
	out      io.Writer
	terminal bool // lines may be written over
	colour   bool
	chapter  int
	pending  bool // a line of progress stands without its end
}

// New returns a narrator. On a terminal, progress is shown in place; colour is for terminals that have it.
func New(out io.Writer, terminal, colour bool) *Narrator {
	return &Narrator{out: out, terminal: terminal, colour: colour}
}

// Chapter begins a numbered part.
func (n *Narrator) Chapter(title string) {
	n.chapter++
	n.end()
	fmt.Fprintf(n.out, "\n%s\n", n.paint(bold, fmt.Sprintf("%d. %s", n.chapter, title)))
}

// Say prints a sentence.
func (n *Narrator) Say(format string, args ...any) {
	n.end()
	fmt.Fprintf(n.out, "   "+format+"\n", args...)
}

// Held prints a sentence about a check that held.
func (n *Narrator) Held(format string, args ...any) {
	n.end()
	fmt.Fprintf(n.out, " %s "+format+"\n", append([]any{n.paint(green, "✓")}, args...)...)
}

// Progress shows on a terminal how far something long has come; the next output takes its place.
func (n *Narrator) Progress(format string, args ...any) {
	if !n.terminal {
		return
	}
	n.end()
	fmt.Fprintf(n.out, "   "+format, args...)
	n.pending = true
}

func (n *Narrator) end() {
	if n.pending {
		fmt.Fprint(n.out, "\r\x1b[K")
		n.pending = false
	}
}

// Table prints rows in columns, the first row as their heads.
func (n *Narrator) Table(rows [][]string) {
	n.end()
	w := tabwriter.NewWriter(n.out, 0, 0, 2, ' ', 0)
	for i, row := range rows {
		if i == 1 {
			rule := make([]string, len(row))
			for k := range row {
				rule[k] = strings.Repeat("─", len([]rune(rows[0][k])))
			}
			fmt.Fprintln(w, "   "+strings.Join(rule, "\t"))
		}
		fmt.Fprintln(w, "   "+strings.Join(row, "\t"))
	}
	w.Flush()
}

// A Run is a piece of a text and the number of whom it is from, from 1; 0 for nobody.
type Run struct {
	Text string
	From int
}

// Verse prints a text with its runs marked: in a colour for each number where there are colours, in brackets with the
// number elsewhere. Control characters are left out, since the text is anybody's. Its direction is the terminal's
// affair.
func (n *Narrator) Verse(runs []Run) {
	n.end()
	var b strings.Builder
	for _, run := range runs {
		text := explain.Printable(run.Text)
		switch {
		case run.From == 0:
			b.WriteString(text)
		case n.colour:
			b.WriteString(explain.Paint(run.From-1, text))
		default:
			fmt.Fprintf(&b, "[%d: %s]", run.From, text)
		}
	}
	for line := range strings.SplitSeq(b.String(), "\n") {
		fmt.Fprintf(n.out, "      %s\n", line)
	}
}

// Mark is how a number of a verse looks in a legend.
func (n *Narrator) Mark(from int, name string) string {
	if n.colour {
		return explain.Paint(from-1, "■ "+name)
	}
	return fmt.Sprintf("[%d] %s", from, name)
}

// Escape sequences of colours, as terminals have had them for decades.
const (
	bold  = "\x1b[1m"
	green = "\x1b[32m"
	reset = "\x1b[0m"
)

// paint colours each line on its own, so that no colour runs over a line's end.
func (n *Narrator) paint(style, text string) string {
	if !n.colour {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = style + line + reset
		}
	}
	return strings.Join(lines, "\n")
}
