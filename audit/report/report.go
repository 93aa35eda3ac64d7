// Package report turns what an audit found into something to read: Markdown, or one HTML file that needs nothing else.
//
// A document is statements and tables, each beside the ledger evidence that it rests on. A statement cites evidence by
// its version on the ledger, block.position, as peers version keys; the list at the end says for each version which
// transaction that is, who signed it and which keys it wrote. Texts come from a ledger on which others write, so
// everything is escaped, and the HTML forbids scripts and any resource from elsewhere.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Evidence is where the ledger says something.
type Evidence struct {
	Key         []string   `json:"key,omitempty" doc:"The kind of the entry and the parts of its name; missing when the transaction itself is the evidence; configuration when it changed the channel, which no key stands for."`
	Block       uint64     `json:"block"`
	Position    int        `json:"position" doc:"Of the transaction in the block, from 0. Block and position are the version of the key."`
	Transaction string     `json:"transaction"`
	Time        *time.Time `json:"time,omitempty" doc:"As the client's proposal says."`
	By          string     `json:"by,omitzero" doc:"The account that signed it."`
	Function    string     `json:"function,omitzero"`
	Receipt     string     `json:"receipt,omitzero" doc:"The id of the receipt that says it, instead of the ledger."`
}

// Version is block.position, or a receipt's id.
func (e Evidence) Version() string {
	if e.Receipt != "" {
		return "receipt " + e.Receipt
	}
	return fmt.Sprintf("%d.%d", e.Block, e.Position)
}

// Some tells whether there is evidence at all.
// A change of the channel has no transaction id.
func (e Evidence) Some() bool { return e.Transaction != "" || e.Receipt != "" || len(e.Key) > 0 }

// Document is a report.
type Document struct {
	Title    string
	Facts    []Fact // what the answer was asked of
	Sections []Section
	Unknown  []string // what the ledger cannot tell
}

// Fact is a name and a value.
type Fact struct{ Name, Value string }

// Section is statements, a table, a graph, or some of them.
type Section struct {
	Title      string
	Statements []Statement
	Table      *Table
	Graph      *Graph
}

// Statement is a sentence and what it rests on.
type Statement struct {
	Text     string
	Evidence []Evidence
}

// Table is rows under columns. None is what stands in its place when there are no rows, More a note below it.
type Table struct {
	Columns []string
	Rows    []Row
	None    string
	More    string
}

// Row is a table's row and what it rests on.
type Row struct {
	Cells    []string
	Evidence []Evidence
}

// Add appends a row.
func (t *Table) Add(evidence []Evidence, cells ...string) {
	t.Rows = append(t.Rows, Row{Cells: cells, Evidence: evidence})
}

// Cites tells whether any row rests on evidence of its own.
func (t *Table) Cites() bool {
	return slices.ContainsFunc(t.Rows, func(r Row) bool { return len(versions(r.Evidence)) > 0 })
}

// Count is a number of things: "1 block", "2 blocks". A plural that does not end in s is given.
func Count[N int | int64 | uint32 | uint64](n N, thing string, plural ...string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case len(plural) > 0:
		return fmt.Sprintf("%d %s", n, plural[0])
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Say appends a statement.
func (s *Section) Say(evidence []Evidence, format string, args ...any) {
	s.Statements = append(s.Statements, Statement{Text: fmt.Sprintf(format, args...), Evidence: evidence})
}

// cited is one version with all that was cited of it.
type cited struct {
	version string
	Evidence
	keys []string
}

// cite collects the evidence of a document, each version once, in the order of the chain.
func (d Document) cite() []cited {
	byVersion := map[string]*cited{}
	add := func(all []Evidence) {
		for _, e := range all {
			if !e.Some() {
				continue
			}
			c := byVersion[e.Version()]
			if c == nil {
				c = &cited{version: e.Version(), Evidence: e}
				byVersion[e.Version()] = c
			}
			if key := strings.Join(e.Key, "/"); key != "" && !slices.Contains(c.keys, key) {
				c.keys = append(c.keys, key)
			}
		}
	}
	for _, s := range d.Sections {
		for _, statement := range s.Statements {
			add(statement.Evidence)
		}
		if s.Table != nil {
			for _, row := range s.Table.Rows {
				add(row.Evidence)
			}
		}
		if s.Graph != nil {
			for _, n := range s.Graph.Nodes {
				add(n.Evidence)
			}
		}
	}
	list := make([]cited, 0, len(byVersion))
	for _, c := range byVersion {
		slices.Sort(c.keys)
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b cited) int {
		return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.Position, b.Position), cmp.Compare(a.version, b.version))
	})
	return list
}

// versions are those that a statement cites, each once.
func versions(all []Evidence) []string {
	var list []string
	for _, e := range all {
		if e.Some() && !slices.Contains(list, e.Version()) {
			list = append(list, e.Version())
		}
	}
	return list
}

// label is a version as it stands beside a statement: a receipt's id is given whole in the list of evidence only.
func label(version string) string { return cut(version, len("receipt ")+17) }

func labels(all []Evidence) []string {
	list := versions(all)
	for i := range list {
		list[i] = label(list[i])
	}
	return list
}

// Time shows a time, "" for none.
func Time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
