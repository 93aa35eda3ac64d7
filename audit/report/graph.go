package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// Graph is a lineage: nodes in layers, and edges from what something was made of to what was made.
type Graph struct {
	Nodes []Node
	Edges []Edge
}

// Node is a thing of a lineage. Layers are drawn from left to right, from 0 on.
type Node struct {
	ID       string
	Layer    int
	Title    string
	Note     string
	Kind     Kind
	Evidence []Evidence
}

// Kind is what a node stands for.
type Kind string

// The kinds of node.
const (
	Snapshot Kind = "snapshot"
	Ticket   Kind = "ticket"
	Model    Kind = "model"
	External Kind = "external"
)

// Edge joins two nodes by their ids.
type Edge struct{ From, To string }

var colours = map[Kind]string{Snapshot: "#e3f1e5", Ticket: "#fdf1d7", Model: "#e2ecfb", External: "#efe6f5"}

// The measures of a drawing, in pixels.
const (
	nodeWidth, nodeHeight = 250, 58
	gapX, gapY            = 70, 18
	margin                = 12
	lettersTitle          = 29
	lettersNote           = 38
)

// SVG draws the graph.
func (g *Graph) SVG() string {
	rows := map[int]int{}
	type place struct{ x, y int }
	places := map[string]place{}
	layers, most := 0, 0
	for _, n := range g.Nodes {
		places[n.ID] = place{margin + n.Layer*(nodeWidth+gapX), margin + rows[n.Layer]*(nodeHeight+gapY)}
		rows[n.Layer]++
		layers, most = max(layers, n.Layer+1), max(most, rows[n.Layer])
	}
	width, height := 2*margin+layers*nodeWidth+(layers-1)*gapX, 2*margin+most*(nodeHeight+gapY)-gapY
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Lineage">`, width, height, width, height)
	for _, e := range g.Edges {
		from, fromKnown := places[e.From]
		to, toKnown := places[e.To]
		if !fromKnown || !toKnown {
			continue
		}
		x1, y1, x2, y2 := from.x+nodeWidth, from.y+nodeHeight/2, to.x, to.y+nodeHeight/2
		fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#8a94a6" stroke-width="1.5"/>`, x1, y1, (x1+x2)/2, y1, (x1+x2)/2, y2, x2, y2)
		fmt.Fprintf(&b, `<path d="M%d %dl-8 -4v8z" fill="#8a94a6"/>`, x2, y2)
	}
	for _, n := range g.Nodes {
		p := places[n.ID]
		fmt.Fprintf(&b, `<g><title>%s %s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="#8a94a6"/>`, html.EscapeString(n.Title), html.EscapeString(n.Note), p.x, p.y, nodeWidth, nodeHeight, colours[n.Kind])
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-family="system-ui, sans-serif" font-size="13" font-weight="600" fill="#1c2330">%s</text>`, p.x+10, p.y+19, html.EscapeString(cut(n.Title, lettersTitle)))
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-family="system-ui, sans-serif" font-size="11" fill="#3c4656">%s</text>`, p.x+10, p.y+35, html.EscapeString(cut(n.Note, lettersNote)))
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-family="ui-monospace, monospace" font-size="10" fill="#1a56a8">%s</text></g>`, p.x+10, p.y+50, html.EscapeString(cut(strings.Join(labels(n.Evidence), " "), lettersNote)))
	}
	b.WriteString("</svg>")
	return b.String()
}

// cut shortens a text to so many letters.
func cut(s string, letters int) string {
	if utf8.RuneCountInString(s) <= letters {
		return s
	}
	return string([]rune(s)[:letters-1]) + "…"
}

// mermaid writes the graph in the language of Mermaid.
func (g *Graph) mermaid() string {
	var b strings.Builder
	b.WriteString("graph LR\n")
	name := func(id string) string {
		return fmt.Sprintf("n%d", slices.IndexFunc(g.Nodes, func(n Node) bool { return n.ID == id }))
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %s[\"%s\"]\n", name(n.ID), quoted(strings.Join(append([]string{n.Title, n.Note}, labels(n.Evidence)...), " · ")))
	}
	for _, e := range g.Edges {
		if from, to := name(e.From), name(e.To); from != "n-1" && to != "n-1" {
			fmt.Fprintf(&b, "  %s --> %s\n", from, to)
		}
	}
	return b.String()
}

var mermaidEscapes = strings.NewReplacer("\"", "#quot;", "\n", " ", "\r", " ", "`", "'", "#", "#35;", "<", "#lt;", ">", "#gt;")

func quoted(s string) string { return mermaidEscapes.Replace(s) }
