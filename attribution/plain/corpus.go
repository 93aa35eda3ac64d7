package plain

import (
	"encoding/binary"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A vocabulary numbers tokens in the order in which it meets them, so that two tokens are equal when
// their numbers are.
type vocabulary map[string]uint32

// A token is a canonical token by number, with what else the definition asks of it.
type token struct {
	number     uint32
	runes      int
	start, end int // bytes of the raw text
}

// read cuts a text into tokens.
func (v vocabulary) read(text []byte) []token {
	var tokens []token
	for _, t := range text1.Tokens(text) {
		number, known := v[t.Text]
		if !known {
			number = uint32(len(v))
			v[t.Text] = number
		}
		tokens = append(tokens, token{number: number, runes: t.Runes, start: t.Start, end: t.End})
	}
	return tokens
}

// A run is a sequence of tokens in a form that a map can hold: four bytes for each number.
type run string

func newRun(tokens []token) run {
	b := make([]byte, 0, 4*len(tokens))
	for _, t := range tokens {
		b = binary.BigEndian.AppendUint32(b, t.number)
	}
	return run(b)
}

// passage returns the end of the passage that starts at token i of a record (section 2): the shortest
// run with at least 5 tokens and at least 12 runes. There is none when the record ends before.
func passage(record []token, i int) (end int, ok bool) {
	runes := 0
	for j := i; j < len(record); j++ {
		runes += record[j].runes
		if j+1-i >= 5 && runes >= 12 {
			return j + 1, true
		}
	}
	return 0, false
}

// longestPassage is the largest number of tokens in a passage: each has a rune at least.
const longestPassage = 12

// A corpus is section 2: the records' tokens, how often each occurs and where, and where each passage is at home.
type corpus struct {
	contributions attribution.Corpus
	records       [][][]token // by contribution and record
	n, v          uint64      // N and V

	at   map[uint32][]attribution.Place // of every token, ascending
	home map[run]attribution.Place      // of every passage
}

func readCorpus(contributions attribution.Corpus, vocabulary vocabulary) *corpus {
	c := &corpus{
		contributions: contributions,
		records:       make([][][]token, len(contributions)),
		at:            make(map[uint32][]attribution.Place),
		home:          make(map[run]attribution.Place),
	}
	for k, contribution := range contributions {
		for r, text := range contribution.Records {
			record := vocabulary.read(text)
			c.records[k] = append(c.records[k], record)
			c.n += uint64(len(record))
			for i, t := range record {
				place := attribution.Place{Contribution: k, Record: r, Token: i}
				c.at[t.number] = append(c.at[t.number], place)
				if end, ok := passage(record, i); ok {
					key := newRun(record[i:end])
					if _, earlier := c.home[key]; !earlier {
						c.home[key] = place
					}
				}
			}
		}
	}
	c.v = uint64(len(c.at)) + 1
	return c
}

// count is count(t) of section 3.
func (c *corpus) count(t token) uint64 { return uint64(len(c.at[t.number])) }

// origin returns the account that the token at a place is from (section 2): that of the earliest home
// among the passages that cover it, or of its own contribution where none does.
func (c *corpus) origin(place attribution.Place) string {
	record := c.records[place.Contribution][place.Record]
	earliest := place.Contribution
	for i := max(0, place.Token-longestPassage+1); i <= place.Token; i++ {
		if end, ok := passage(record, i); ok && place.Token < end {
			earliest = min(earliest, c.home[newRun(record[i:end])].Contribution)
		}
	}
	return c.contributions[earliest].Account
}

// A match is what section 4 asks of the tokens from one position of the output: how many of them at most
// occur in the corpus as one run, how often, and where first.
type match struct {
	length      int
	occurrences uint64
	first       attribution.Place
}

func (c *corpus) longest(tokens []token) match {
	var best match
	if len(tokens) == 0 {
		return best
	}
	for _, place := range c.at[tokens[0].number] {
		record := c.records[place.Contribution][place.Record][place.Token:]
		length := 0
		for length < len(tokens) && length < len(record) && tokens[length].number == record[length].number {
			length++
		}
		switch {
		case length > best.length:
			best = match{length: length, occurrences: 1, first: place}
		case length == best.length:
			best.occurrences++
		}
	}
	return best
}
