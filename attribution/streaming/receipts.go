package streaming

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

// What callers make with one call of Receipts, when memory has to be bounded whatever was written: so many answers, tokens of
// their outputs, which take up to 800 bytes of memory each while it goes on, and bytes of all their texts.
const (
	PassAnswers = 512
	PassTokens  = 1 << 19
	PassBytes   = 8 << 20
)

// maxText bounds the tokens of all outputs of one check, so that the automaton's states can be numbered.
const maxText = math.MaxInt32/2 - 1

// Receipts computes the receipts of several answers with the same two passes over the corpus, so that a sample
// of them costs little more than one. It fails when something of any of them does not fit in a receipt.
func (e *Engine) Receipts(ctx context.Context, answers ...attribution.Answer) ([]*receipt.Receipt, error) {
	receipts := make([]*receipt.Receipt, len(answers))
	questions := make([]question, len(answers))
	var text []uint32
	for i, a := range answers {
		questions[i] = e.question(a)
		text = append(append(text, questions[i].numbers...), absent)
		if len(text) > maxText {
			return nil, fmt.Errorf("make receipts: outputs of more than %d tokens together: check fewer at once", maxText)
		}
		var err error
		if receipts[i], err = e.heading(a, &questions[i]); err != nil {
			return nil, err
		}
	}
	n, _ := e.Size()
	if n == 0 {
		return receipts, checkAll(receipts)
	}
	matches, err := e.stream.matches(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("search the corpus for matches: %w", err)
	}
	spans := make([][]span, len(answers))
	var all []span
	for i := range questions {
		q := &questions[i]
		m := len(q.numbers)
		if m > 0 {
			spans[i] = q.belong(q.kept(matches[:m], n, answers[i].Tau))
			all = append(all, spans[i]...)
		}
		matches = matches[m+1:]
	}
	origins, err := e.origins(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("search the corpus for origins: %w", err)
	}
	for i, r := range receipts {
		if err := e.pay(r, &questions[i], spans[i], origins[:len(spans[i])]); err != nil {
			return nil, err
		}
		origins = origins[len(spans[i]):]
	}
	return receipts, checkAll(receipts)
}

func checkAll(receipts []*receipt.Receipt) error {
	for _, r := range receipts {
		if err := r.Check(); err != nil {
			return err
		}
	}
	return nil
}

// heading fills in what needs no search.
func (e *Engine) heading(a attribution.Answer, q *question) (*receipt.Receipt, error) {
	n, v := e.Size()
	r := &receipt.Receipt{
		Roots: receipt.Roots(a.Roots), N: n, V: v,
		Model: a.Model, Artifact: a.Artifact, Tau: a.Tau,
		Output: attribution.CommitOutput(a.Nonces.Output, a.Output),
	}
	var err error
	if r.Prompt, err = attribution.CommitPrompt(a.Nonces.Prompt, a.Prompt); err != nil {
		return nil, err
	}
	if r.Context, err = attribution.CommitContext(a.Nonces.Context, a.Context); err != nil {
		return nil, err
	}
	if r.OutputBytes, err = width(len(a.Output), "the output's bytes"); err != nil {
		return nil, err
	}
	if r.OutputTokens, err = width(len(q.tokens), "the output's tokens"); err != nil {
		return nil, err
	}
	return r, nil
}

// pay fills in the spans, each with the accounts that its tokens from first to last are from.
func (e *Engine) pay(r *receipt.Receipt, q *question, spans []span, origins [][]string) error {
	for i, s := range spans {
		home := e.stream.place(s.home)
		record, err := width(home.Record, "a record's number")
		if err != nil {
			return err
		}
		token, err := width(home.Token, "a token's number")
		if err != nil {
			return err
		}
		credit := make(map[string]uint64)
		for k, account := range origins[i] {
			if w := q.weights[s.first+k]; w > 0 {
				credit[account] += w
			}
		}
		var payees []receipt.Payee
		for account, c := range credit {
			payees = append(payees, receipt.Payee{Account: account, Credit: c})
		}
		slices.SortFunc(payees, func(a, b receipt.Payee) int { return cmp.Compare(a.Account, b.Account) })
		r.Spans = append(r.Spans, receipt.Span{
			Start: uint32(s.start), End: uint32(s.end),
			ByteStart: uint32(q.tokens[s.start].Start), ByteEnd: uint32(q.tokens[s.end-1].End),
			Information: s.sum, Credit: s.credit, Occurrences: s.occurrences,
			Home:   receipt.Home{Contribution: e.stream.contributions[home.Contribution].id, Record: record, Token: token},
			Payees: payees,
		})
	}
	r.Shares = receipt.Shares(r.Spans)
	r.CoveragePPM = q.coverage(spans)
	return nil
}

