package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
)

const copierAccount = "Copier:"

// gain registers contributions behind those of an anthology, or before, and returns what part of all credit for
// the given outputs goes to accounts of copiers, in percent.
func (a *anthology) gain(ctx context.Context, corpus attribution.Corpus, outputs [][]byte) (float64, error) {
	view, err := index.InMemory(ctx, index.FromCorpus(corpus), index.Options{})
	if err != nil {
		return 0, err
	}
	engine := indexed.New(view)
	var copier, all uint64
	for _, output := range outputs {
		t, err := engine.Trace(output, nil, attribution.DefaultTau)
		if err != nil {
			return 0, err
		}
		for _, s := range t.Spans {
			all += s.Credit
			for _, p := range s.Payees {
				if strings.HasPrefix(p.Account, copierAccount) {
					copier += p.Credit
				}
			}
		}
	}
	if all == 0 {
		return 0, fmt.Errorf("nobody is paid for %d outputs", len(outputs))
	}
	return 100 * float64(copier) / float64(all), nil
}

// copies divides records among the accounts of copiers.
func copies(records [][]byte, accounts int) attribution.Corpus {
	var corpus attribution.Corpus
	for k := range accounts {
		c := attribution.Contribution{ID: fmt.Sprint("copy", k), Account: fmt.Sprint(copierAccount, k)}
		for i := k; i < len(records); i += accounts {
			c.Records = append(c.Records, records[i])
		}
		corpus = append(corpus, c)
	}
	return corpus
}

func copiers(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(3, 1))
	var outputs [][]byte
	for range b.outputs {
		outputs = append(outputs, a.answer(r, a.filler, clean).text)
	}
	common := a.commonest(200)
	rows := func(words ...string) []byte { return []byte(strings.Repeat(strings.Join(words, " ")+" ", 40)) }
	withRows := slices.Clone(outputs)
	for i := range withRows {
		one, two := common[r.IntN(len(common))], common[r.IntN(len(common))]
		row := [][]byte{[]byte(strings.Repeat("- ", 40)), rows(one), rows(one, two)}[r.IntN(3)]
		withRows[i] = slices.Concat(withRows[i], []byte("\n"), row)
	}

	var whole, chunks, framed, dashes [][]byte
	for _, p := range a.poets {
		whole = append(whole, p.text)
		for from := 0; from < len(p.tokens); {
			n := min(5+r.IntN(16), len(p.tokens)-from)
			chunk := excerpt(p, 0, from, n).text
			chunks = append(chunks, []byte(chunk))
			framed = append(framed, fmt.Appendf(nil, "begin%d %s end%d", from, chunk, from))
			from += n
		}
	}
	for _, one := range common {
		dashes = append(dashes, rows(one), rows(one, common[r.IntN(len(common))]))
	}
	dashes = append(dashes, []byte(strings.Repeat("- ", 1000)), []byte(strings.Repeat("—", 1000)))
	for _, attack := range []struct {
		name    string
		records [][]byte
		outputs [][]byte
	}{
		{"everything whole", whole, outputs},
		{"everything in chunks of 5 to 20 tokens", chunks, outputs},
		{"everything in chunks between words of his own", framed, outputs},
		{"rows of dashes and of one or two words", dashes, withRows},
	} {
		for _, accounts := range []int{1, 10} {
			g, err := a.gain(ctx, append(slices.Clone(a.corpus), copies(attack.records, accounts)...), attack.outputs)
			if err != nil {
				return err
			}
			b.table.add(fmt.Sprintf("later copier's gain, %s, %d accounts", attack.name, accounts), exactly(0), g, "% of the pay")
		}
	}
	return a.copiedLine(ctx, b, r, common[0])
}

// copiedLine lets a copier register a line of each answer with one common word behind it, and answers print both.
func (a *anthology) copiedLine(ctx context.Context, b *bench, r *rand.Rand, common string) error {
	var records, outputs [][]byte
	for range b.outputs {
		line := a.line(r)
		copied := slices.Concat(line, []byte(" "), []byte(common))
		records = append(records, copied)
		outputs = append(outputs, slices.Concat([]byte(a.filler(r, 20).text), []byte("\n"), copied, []byte("\n"), []byte(a.filler(r, 20).text)))
	}
	g, err := a.gain(ctx, append(slices.Clone(a.corpus), copies(records, 1)...), outputs)
	if err != nil {
		return err
	}
	b.table.add("gain of who copied a line and adds one common word, where answers print both", atMost(6), g, "% of the pay")
	return nil
}

// line returns a line of a contributor with at least 5 tokens.
func (a *anthology) line(r *rand.Rand) []byte {
	for {
		p := a.poets[r.IntN(len(a.poets))]
		at := r.IntN(len(p.text))
		start := bytes.LastIndexByte(p.text[:at], '\n') + 1
		end := bytes.IndexByte(p.text[start:], '\n')
		if end > 0 && len(words(p.text[start:start+end])) >= attribution.PassageTokens {
			return p.text[start : start+end]
		}
	}
}

// commonest returns the most frequent words of the contributors, the most frequent first.
func (a *anthology) commonest(n int) []string {
	counts := make(map[string]int)
	for _, p := range a.poets {
		for _, t := range p.tokens {
			counts[t.Text]++
		}
	}
	return mostFrequent(counts, n)
}

func mostFrequent(counts map[string]int, n int) []string {
	var list []string
	for s := range counts {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	return list[:min(n, len(list))]
}

// commonPhrases lets somebody register passages before everyone else: the commonest of verse that is no part of the
// anthology, and, as who knows what others will contribute, the commonest of all of it.
func commonPhrases(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	foreign := a.strange[len(a.strange)-1]
	poets := slices.Clone(a.poets)
	// Its verse must not be filler too, which would not be the pay of anyone else.
	a.strange = a.strange[:len(a.strange)-1]
	if len(a.strange) == 0 {
		return fmt.Errorf("%w: the verse of two strangers is needed", errNoInput)
	}
	r := rand.New(rand.NewPCG(4, 1))
	var outputs [][]byte
	for range b.outputs {
		outputs = append(outputs, a.answer(r, a.filler, clean).text)
	}
	for _, attack := range []struct {
		name    string
		phrases []string
		want    target
	}{
		{"of other verse", mostFrequent(passages(foreign), 5_000), atMost(.2)},
		{"of the poets themselves", mostFrequent(passages(poets...), 5_000), target{}},
	} {
		var records [][]byte
		for _, phrase := range attack.phrases {
			records = append(records, []byte(phrase))
		}
		g, err := a.gain(ctx, append(copies(records, 1), a.corpus...), outputs)
		if err != nil {
			return err
		}
		b.table.add(fmt.Sprintf("gain of who registers the %d commonest phrases %s first", len(records), attack.name), attack.want, g, "% of the pay")
	}
	return nil
}

// passages counts the passages of poems.
func passages(poems ...*poem) map[string]int {
	counts := make(map[string]int)
	for _, p := range poems {
		for i := range p.tokens {
			runes := 0
			for n := 1; i+n <= len(p.tokens); n++ {
				runes += p.tokens[i+n-1].Runes
				if n >= attribution.PassageTokens && runes >= attribution.PassageRunes {
					counts[strings.Join(excerpt(p, 0, i, n).words, " ")]++
					break
				}
			}
		}
	}
	return counts
}
