package indexed

import (
	"math"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A token of the output: its number among the output's distinct tokens, and its bytes.
type token struct {
	word       uint32
	start, end uint32
}

// A word is a distinct token of the output.
type word struct {
	token index.Token
	runes int
	last  int // where it stood last, while the output is weighed
	info  uint64
}

// unknown is the word of a prompt's token that the output does not have.
const unknown = ^uint32(0)

// scratch is what the work on one output needs. It is used again, so that a receipt allocates little.
type scratch struct {
	tokens []token
	words  []word
	text   []byte   // of the words, one after the other
	table  []uint32 // words by hash: their number plus one, 0 is empty

	ids     [][]uint32 // of each segment, the output as its ids
	lookups []index.Token
	wordID  []uint32
	weight  []uint64 // w
	sums    []uint64 // of the weights before each token, and of all
	need    []int    // the least end at which a span from here carries the threshold; more than len(tokens) if none

	quoted  []bool
	message []uint32
	holes   []int // at or before each 3-gram's start, the last 3-gram that does not occur
	found   []span
	spans   []span
	queue   []int
	owner   []int
	origins []int
	credits map[string]uint64
	paid    []receipt.Span
}

// read cuts the output into tokens.
func (s *scratch) read(output []byte) {
	s.tokens, s.words, s.text = s.tokens[:0], s.words[:0], s.text[:0]
	if s.credits == nil {
		s.credits = make(map[string]uint64)
		s.table = make([]uint32, 1<<8)
	}
	clear(s.table)
	scanner := text1.NewScanner(output)
	for scanner.Next() {
		start, end := scanner.Range()
		s.tokens = append(s.tokens, token{word: s.word(scanner.Runes(), true), start: uint32(start), end: uint32(end)})
	}
}

// word returns the number of a distinct token of the output. A new one is added or unknown.
func (s *scratch) word(runes []rune, add bool) uint32 {
	before := len(s.text)
	s.text = index.AppendToken(s.text, runes)
	text := s.text[before:]
	hash := index.Hash(text)
	mask := uint64(len(s.table) - 1)
	i := hash & mask
	for ; s.table[i] != 0; i = (i + 1) & mask {
		w := &s.words[s.table[i]-1]
		if w.token.Hash == hash && string(w.token.Text) == string(text) {
			s.text = s.text[:before]
			return s.table[i] - 1
		}
	}
	if !add {
		s.text = s.text[:before]
		return unknown
	}
	number := uint32(len(s.words))
	s.words = append(s.words, word{token: index.Token{Text: text, Hash: hash}, runes: len(runes), last: math.MinInt / 2})
	s.table[i] = number + 1
	if 2*len(s.words) > len(s.table) {
		s.table = make([]uint32, 2*len(s.table))
		mask := uint64(len(s.table) - 1)
		for k := range s.words {
			i := s.words[k].token.Hash & mask
			for s.table[i] != 0 {
				i = (i + 1) & mask
			}
			s.table[i] = uint32(k) + 1
		}
	}
	return number
}

// lookUp turns the output into the ids of every segment and gives each word its information (section 3).
func (s *scratch) lookUp(corpus *index.View) {
	segments := corpus.Segments()
	for len(s.ids) < len(segments) {
		s.ids = append(s.ids, nil)
	}
	s.lookups = s.lookups[:0]
	for k := range s.words {
		s.words[k].info = 0
		s.lookups = append(s.lookups, s.words[k].token)
	}
	for i, g := range segments {
		s.wordID = g.IDs(s.wordID[:0], s.lookups)
		for k, id := range s.wordID {
			s.words[k].info += uint64(g.Count(id)) // for now, its count
		}
		ids := s.ids[i][:0]
		for _, t := range s.tokens {
			ids = append(ids, s.wordID[t.word])
		}
		s.ids[i] = ids
	}
}

// weigh is step 1 of section 4: w of each token, 0 for what is quoted from the prompt or an echo, and for any
// other its information.
func (s *scratch) weigh(e *Engine, prompt [][]byte) {
	for k := range s.words {
		w := &s.words[k]
		w.info = e.information(w.info)
	}
	s.weight = s.weight[:0]
	for i, t := range s.tokens {
		w := &s.words[t.word]
		if i-w.last <= attribution.EchoDistance {
			s.weight = append(s.weight, 0)
		} else {
			s.weight = append(s.weight, w.info)
		}
		w.last = i
	}
	if len(prompt) > 0 {
		s.quote(prompt)
		for i, quoted := range s.quoted {
			if quoted {
				s.weight[i] = 0
			}
		}
	}
	s.sums = append(s.sums[:0], 0)
	sum := uint64(0)
	for _, w := range s.weight {
		sum += w
		s.sums = append(s.sums, sum)
	}
}

// passage returns the end and the hash of the passage that starts at i, if the list holds it whole.
func (s *scratch) passage(list []uint32, i int) (end int, hash uint64, ok bool) {
	runes := 0
	for j := i; j < len(list) && list[j] != unknown; j++ {
		runes += s.words[list[j]].runes
		hash = (hash + uint64(list[j]) + 1) * 0x9E3779B97F4A7C15
		hash ^= hash >> 32
		if j+1-i >= attribution.PassageTokens && runes >= attribution.PassageRunes {
			return j + 1, hash, true
		}
	}
	return 0, 0, false
}

// quote tells which tokens lie in a passage of the output that occurs in a record of the prompt.
func (s *scratch) quote(prompt [][]byte) {
	s.quoted = slices.Grow(s.quoted[:0], len(s.tokens))[:len(s.tokens)]
	clear(s.quoted)
	output := make([]uint32, len(s.tokens))
	for i, t := range s.tokens {
		output[i] = t.word
	}
	// The output's passages by hash; of those with one hash, the next one.
	starts := make(map[uint64]int)
	next := make([]int, len(output))
	for i := range output {
		if _, hash, ok := s.passage(output, i); ok {
			next[i] = starts[hash]
			starts[hash] = i + 1
		}
	}
	if len(starts) == 0 {
		return
	}
	for _, text := range prompt {
		s.message = s.message[:0]
		scanner := text1.NewScanner(text)
		for scanner.Next() {
			s.message = append(s.message, s.word(scanner.Runes(), false))
		}
		for i := range s.message {
			end, hash, ok := s.passage(s.message, i)
			if !ok {
				continue
			}
			for at := starts[hash]; at > 0; at = next[at-1] {
				from := at - 1
				if to := from + end - i; to <= len(output) && slices.Equal(output[from:to], s.message[i:end]) {
					for j := from; j < to; j++ {
						s.quoted[j] = true
					}
				}
			}
		}
	}
}
