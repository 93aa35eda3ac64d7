package explain

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"printable": Printable,
	"percent":   Percent,
	"bits":      Bits,
	"times":     times,
	"colour":    func(contributor int) string { return palette[contributor%len(palette)].web },
	"next":      func(i int) int { return i + 1 },
	"claim":     func() string { return Claim },
	// A template cannot put one value beside another.
	"passage": func(e *Explanation, i int) Passage { return e.Passages[i] },
}).Parse(source))

// HTML writes an explanation as one page that loads nothing and runs nothing. All texts are escaped.
func (e *Explanation) HTML(out io.Writer) error { return page.Execute(out, e) }
