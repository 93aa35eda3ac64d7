// Package text1 cuts text into the canonical tokens `text/1` of the attribution definition (docs/attribution.md, section 1).
//
// Two texts that differ only in case, diacritics, compatibility forms, harakat, tatweel, Arabic and
// Persian variants of a letter, digits of other scripts or punctuation have the same tokens. What each
// rune becomes is fixed by the frozen table text1.tsv, never by the Unicode tables of a Go release, so
// that every organisation computes the same tokens for ever.
package text1

import "unicode/utf8"

// MaxRunes is the length after which a token is cut, in runes.
const MaxRunes = 64

// A Token is one canonical token of a text.
type Token struct {
	// Text is the token's identity: its canonical runes in UTF-8. Two tokens are equal when their Texts are.
	Text string
	// Runes is the number of runes in Text, 1 to MaxRunes.
	Runes int
	// Start and End bound the token in the raw text, in bytes: from the start of the first rune that
	// gave it an item to the end of the last one. The ranges of two tokens overlap when one rune gave
	// both an item.
	Start, End int
}

// Tokens returns the tokens of a text in order. Any bytes are a text: invalid UTF-8 separates tokens.
func Tokens(text []byte) []Token {
	var tokens []Token
	s := NewScanner(text)
	for s.Next() {
		start, end := s.Range()
		tokens = append(tokens, Token{Text: string(s.Runes()), Runes: len(s.Runes()), Start: start, End: end})
	}
	return tokens
}

// A Scanner walks over the tokens of a text without allocating.
type Scanner struct {
	table *table
	text  []byte
	next  int // where in text the next rune starts

	items      []entry // items of the last rune that are still to be taken
	itemsStart int     // its byte range
	itemsEnd   int

	runes      [MaxRunes]rune
	n          int
	start, end int
}

// NewScanner returns a Scanner that stands before the first token of a text. The text must not change
// while it is scanned.
func NewScanner(text []byte) *Scanner {
	return &Scanner{table: frozenTable(), text: text}
}

// Next moves to the next token and reports whether there is one.
func (s *Scanner) Next() bool {
	s.n = 0
	for s.n < MaxRunes {
		if len(s.items) > 0 {
			item := s.items[0]
			if item&kindMask == single && s.n > 0 {
				return true
			}
			s.items = s.items[1:]
			if s.take(item, s.itemsStart, s.itemsEnd) {
				return true
			}
			continue
		}
		if s.next == len(s.text) {
			return s.n > 0
		}
		r, width := utf8.DecodeRune(s.text[s.next:])
		start, end := s.next, s.next+width
		item := s.table.entry(r)
		switch item & kindMask {
		case wordSelf:
			item = word | entry(r)
		case singleSelf:
			item = single | entry(r)
		case several:
			s.next = end
			s.items, s.itemsStart, s.itemsEnd = s.table.lists[item&valueMask], start, end
			continue
		}
		if item&kindMask == single && s.n > 0 {
			return true
		}
		s.next = end
		if s.take(item, start, end) {
			return true
		}
	}
	return true
}

// take adds an item, which a rune at [start, end) gave, to the current token and reports whether the
// token is complete. A single is only taken when no token was begun.
func (s *Scanner) take(item entry, start, end int) bool {
	switch item & kindMask {
	case boundary:
		return s.n > 0
	case dropped:
		return false
	}
	if s.n == 0 {
		s.start = start
	}
	s.runes[s.n] = rune(item & valueMask)
	s.n++
	s.end = end
	return item&kindMask == single
}

// Runes returns the identity of the current token, valid until the next call of Next.
func (s *Scanner) Runes() []rune { return s.runes[:s.n] }

// Range returns the bytes of the text that the current token covers.
func (s *Scanner) Range() (start, end int) { return s.start, s.end }
