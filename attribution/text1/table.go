package text1

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed text1.tsv
var frozen string

// Table returns text1.tsv, byte for byte. Its digest is part of the specification that every receipt
// names, so it can never change under this version.
func Table() string { return frozen }

// An entry is what one rune becomes: its kind in the top bits and, in the low 21, the rune that stands
// for it or, for several items, where in table.lists they are.
type entry uint32

const (
	boundary   entry = iota << 29 // ends a token; also what an uncovered rune becomes
	dropped                       // nothing at all
	word                          // a word rune, replaced
	wordSelf                      // a word rune, as it is
	single                        // a token of its own, replaced
	singleSelf                    // a token of its own, as it is
	several                       // a list of items

	kindMask  entry = 7 << 29
	valueMask entry = 1<<21 - 1
)

const pageSize = 256

type page [pageSize]entry

// A table is text1.tsv made for look-up: a page for every 256 runes, equal pages stored once.
type table struct {
	index [(utf8.MaxRune + 1) / pageSize]uint16
	pages []page
	lists [][]entry // items of one rune, each boundary, word or single
}

func (t *table) entry(r rune) entry {
	return t.pages[t.index[r/pageSize]][r%pageSize]
}

var frozenTable = sync.OnceValue(func() *table {
	t, err := parse(frozen)
	if err != nil {
		panic(fmt.Sprintf("text1: the embedded table is damaged: %v", err))
	}
	return t
})

// parse reads a table in the form of text1.tsv: lines of first rune, last rune (hex) and items, in
// ascending order of runes.
func parse(tsv string) (*table, error) {
	t := new(table)
	all := make([]entry, utf8.MaxRune+1)
	lists := make(map[string]entry)
	next := rune(0)
	for line := range strings.Lines(tsv) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %q: want first rune, last rune and items", line)
		}
		first, err := parseRune(fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		last, err := parseRune(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if first < next || last < first {
			return nil, fmt.Errorf("line %q: range not in ascending order", line)
		}
		next = last + 1
		items, err := parseItems(fields[2])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		e := items[0]
		if len(items) > 1 {
			e = several | entry(len(t.lists))
			if known, ok := lists[fields[2]]; ok {
				e = known
			} else {
				lists[fields[2]] = e
				t.lists = append(t.lists, items)
			}
		}
		for r := first; r <= last; r++ {
			all[r] = e
		}
	}
	t.fold(all)
	return t, nil
}

// parseItems reads the items of one rune. A list of several consists of boundaries and of word or
// single runes that are written out: no rune of the table stands for itself and for more.
func parseItems(list string) ([]entry, error) {
	var items []entry
	names := strings.Split(list, " ")
	for _, name := range names {
		var kind, self entry
		switch {
		case name == "|":
			items = append(items, boundary)
			continue
		case name == "-" && len(names) == 1:
			return []entry{dropped}, nil
		case strings.HasPrefix(name, "w"):
			kind, self = word, wordSelf
		case strings.HasPrefix(name, "c"):
			kind, self = single, singleSelf
		default:
			return nil, fmt.Errorf("item %q is none of w, c, | and a lone -", name)
		}
		if len(name) == 1 && len(names) == 1 {
			return []entry{self}, nil
		}
		r, err := parseRune(name[1:])
		if err != nil {
			return nil, fmt.Errorf("item %q: %w", name, err)
		}
		items = append(items, kind|entry(r))
	}
	return items, nil
}

func parseRune(hex string) (rune, error) {
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("read code point: %w", err)
	}
	if n > utf8.MaxRune || 0xD800 <= n && n <= 0xDFFF {
		return 0, fmt.Errorf("%04X is no code point of a rune", n)
	}
	return rune(n), nil
}

// fold cuts the entries of all runes into pages and keeps each distinct page once.
func (t *table) fold(all []entry) {
	known := make(map[page]uint16)
	for i := range t.index {
		p := page(all[i*pageSize:])
		number, ok := known[p]
		if !ok {
			number = uint16(len(t.pages))
			known[p] = number
			t.pages = append(t.pages, p)
		}
		t.index[i] = number
	}
}
