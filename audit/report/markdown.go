package report

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown writes the document as CommonMark with tables, its graphs in Mermaid.
func (d Document) Markdown() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", plain(d.Title))
	for _, f := range d.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", plain(f.Name), plain(f.Value))
	}
	for _, s := range d.Sections {
		fmt.Fprintf(&b, "\n## %s\n", plain(s.Title))
		for _, statement := range s.Statements {
			fmt.Fprintf(&b, "\n%s%s\n", plain(statement.Text), references(statement.Evidence))
		}
		if s.Graph != nil {
			fmt.Fprintf(&b, "\n```mermaid\n%s```\n", s.Graph.mermaid())
		}
		if s.Table != nil {
			s.Table.markdown(&b)
		}
	}
	if len(d.Unknown) > 0 {
		b.WriteString("\n## What the ledger cannot tell\n\n")
		for _, u := range d.Unknown {
			fmt.Fprintf(&b, "- %s\n", plain(u))
		}
	}
	if all := d.cite(); len(all) > 0 {
		b.WriteString("\n## Evidence\n\n| version | transaction | time | signed by | function | keys |\n|---|---|---|---|---|---|\n")
		for _, c := range all {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", plain(c.version), plain(c.Transaction), Time(c.Time), plain(c.By), plain(c.Function), plain(strings.Join(c.keys, ", ")))
		}
	}
	return []byte(b.String())
}

func (t *Table) markdown(b *strings.Builder) {
	if len(t.Rows) == 0 {
		fmt.Fprintf(b, "\n%s\n", plain(t.None))
		return
	}
	cites, columns := t.Cites(), t.Columns
	if cites {
		columns = append(slices.Clone(columns), "evidence")
	}
	b.WriteString("\n|")
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", plain(c))
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, row := range t.Rows {
		b.WriteString("|")
		for _, cell := range row.Cells {
			fmt.Fprintf(b, " %s |", plain(cell))
		}
		if cites {
			fmt.Fprintf(b, " %s |", plain(strings.Join(labels(row.Evidence), ", ")))
		}
		b.WriteString("\n")
	}
	if t.More != "" {
		fmt.Fprintf(b, "\n%s\n", plain(t.More))
	}
}

func references(all []Evidence) string {
	list := labels(all)
	if len(list) == 0 {
		return ""
	}
	return " (" + plain(strings.Join(list, ", ")) + ")"
}

var markdownEscapes = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;",
	"&", "&amp;", "|", "\\|", "#", "\\#", "~", "\\~", "\n", " ", "\r", " ")

// plain is a text in which Markdown sees no markup.
func plain(s string) string { return markdownEscapes.Replace(s) }
