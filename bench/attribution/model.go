package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/infgram"
)

// prediction measures how well the built-in model predicts verse of strangers, in poems of 20 lines.
func prediction(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	var records [][]string
	corpus := make(attribution.Corpus, len(a.corpus))
	for i, c := range a.corpus {
		c.Records = poems(c.Records[0])
		corpus[i] = c
		for _, record := range c.Records {
			records = append(records, words(record))
		}
	}
	start := time.Now()
	view, err := index.InMemory(ctx, index.FromCorpus(corpus), index.Options{})
	if err != nil {
		return err
	}
	indexing := time.Since(start)
	n, _ := view.Size()
	start = time.Now()
	if _, err := infgram.New(ctx, view, infgram.Options{}); err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("training the model beyond building its index, %.1f M tokens", float64(n)/1e6), target{}, time.Since(start).Seconds()*1e3, "ms",
		fmt.Sprintf("the index %.0f ms", indexing.Seconds()*1e3))

	yardstick := newKneserNey(4, records)
	size, reference := 0, 0.0
	for _, p := range a.strange {
		for _, record := range poems(p.text) {
			size += len(record)
			reference += yardstick.bits(words(record))
		}
	}
	reference /= float64(size)
	for _, c := range []struct {
		name    string
		options infgram.Options
		want    target
	}{
		{"Witten–Bell", infgram.Options{Interpolation: infgram.WittenBell}, target{}},
		{"discounted", infgram.Options{Interpolation: infgram.Discounted}, atMost(reference)},
		{"discounted, contexts of 4", infgram.Options{Interpolation: infgram.Discounted, MaxContext: 4}, target{}},
	} {
		m, err := infgram.New(ctx, view, c.options)
		if err != nil {
			return err
		}
		bits := 0.0
		for _, p := range a.strange {
			for _, record := range poems(p.text) {
				score, err := m.Score(ctx, infgram.Passage{Text: record, Ends: true}, infgram.Subset{})
				if err != nil {
					return err
				}
				bits += score.Bits
			}
		}
		b.table.add("bits per byte of strangers' verse, "+c.name, c.want, bits/float64(size), "", fmt.Sprintf("interpolated Kneser–Ney of order 4 %.4g", reference))
	}
	return nil
}

const (
	subsetContributors = 42
	subsets            = 64
	subsetOutputTokens = 60
)

// subsetTraining measures how well methods foretell what the model gives its own outputs when it is trained on half of
// the contributors: the linear datamodeling score of Park et al. (arXiv 2303.14186), the mean rank correlation over
// the subsets of the outputs' log probability with the sum of the subset's scores.
func subsetTraining(ctx context.Context, b *bench) error {
	whole, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	a, err := whole.divided(ctx, subsetContributors)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		context int
		below   float64 // what is allowed
	}{{2, .06}, {3, .005}, {8, .015}} {
		m, err := infgram.New(ctx, a.view, infgram.Options{MaxContext: c.context})
		if err != nil {
			return err
		}
		methods := []struct {
			name   string
			scores func([]byte) (map[string]float64, error)
		}{
			{"ours", func(output []byte) (map[string]float64, error) { f, err := ours{a}.find(output); return f.shares, err }},
			{"OLMoTrace-like", a.traced(false)},
			{"OLMoTrace-like with all spans", a.traced(true)},
			{"BM25", a.newRetrieval().scores},
			{"exact leave-one-out", func(output []byte) (map[string]float64, error) {
				_, each, err := m.LeaveOneOut(ctx, infgram.Passage{Text: output})
				gains := make(map[string]float64)
				for _, e := range each {
					gains[e.Account] = e.Gain
				}
				return gains, err
			}},
		}
		r := rand.New(rand.NewPCG(9, uint64(c.context)))
		correlation := make([]float64, len(methods))
		outputs := max(1, b.outputs/10)
		for range outputs {
			output, err := written(ctx, m, r)
			if err != nil {
				return err
			}
			chosen, actual, err := a.retrained(ctx, m, r, output)
			if err != nil {
				return err
			}
			for k, method := range methods {
				scores, err := method.scores(output)
				if err != nil {
					return err
				}
				foretold := make([]float64, len(chosen))
				for i, accounts := range chosen {
					for _, account := range accounts {
						foretold[i] += scores[account]
					}
				}
				correlation[k] += rankCorrelation(foretold, actual) / float64(outputs)
			}
		}
		var others []string
		for k, method := range methods[1:] {
			others = append(others, fmt.Sprintf("%s %.3f", method.name, correlation[k+1]))
		}
		b.table.add(fmt.Sprintf("rank correlation with subset retraining, contexts of %d, %d outputs", c.context, outputs),
			atLeast(max(correlation[1], correlation[2])-c.below), correlation[0], "", others...)
	}
	return nil
}

func (a *anthology) traced(all bool) func([]byte) (map[string]float64, error) {
	return func(output []byte) (map[string]float64, error) {
		f, err := (&tracer{anthology: a, all: all}).find(output)
		return f.shares, err
	}
}

// divided is an anthology of all poets, strangers too, cut into so many contributors of like size with one record each.
func (a *anthology) divided(ctx context.Context, contributors int) (*anthology, error) {
	all := slices.Concat(a.poets, a.strange)
	pieces := slices.Repeat([]int{1}, len(all))
	for range contributors - len(all) {
		largest := 0
		for i, p := range all {
			if len(p.tokens)*pieces[largest] > len(all[largest].tokens)*pieces[i] {
				largest = i
			}
		}
		pieces[largest]++
	}
	d := &anthology{}
	for i, p := range all {
		records := poems(p.text)
		for k := range pieces[i] {
			name := fmt.Sprint(p.name, k)
			d.corpus = append(d.corpus, attribution.Contribution{
				ID: name, Account: "Poets:" + name,
				Records: [][]byte{bytes.Join(records[len(records)*k/pieces[i]:len(records)*(k+1)/pieces[i]], nil)},
			})
		}
	}
	var err error
	if d.view, err = index.InMemory(ctx, index.FromCorpus(d.corpus), index.Options{}); err != nil {
		return nil, err
	}
	d.engine = indexed.New(d.view)
	return d, nil
}

