// Package plain computes the receipt of an answer as the definition reads (docs/attribution.md): one
// function for each of its steps, no index, nothing clever. It is the measure that faster engines are
// tested against.
//
// It holds the whole corpus in maps and looks at every occurrence of every output text1.Token, so it is meant
// for corpora of some megabytes: a million tokens take about a second to read and a few hundred bytes
// each.
package plain

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// An Engine makes receipts over one corpus. It may be used concurrently.
type Engine struct {
	corpus *corpus
}

// New reads a corpus. It fails when a name in it breaks the rules or a contribution stands in it twice.
// The records must not change afterwards.
func New(contributions attribution.Corpus) (*Engine, error) {
	if err := contributions.Check(); err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	return &Engine{corpus: readCorpus(contributions)}, nil
}

// Size returns N and V of section 2: the number of tokens in the corpus, and that of its distinct text1.Tokens plus one.
func (e *Engine) Size() (n, v uint64) { return e.corpus.n, e.corpus.v }

// A span is a passage of the output that occurs in the corpus; its positions count text1.Tokens of the output.
type span struct {
	start, end int
	match      match
	sum        uint64 // S
	own        []int  // the positions that belong to it
	credit     uint64
}

// Receipt computes the receipt of an answer. It fails when something does not fit in a receipt.
func (e *Engine) Receipt(a attribution.Answer) (*receipt.Receipt, error) {
	r := &receipt.Receipt{
		Roots: receipt.Roots(a.Roots),
		N:     e.corpus.n, V: e.corpus.v,
		Model: a.Model, Artifact: a.Artifact,
		Output: attribution.CommitOutput(a.Nonces.Output, a.Output),
		Tau:    a.Tau,
	}
	var err error
	if r.Prompt, err = attribution.CommitPrompt(a.Nonces.Prompt, a.Prompt); err != nil {
		return nil, err
	}
	if r.Context, err = attribution.CommitContext(a.Nonces.Context, a.Context); err != nil {
		return nil, err
	}
	output := text1.Tokens(a.Output)
	if r.OutputBytes, err = width(len(a.Output), "the output's bytes"); err != nil {
		return nil, err
	}
	if r.OutputTokens, err = width(len(output), "the output's tokens"); err != nil {
		return nil, err
	}
	prompt := make([][]text1.Token, len(a.Prompt))
	for i, message := range a.Prompt {
		prompt[i] = text1.Tokens(message)
	}

	if e.corpus.n > 0 && len(output) > 0 {
		w := e.weights(output, prompt)
		spans := belong(e.kept(e.maximal(output), w, a.Tau), w)
		if r.Spans, err = e.pay(spans, output, w); err != nil {
			return nil, err
		}
		r.Shares = receipt.Shares(r.Spans)
		r.CoveragePPM = coverage(spans, w)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return r, nil
}

// weights is step 1 of section 4: w of each output text1.Token, 0 for what is quoted from the prompt or an
// echo, and for any other its information (section 3).
func (e *Engine) weights(output []text1.Token, prompt [][]text1.Token) []uint64 {
	quoted := quotes(output, prompt)
	w := make([]uint64, len(output))
	for i, t := range output {
		if !quoted[i] && !echo(output, i) {
			w[i] = attribution.Information(e.corpus.n, e.corpus.v, e.corpus.count(t))
		}
	}
	return w
}

// quotes tells which output text1.Tokens lie in a passage of the output that occurs in a record of the prompt.
func quotes(output []text1.Token, prompt [][]text1.Token) []bool {
	sent := make(map[run]bool)
	for _, message := range prompt {
		for i := range message {
			if end, ok := passage(message, i); ok {
				sent[newRun(message[i:end])] = true
			}
		}
	}
	quoted := make([]bool, len(output))
	for i := range output {
		if end, ok := passage(output, i); ok && sent[newRun(output[i:end])] {
			for j := i; j < end; j++ {
				quoted[j] = true
			}
		}
	}
	return quoted
}

// echo tells whether an output text1.Token equals one of the 9 before it.
func echo(output []text1.Token, i int) bool {
	return slices.ContainsFunc(output[max(0, i-attribution.EchoDistance):i], func(t text1.Token) bool { return t.Text == output[i].Text })
}

// maximal is step 2 of section 4: the spans [i, R(i)) with R(i) > R(i−1).
func (e *Engine) maximal(output []text1.Token) []span {
	var spans []span
	before := 0
	for i := range output {
		m := e.corpus.longest(output[i:])
		end := i + m.length
		if end > before {
			spans = append(spans, span{start: i, end: end, match: m})
		}
		before = end
	}
	return spans
}

// kept is step 3 of section 4: the maximal spans of at least 3 tokens that tell enough not to stand there
// by chance.
func (e *Engine) kept(maximal []span, w []uint64, tau uint8) []span {
	threshold := attribution.Log(e.corpus.n) + attribution.Log(uint64(len(w))) + uint64(tau)*attribution.Bit
	var kept []span
	for _, s := range maximal {
		for i := s.start; i < s.end; i++ {
			s.sum += w[i]
		}
		if s.end-s.start >= attribution.MinSpan && s.sum >= threshold {
			kept = append(kept, s)
		}
	}
	return kept
}

// belong is step 4 of section 4: each covered token belongs to the covering span with the largest S, of
// equal ones to the leftmost. Spans without credit are dropped.
func belong(kept []span, w []uint64) []span {
	for i := range w {
		best := -1
		for k, s := range kept {
			if s.start <= i && i < s.end && (best < 0 || s.sum > kept[best].sum) {
				best = k
			}
		}
		if best >= 0 {
			kept[best].own = append(kept[best].own, i)
			kept[best].credit += w[i]
		}
	}
	return slices.DeleteFunc(kept, func(s span) bool { return s.credit == 0 })
}

// pay is step 1 of section 5: every token that belongs to a span is paid, with its w, to the origin of
// the corresponding token at the span's home.
func (e *Engine) pay(spans []span, output []text1.Token, w []uint64) ([]receipt.Span, error) {
	var paid []receipt.Span
	for _, s := range spans {
		home := s.match.first
		credit := make(map[string]uint64)
		for _, i := range s.own {
			place := home
			place.Token += i - s.start
			credit[e.corpus.origin(place)] += w[i]
		}
		record, err := width(home.Record, "a record's number")
		if err != nil {
			return nil, err
		}
		first, err := width(home.Token, "a token's number")
		if err != nil {
			return nil, err
		}
		// The positions fit, since the numbers of the output's tokens and bytes do.
		paid = append(paid, receipt.Span{
			Start: uint32(s.start), End: uint32(s.end),
			ByteStart: uint32(output[s.start].Start), ByteEnd: uint32(output[s.end-1].End),
			Information: s.sum, Credit: s.credit, Occurrences: s.match.occurrences,
			Home:   receipt.Home{Contribution: e.corpus.contributions[home.Contribution].ID, Record: record, Token: first},
			Payees: payees(credit),
		})
	}
	return paid, nil
}

// payees lists what accounts are paid, bytewise ascending, without those that are paid 0.
func payees(credit map[string]uint64) []receipt.Payee {
	var list []receipt.Payee
	for account, c := range credit {
		if c > 0 {
			list = append(list, receipt.Payee{Account: account, Credit: c})
		}
	}
	slices.SortFunc(list, func(a, b receipt.Payee) int { return strings.Compare(a.Account, b.Account) })
	return list
}

// coverage is step 3 of section 5: the credit of all spans as a part of what the whole output tells, in
// millionths, rounded down.
func coverage(spans []span, w []uint64) uint32 {
	credit, all := new(big.Int), new(big.Int)
	for _, s := range spans {
		credit.Add(credit, new(big.Int).SetUint64(s.credit))
	}
	for _, weight := range w {
		all.Add(all, new(big.Int).SetUint64(weight))
	}
	if all.Sign() == 0 {
		return 0
	}
	credit.Mul(credit, big.NewInt(1_000_000))
	return uint32(credit.Quo(credit, all).Uint64())
}

// width returns n as the 32 bits that a receipt has for it.
func width(n int, what string) (uint32, error) {
	if uint64(n) > math.MaxUint32 {
		return 0, fmt.Errorf("make receipt: %s, %d, do not fit in 32 bits", what, n)
	}
	return uint32(n), nil
}
