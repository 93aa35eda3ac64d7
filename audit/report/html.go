package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"versions": versions, "anchor": anchor, "time": Time, "draw": func(g *Graph) template.HTML { return template.HTML(g.SVG()) },
	"class": class, "label": label,
}).Parse(page))

// HTML writes the document as one file without scripts and without any resource from elsewhere.
func (d Document) HTML() ([]byte, error) {
	type evidence struct {
		Evidence
		Version string
		Keys    []string
	}
	var all []evidence
	for _, c := range d.cite() {
		all = append(all, evidence{c.Evidence, c.version, c.keys})
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, struct {
		Document
		Evidence []evidence
	}{d, all}); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	return b.Bytes(), nil
}

// class is how a cell is laid out: a word that must be broken, as an id; a time, which must not; or text that needs room.
func class(text string) string {
	_, notTime := time.Parse(time.RFC3339, text)
	switch {
	case notTime == nil:
		return "time"
	case slices.ContainsFunc(strings.Fields(text), func(word string) bool { return len(word) > 24 }):
		return "long"
	case len(text) > 24:
		return "prose"
	}
	return ""
}

// anchor is the name of a version in the page.
func anchor(version string) string {
	return "v-" + strings.NewReplacer(".", "-", " ", "-").Replace(version)
}