// A neighbourhood is the corpus around the home of a span's own tokens, as far as passages that cover them reach.
type neighbourhood struct {
	from    int64    // position of the first number
	numbers []uint32 // inside one record
	nodes   []int32  // of the passage that starts there, if there is one
	ends    []int    // and where it ends, 0 if not
}

// mostNodes bounds the passages that are looked for with one pass over the corpus: a node takes some 60 bytes. So many are of
// thousands of spans, unless somebody made them up.
var mostNodes = 1 << 21

// origins returns for each span the accounts that its tokens from first to last are from (section 2).
func (e *Engine) origins(ctx context.Context, spans []span) ([][]string, error) {
	accounts := make([][]string, 0, len(spans))
	for len(accounts) < len(spans) {
		some, err := e.firstOrigins(ctx, spans[len(accounts):])
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, some...)
	}
	return accounts, nil
}

// firstOrigins is origins for the first spans, as many as one pass does.
func (e *Engine) firstOrigins(ctx context.Context, spans []span) ([][]string, error) {
	passages := newTrie()
	var places []neighbourhood
	var runs []uint32
	limit := int64(0)
	for i := range spans {
		if i > 0 && len(passages.leaf) > mostNodes {
			spans = spans[:i]
			break
		}
		place, err := e.neighbourhood(&spans[i], passages)
		if err != nil {
			return nil, err
		}
		for start, end := range place.ends {
			if end > 0 {
				runs = append(runs, place.numbers[start:start+minSpan]...)
				// The passage stands here at least, so its home is not after this.
				limit = max(limit, place.from+int64(start)+1)
			}
		}
		places = append(places, place)
	}
	f := newFilter(len(runs) / minSpan)
	for ; len(runs) > 0; runs = runs[minSpan:] {
		f.add(runs[:minSpan])
	}
	homes, err := e.stream.homes(ctx, passages, f, limit)
	if err != nil {
		return nil, err
	}
	accounts := make([][]string, len(spans))
	for i, s := range spans {
		for k := s.first; k <= s.last; k++ {
			position := s.home + int64(k-s.start)
			earliest := places[i].earliest(position, homes)
			contribution := e.stream.contributionOf(e.stream.record(earliest))
			accounts[i] = append(accounts[i], e.stream.contributions[contribution].account)
		}
	}
	return accounts, nil
}

func (e *Engine) neighbourhood(s *span, passages *trie) (neighbourhood, error) {
	start, end := e.stream.bounds(e.stream.record(s.home))
	first, last := s.home+int64(s.first-s.start), s.home+int64(s.last-s.start)
	from := max(start, first-(attribution.LongestPassage-1))
	data, err := e.stream.read(from, min(end, last+attribution.LongestPassage), nil)
	if err != nil {
		return neighbourhood{}, err
	}
	n := neighbourhood{from: from, numbers: make([]uint32, len(data)/4)}
	for i := range n.numbers {
		n.numbers[i] = binary.LittleEndian.Uint32(data[4*i:])
		if n.numbers[i] == border || int(n.numbers[i]) >= len(e.stream.words.runes) {
			return neighbourhood{}, ErrDamaged
		}
	}
	n.nodes, n.ends = make([]int32, len(n.numbers)), make([]int, len(n.numbers))
	for i := range n.numbers {
		end := passageEnd(i, len(n.numbers), func(j int) int { return int(e.stream.words.runes[n.numbers[j]]) })
		if end > 0 && from+int64(end) > first && from+int64(i) <= last {
			n.nodes[i], n.ends[i] = passages.add(n.numbers[i:end]), end
		}
	}
	return n, nil
}

// earliest returns the position of the earliest home among the passages that cover a position, the position
// itself when none does.
func (n *neighbourhood) earliest(position int64, homes []int64) int64 {
	earliest := position
	at := int(position - n.from)
	for i := max(0, at-(attribution.LongestPassage-1)); i <= at; i++ {
		if n.ends[i] > at {
			earliest = min(earliest, homes[n.nodes[i]])
		}
	}
	return earliest
}
