package story

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Script is a parsed story.
type Script struct {
	Name  string
	steps []step
}

// step is a command or, below one, a clause.
type step struct {
	line     int
	words    []string // the verb first
	document string   // JSON, "" when there is none
	clauses  []step
}

// form is how many words a verb takes after itself, and whether a document follows.
type form struct {
	least, most int
	document    bool
}

var commands = map[string]form{
	"submit":  {2, 2, true},
	"query":   {2, 2, true},
	"hold":    {3, 3, true},
	"release": {1, 1, false},
	"decide":  {1, 1, true},
	"id":      {1, 1, false},
	"json":    {1, 1, true},
	"time":    {2, 2, false},
	"advance": {1, 1, false},
	"key":     {1, 1, false},
	"sign":    {2, 2, true},
	"table":   {1, 1, true},
	"seal":    {2, 2, false},
}

var clauses = map[string]form{
	"endorsed": {2, 33, false},
	"at":       {1, 1, false},
	"want":     {0, 0, true},
	"let":      {3, 3, false},
	"fault":    {1, 2, false},
	"flag":     {1, 1, false},
	"refused":  {2, 2, false},
}

// called are the commands that have an outcome, which clauses can speak of.
var called = map[string]bool{"submit": true, "query": true, "hold": true, "release": true, "decide": true}

var namePattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// Parse reads a script. Errors name the line.
func Parse(name string, r io.Reader) (*Script, error) {
	s := &Script{Name: name}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var open *step // whose document is not complete
	number := 0
	fail := func(line int, format string, args ...any) (*Script, error) {
		return nil, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...))
	}
	for lines.Scan() {
		number++
		text := strings.TrimRight(lines.Text(), " \t\r")
		body := strings.TrimLeft(text, " \t")
		indented := body != text
		switch {
		case open != nil:
			if !indented {
				return fail(open.line, "the JSON document is not complete")
			}
			open.document += "\n" + body
		case body == "" || body[0] == '#':
			continue
		case indented:
			if len(s.steps) == 0 || !called[s.steps[len(s.steps)-1].words[0]] {
				return fail(number, "nothing above that has an outcome")
			}
			parent := &s.steps[len(s.steps)-1]
			parent.clauses = append(parent.clauses, split(number, body))
			open = &parent.clauses[len(parent.clauses)-1]
			if err := check(open, clauses); err != nil {
				return fail(number, "%v", err)
			}
		default:
			s.steps = append(s.steps, split(number, body))
			open = &s.steps[len(s.steps)-1]
			if err := check(open, commands); err != nil {
				return fail(number, "%v", err)
			}
		}
		if open.document == "" || jsontext.Value(valuePattern.ReplaceAllString(open.document, "0")).IsValid() {
			open = nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read story %s: %w", name, err)
	}
	if open != nil {
		return fail(open.line, "the JSON document is not complete")
	}
	return s, nil
}

// split takes a line apart into words and, from the first brace on, a document.
func split(line int, text string) step {
	head, document := text, ""
	if i := strings.IndexByte(text, '{'); i >= 0 {
		head, document = text[:i], text[i:]
	}
	return step{line: line, words: strings.Fields(head), document: document}
}

func check(s *step, forms map[string]form) error {
	if len(s.words) == 0 {
		return errors.New("a document without a command")
	}
	verb := s.words[0]
	form, ok := forms[verb]
	words := len(s.words) - 1
	switch {
	case !ok:
		return fmt.Errorf("unknown word %q", verb)
	case words < form.least || words > form.most:
		return fmt.Errorf("%s takes %d words, not %d", verb, form.least, words)
	case form.document && s.document == "":
		return fmt.Errorf("%s needs a JSON object", verb)
	case !form.document && s.document != "":
		return fmt.Errorf("%s takes no JSON", verb)
	}
	switch verb {
	case "id", "json", "time", "hold", "let", "key", "sign", "table", "seal":
		if !namePattern.MatchString(s.words[1]) {
			return fmt.Errorf("%q is not a name: expected capitals, digits and underscores", s.words[1])
		}
	}
	switch {
	case verb == "let" && s.words[2] != "=":
		return errors.New("expected: let NAME = PATH")
	case verb == "endorsed" && s.words[1] != "by":
		return errors.New("expected: endorsed by MSP...")
	case verb == "refused" && s.words[1] != "at":
		return errors.New("expected: refused at STAGE")
	}
	return nil
}
