package streaming

import (
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A question is what an answer asks of the corpus.
type question struct {
	tokens  []text1.Token
	numbers []uint32 // of the tokens in the corpus, absent where it has none
	weights []uint64 // w of section 4
}

func (e *Engine) question(a attribution.Answer) question {
	tokens := text1.Tokens(a.Output)
	q := question{tokens: tokens, numbers: make([]uint32, len(tokens)), weights: make([]uint64, len(tokens))}
	// Words tell the output's own tokens apart, also those that the corpus does not have.
	words := make([]uint32, len(tokens))
	known := make(map[string]uint32)
	var numbers []uint32
	var information []uint64
	for i, t := range tokens {
		word, ok := known[t.Text]
		if !ok {
			word = uint32(len(known))
			known[t.Text] = word
			number := e.stream.words.number(t.Text)
			numbers = append(numbers, number)
			information = append(information, e.information(number))
		}
		words[i] = word
		q.numbers[i], q.weights[i] = numbers[word], information[word]
	}
	last := make([]int, len(known)) // the position after a word's last occurrence so far
	for i, word := range words {
		if last[word] > 0 && i-(last[word]-1) <= attribution.EchoDistance {
			q.weights[i] = 0
		}
		last[word] = i + 1
	}
	q.quote(words, known, a.Prompt)
	return q
}

func (e *Engine) information(number uint32) uint64 {
	n, v := e.Size()
	if n == 0 {
		return 0
	}
	return attribution.Information(n, v, e.stream.words.count(number))
}

// quote takes the weight from the tokens that lie in a passage of the output that occurs in a record of the prompt.
func (q *question) quote(words []uint32, known map[string]uint32, prompt [][]byte) {
	if len(prompt) == 0 {
		return
	}
	const other = ^uint32(0) // stands for words that the output does not have
	messages := make([][]uint32, len(prompt))
	asked := make([]bool, len(known)) // words of the output that are in the prompt
	var text []byte
	for m, message := range prompt {
		for s := text1.NewScanner(message); s.Next(); {
			text = text[:0]
			for _, r := range s.Runes() {
				text = utf8.AppendRune(text, r)
			}
			word, ok := known[string(text)]
			if !ok {
				word = other
			} else {
				asked[word] = true
			}
			messages[m] = append(messages[m], word)
		}
	}
	passages := newTrie()
	at := make(map[int32][]int) // starts of a node's passage in the output
	ends := make([]int, len(words))
	until := len(words) // where the words end from here on that are in the prompt: only there can a passage be
	for i := len(words) - 1; i >= 0; i-- {
		if !asked[words[i]] {
			until = i
		}
		if ends[i] = passageEnd(i, until, func(j int) int { return q.tokens[j].Runes }); ends[i] > 0 {
			node := passages.add(words[i:ends[i]])
			at[node] = append(at[node], i)
		}
	}
	if len(at) == 0 {
		return
	}
	sent := make(map[int32]bool)
	for _, message := range messages {
		for i := range message {
			node, ok := passages.find(func(j int) (uint32, bool) {
				if i+j >= len(message) || message[i+j] == other {
					return 0, false
				}
				return message[i+j], true
			})
			if ok {
				sent[node] = true
			}
		}
	}
	for node := range sent {
		for _, start := range at[node] {
			clear(q.weights[start:ends[start]])
		}
	}
}

// A span is a kept span of an output; positions count the output's tokens.
type span struct {
	start, end  int
	sum         uint64 // S
	occurrences uint64
	home        int64 // position in the corpus of its first occurrence

	first, last int // of the tokens that belong to it
	credit      uint64
}

// kept returns the spans of steps 2 and 3 of section 4, by start. matches are the longest that end with each
// of the output's tokens: one is maximal unless the next token extends it.
func (q *question) kept(matches []match, n uint64, tau uint8) []span {
	before := make([]uint64, len(q.weights)+1)
	for i, w := range q.weights {
		before[i+1] = before[i] + w
	}
	threshold := attribution.Log(n) + attribution.Log(uint64(len(q.weights))) + uint64(tau)*attribution.Bit
	var kept []span
	for i, m := range matches {
		if m.length == 0 || i+1 < len(matches) && matches[i+1].length == m.length+1 {
			continue
		}
		start, end := i+1-int(m.length), i+1
		if sum := before[end] - before[start]; sum >= threshold {
			kept = append(kept, span{start: start, end: end, sum: sum, occurrences: m.occurrences, home: m.end - int64(m.length)})
		}
	}
	return kept
}

// belong is step 4 of section 4: it gives each covered token to the covering span with the largest sum, of
// equal ones to the leftmost, and returns the spans with credit. Both starts and ends of spans ascend, so
// those that cover a token and may still win wait in a queue with falling sums.
func (q *question) belong(kept []span) []span {
	var queue []int
	next := 0
	for i, w := range q.weights {
		for ; next < len(kept) && kept[next].start <= i; next++ {
			for len(queue) > 0 && kept[queue[len(queue)-1]].sum < kept[next].sum {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, next)
		}
		for len(queue) > 0 && kept[queue[0]].end <= i {
			queue = queue[1:]
		}
		if len(queue) == 0 || w == 0 {
			continue
		}
		s := &kept[queue[0]]
		if s.credit == 0 {
			s.first = i
		}
		s.last = i
		s.credit += w
	}
	var paid []span
	for _, s := range kept {
		if s.credit > 0 {
			paid = append(paid, s)
		}
	}
	return paid
}

// coverage is step 3 of section 5: the credit of all spans as a part of what the whole output tells, in
// millionths, rounded down.
func (q *question) coverage(spans []span) uint32 {
	var credit, all uint64
	for _, s := range spans {
		credit += s.credit
	}
	for _, w := range q.weights {
		all += w
	}
	if all == 0 {
		return 0
	}
	high, low := bits.Mul64(credit, 1_000_000)
	ppm, _ := bits.Div64(high, low, all)
	return uint32(ppm)
}

// width returns n as the 32 bits that a receipt has for it.
func width(n int, what string) (uint32, error) {
	if uint64(n) > math.MaxUint32 {
		return 0, fmt.Errorf("make receipt: %s, %d, do not fit in 32 bits", what, n)
	}
	return uint32(n), nil
}
