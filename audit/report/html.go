package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"versions": versions, "anchor": anchor, "time": Time, "draw": func(g *Graph) template.HTML { return template.HTML(g.SVG()) },
	"long": long,
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

// long tells whether a text has a word that must be broken, as an id.
func long(text string) bool {
	return slices.ContainsFunc(strings.Fields(text), func(word string) bool { return len(word) > 24 })
}

// anchor is the name of a version in the page.
func anchor(version string) string {
	return "v-" + strings.NewReplacer(".", "-", " ", "-").Replace(version)
}
