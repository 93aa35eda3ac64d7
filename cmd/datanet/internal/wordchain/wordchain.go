// Package wordchain is a language model of the simplest kind: a chain of words. It writes line by line, and draws each
// word from those that stood after the same two words of a line in the texts it was trained on, as often as they stood
// there. It is honest and small, and no LLM: it understands nothing, and much of what it writes is quotation.
package wordchain

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

const (
	// order is how many words before a word decide over it.
	order = 2
	// maxWords is where a line ends at the latest; the chain may go round in circles.
	maxWords = 24
)

// Chain is a trained model. It does not change and may be used concurrently.
type Chain struct {
	// next holds, by the up to two last words of a line, what stood after them, in the order of the words. An empty
	// word is the end of the line.
	next map[string][]follower
}

type follower struct {
	word  string
	count uint64
}

// Train makes the chain of some texts. The order of the texts does not matter.
func Train(texts [][]byte) *Chain {
	counts := map[string]map[string]uint64{}
	for _, text := range texts {
		for line := range bytes.Lines(text) {
			var written []string
			for _, word := range append(strings.Fields(string(line)), "") {
				if word == "" && len(written) == 0 {
					break
				}
				context := contextOf(written)
				if counts[context] == nil {
					counts[context] = map[string]uint64{}
				}
				counts[context][word]++
				written = append(written, word)
			}
		}
	}
	c := &Chain{next: make(map[string][]follower, len(counts))}
	for context, words := range counts {
		for _, word := range slices.Sorted(maps.Keys(words)) {
			c.next[context] = append(c.next[context], follower{word, words[word]})
		}
	}
	return c
}

func contextOf(written []string) string {
	return strings.Join(written[max(0, len(written)-order):], " ")
}

// Openings lists up to n words with which lines begin, the most frequent first.
func (c *Chain) Openings(n int) []string {
	first := slices.Clone(c.next[""])
	slices.SortStableFunc(first, func(a, b follower) int {
		switch {
		case a.count > b.count:
			return -1
		case a.count < b.count:
			return 1
		}
		return 0
	})
	var words []string
	for _, f := range first[:min(n, len(first))] {
		words = append(words, f.word)
	}
	return words
}

// Write writes lines of text, the first of which begins with the opening if the chain knows a line that does. The same
// chain, opening, number of lines and seed give the same text.
func (c *Chain) Write(opening string, lines int, seed uint64) string {
	random := rand.NewPCG(seed, 0)
	var text []string
	for i := range lines {
		var begin []string
		if i == 0 {
			begin = strings.Fields(opening)
		}
		text = append(text, c.line(begin, random))
	}
	return strings.Join(text, "\n")
}

func (c *Chain) line(begin []string, random *rand.PCG) string {
	written := begin
	if len(c.next[contextOf(written)]) == 0 {
		written = nil
	}
	for len(written) < maxWords {
		word := draw(c.next[contextOf(written)], random)
		if word == "" {
			break
		}
		written = append(written, word)
	}
	return strings.Join(written, " ")
}

// draw picks a word, each as likely as it was frequent; none is there in a chain of no texts.
func draw(followers []follower, random *rand.PCG) string {
	var total uint64
	for _, f := range followers {
		total += f.count
	}
	if total == 0 {
		return ""
	}
	at := random.Uint64() % total
	for _, f := range followers {
		if at < f.count {
			return f.word
		}
		at -= f.count
	}
	return ""
}
