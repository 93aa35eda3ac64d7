package plain

import (
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A run is a sequence of tokens in a form that a map can hold: their texts, each ended by a NUL, which no
// token contains since it is a boundary.
type run string

func newRun(tokens []text1.Token) run {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.Text)
		b.WriteByte(0)
	}
	return run(b.String())
}

// passage returns the end of the passage that starts at text1.Token i of a record (section 2): the shortest
// run with at least 5 tokens and at least 12 runes. There is none when the record ends before.
func passage(record []text1.Token, i int) (end int, ok bool) {
	runes := 0
	for j := i; j < len(record); j++ {
		runes += record[j].Runes
		if j+1-i >= attribution.PassageTokens && runes >= attribution.PassageRunes {
			return j + 1, true
		}
	}
	return 0, false
}

// A corpus is section 2: the records' tokens, how often each occurs and where, and where each passage is at home.
type corpus struct {
	contributions attribution.Corpus
	records       [][][]text1.Token // by contribution and record
	n, v          uint64            // N and V

	at   map[string][]attribution.Place // of every token, ascending
	home map[run]attribution.Place      // of every passage
}

func readCorpus(contributions attribution.Corpus) *corpus {
	c := &corpus{
		contributions: contributions,
		records:       make([][][]text1.Token, len(contributions)),
		at:            make(map[string][]attribution.Place),
		home:          make(map[run]attribution.Place),
	}
	for k, contribution := range contributions {
		for r, text := range contribution.Records {
			record := text1.Tokens(text)
			c.records[k] = append(c.records[k], record)
			c.n += uint64(len(record))
			for i, t := range record {
				place := attribution.Place{Contribution: k, Record: r, Token: i}
				c.at[t.Text] = append(c.at[t.Text], place)
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
func (c *corpus) count(t text1.Token) uint64 { return uint64(len(c.at[t.Text])) }

// origin returns the account that the token at a place is from (section 2): that of the earliest home
// among the passages that cover it, or of its own contribution where none does.
func (c *corpus) origin(place attribution.Place) string {
	record := c.records[place.Contribution][place.Record]
	earliest := place.Contribution
	for i := max(0, place.Token-attribution.LongestPassage+1); i <= place.Token; i++ {
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

func (c *corpus) longest(tokens []text1.Token) match {
	var best match
	if len(tokens) == 0 {
		return best
	}
	for _, place := range c.at[tokens[0].Text] {
		record := c.records[place.Contribution][place.Record][place.Token:]
		length := 0
		for length < len(tokens) && length < len(record) && tokens[length].Text == record[length].Text {
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
