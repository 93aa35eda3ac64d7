// Package explain shows a receipt to people who may read the texts: which passages of the answer stand in
// which contributions, in what surroundings, and what each contributor's share is. It shows what a receipt says
// and computes nothing that anybody is paid by.
//
// What is shown is textual provenance: that these passages stand there. It is no claim that they caused the
// answer, and paraphrase is not seen.
package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// Claim says what a receipt means. It belongs beside every explanation.
const Claim = "The marked passages stand in the named contributions, letter forms and punctuation apart. " +
	"That is no claim that they caused the answer, and a paraphrase is not seen."

// An Explanation is a receipt beside the text it is about.
type Explanation struct {
	Receipt *receipt.Receipt
	// Pieces are the whole output in order.
	Pieces []Piece
	// Contributors are all who have credit, the largest share first.
	Contributors []Contributor
	// Passages are the receipt's spans, in its order.
	Passages []Passage
}

// A Piece is a part of the output that belongs to one passage, or to none.
type Piece struct {
	Text    string
	Passage int // index in Passages, -1 for none
}

// A Contributor is an account that is paid.
type Contributor struct {
	Account  string
	PPM      uint32
	Credit   uint64 // in units of 2⁻¹⁶ bit
	Passages int    // how many it is paid for
}

// A Passage is a span of the output and where it stands in the corpus first.
type Passage struct {
	Span *receipt.Span
	// Contributor is the index of the one who is paid most for it, of equal ones the bytewise first.
	Contributor int
	Text        string
	// Found tells that the home's text is known: its tokens as they stand there, and some of the text around.
	Found               bool
	Before, Home, After string
}

// New explains a receipt of an output. It fails when the receipt is not one of an output of this length.
func New(r *receipt.Receipt, output []byte) (*Explanation, error) {
	tokens := text1.Tokens(output)
	if uint64(r.OutputBytes) != uint64(len(output)) || uint64(r.OutputTokens) != uint64(len(tokens)) {
		return nil, fmt.Errorf("explain receipt: it is about an output of %d bytes and %d tokens, not of %d and %d",
			r.OutputBytes, r.OutputTokens, len(output), len(tokens))
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("explain receipt: %w", err)
	}
	e := &Explanation{Receipt: r, Contributors: contributors(r)}
	for i := range r.Spans {
		s := &r.Spans[i]
		most := slices.MaxFunc(s.Payees, func(a, b receipt.Payee) int {
			return cmp.Or(cmp.Compare(a.Credit, b.Credit), cmp.Compare(b.Account, a.Account))
		})
		e.Passages = append(e.Passages, Passage{
			Span: s, Text: string(output[s.ByteStart:s.ByteEnd]),
			Contributor: slices.IndexFunc(e.Contributors, func(c Contributor) bool { return c.Account == most.Account }),
		})
	}
	e.Pieces = pieces(r, output, tokens)
	return e, nil
}

func contributors(r *receipt.Receipt) []Contributor {
	var all []Contributor
	for _, share := range r.Shares {
		c := Contributor{Account: share.Account, PPM: share.PPM}
		for _, span := range r.Spans {
			for _, payee := range span.Payees {
				if payee.Account == share.Account {
					c.Credit += payee.Credit
					c.Passages++
				}
			}
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Contributor) int { return cmp.Compare(b.Credit, a.Credit) })
	return all
}

// pieces cuts the output where another passage begins to own its tokens: of those that cover a token, the one
// with the most information, of equal ones the leftmost.
func pieces(r *receipt.Receipt, output []byte, tokens []text1.Token) []Piece {
	owner := make([]int, len(tokens))
	for i := range owner {
		owner[i] = -1
	}
	for k, s := range r.Spans {
		for i := s.Start; i < s.End; i++ {
			if owner[i] < 0 || s.Information > r.Spans[owner[i]].Information {
				owner[i] = k
			}
		}
	}
	var all []Piece
	add := func(from, to, passage int) {
		if from < to {
			all = append(all, Piece{string(output[from:to]), passage})
		}
	}
	done := 0
	for i := 0; i < len(tokens); {
		j := i + 1
		for j < len(tokens) && owner[j] == owner[i] {
			j++
		}
		if owner[i] >= 0 {
			start, end := max(done, tokens[i].Start), max(done, tokens[j-1].End)
			add(done, start, -1)
			add(start, end, owner[i])
			done = end
		}
		i = j
	}
	add(done, len(output), -1)
	return all
}

// Surround fills in where a passage stands in the corpus: record is the text of its home, and so many tokens
// before and after are shown. It fails when the passage does not stand there.
func (p *Passage) Surround(record []byte, around int) error {
	tokens := text1.Tokens(record)
	start := int64(p.Span.Home.Token)
	end := start + int64(p.Span.End-p.Span.Start)
	if end > int64(len(tokens)) {
		return fmt.Errorf("explain receipt: record %d of %q ends before the passage at token %d", p.Span.Home.Record, p.Span.Home.Contribution, start)
	}
	for i, t := range text1.Tokens([]byte(p.Text)) {
		if start+int64(i) >= end || tokens[start+int64(i)].Text != t.Text {
			return fmt.Errorf("explain receipt: the passage does not stand at token %d of record %d of %q", start, p.Span.Home.Record, p.Span.Home.Contribution)
		}
	}
	from, to := max(0, start-int64(around)), min(int64(len(tokens)), end+int64(around))
	first, last := tokens[start].Start, tokens[end-1].End
	p.Found = true
	p.Before = string(record[tokens[from].Start:max(tokens[from].Start, first)])
	p.Home = string(record[first:last])
	p.After = string(record[last:max(last, tokens[to-1].End)])
	if from > 0 {
		p.Before = "… " + p.Before
	}
	if to < int64(len(tokens)) {
		p.After += " …"
	}
	return nil
}