// written returns an output of a model of just so many tokens.
func written(ctx context.Context, m *infgram.Model, r *rand.Rand) ([]byte, error) {
	for {
		var list []string
		for token, err := range m.Generate(ctx, nil, infgram.Generation{Tokens: subsetOutputTokens, Seed: r.Uint64()}) {
			if err != nil {
				return nil, err
			}
			list = append(list, token)
		}
		if len(list) == subsetOutputTokens {
			return []byte(strings.Join(list, " ")), nil
		}
	}
}

// retrained draws halves of the contributors and returns them with the output's log probability by the model that is
// trained on them.
func (a *anthology) retrained(ctx context.Context, m *infgram.Model, r *rand.Rand, output []byte) (chosen [][]string, actual []float64, err error) {
	accounts := m.Accounts()
	half := make([]infgram.Subset, subsets)
	for i := range half {
		r.Shuffle(len(accounts), func(i, j int) { accounts[i], accounts[j] = accounts[j], accounts[i] })
		chosen = append(chosen, slices.Clone(accounts[:len(accounts)/2]))
		if half[i], err = m.Only(chosen[i]...); err != nil {
			return nil, nil, err
		}
	}
	actual = make([]float64, subsets)
	err = m.EachChain(ctx, infgram.Passage{Text: output}, half, func(_, subset int, c infgram.Chain) { actual[subset] += c.Log2(infgram.WittenBell) })
	return chosen, actual, err
}

// rankCorrelation is Spearman's; 0 where one of the lists says nothing.
func rankCorrelation(x, y []float64) float64 {
	a, b := ranks(x), ranks(y)
	mean := float64(len(a)-1) / 2
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - mean) * (b[i] - mean)
		aa += (a[i] - mean) * (a[i] - mean)
		bb += (b[i] - mean) * (b[i] - mean)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// ranks gives equal values the mean of their ranks.
func ranks(list []float64) []float64 {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(list[a], list[b]) })
	of := make([]float64, len(list))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && list[order[to]] == list[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			of[i] = float64(from+to-1) / 2
		}
		from = to
	}
	return of
}

// retrieval scores contributors as documents by BM25 (Robertson and Walker 1994), k₁ = 1.2 and b = 0.75.
type retrieval struct {
	corpus  attribution.Corpus
	counts  []map[string]float64
	lengths []float64
	mean    float64
	holders map[string]float64
}

func (a *anthology) newRetrieval() *retrieval {
	t := &retrieval{corpus: a.corpus, holders: make(map[string]float64)}
	for _, c := range a.corpus {
		counts, length := make(map[string]float64), 0.0
		for _, word := range words(bytes.Join(c.Records, []byte("\n"))) {
			counts[word]++
			length++
		}
		for word := range counts {
			t.holders[word]++
		}
		t.counts, t.lengths = append(t.counts, counts), append(t.lengths, length)
		t.mean += length / float64(len(a.corpus))
	}
	return t
}

func (t *retrieval) scores(output []byte) (map[string]float64, error) {
	scores := make(map[string]float64)
	n := float64(len(t.corpus))
	for _, word := range words(output) {
		rarity := math.Log(1 + (n-t.holders[word]+.5)/(t.holders[word]+.5))
		for i, c := range t.corpus {
			f := t.counts[i][word]
			scores[c.Account] += rarity * f * 2.2 / (f + 1.2*(.25+.75*t.lengths[i]/t.mean))
		}
	}
	return scores, nil
}

// generation measures what the model costs over an index.
func (b *bench) generation(ctx context.Context, view *index.View, outputs [][]byte) error {
	start := time.Now()
	m, err := infgram.New(ctx, view, infgram.Options{MaxContext: 4})
	if err != nil {
		return err
	}
	at := fmt.Sprintf("at %d MB", b.megabytes)
	b.table.add("training the model beyond building its index "+at, target{}, time.Since(start).Seconds()*1e3, "ms")
	tokens := 0
	start = time.Now()
	for seed := range uint64(b.outputs) {
		for _, err := range m.Generate(ctx, outputs[seed][:min(len(outputs[seed]), 100)], infgram.Generation{Tokens: 100, Seed: seed}) {
			if err != nil {
				return err
			}
			tokens++
		}
	}
	b.table.add("generation "+at, atMost(1000), time.Since(start).Seconds()*1e6/float64(tokens), "µs per token", fmt.Sprintf("%d tokens", tokens))
	var first, again []time.Duration
	for _, output := range outputs[:min(20, len(outputs))] {
		for _, times := range []*[]time.Duration{&first, &again} {
			start := time.Now()
			if _, _, err := m.LeaveOneOut(ctx, infgram.Passage{Text: output}); err != nil {
				return err
			}
			*times = append(*times, time.Since(start))
		}
	}
	slices.Sort(first)
	slices.Sort(again)
	b.table.add("exact leave-one-out of an answer "+at+", median", target{}, first[len(first)/2].Seconds()*1e3, "ms",
		fmt.Sprintf("%d accounts, largest %.0f ms, asked again %.0f ms", len(m.Accounts()), first[len(first)-1].Seconds()*1e3, again[len(again)/2].Seconds()*1e3))
	return nil
}
