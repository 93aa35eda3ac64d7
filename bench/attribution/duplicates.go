package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/report"
)

// nearDuplicates shows the contributors' verse to the validator's report again, in poems of 20 lines with every fifth
// word changed, and the strangers' verse as it is.
func nearDuplicates(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	corpus := make(attribution.Corpus, len(a.corpus))
	size := 0
	for i, c := range a.corpus {
		c.Records = poems(c.Records[0])
		corpus[i] = c
		for _, record := range c.Records {
			size += len(record)
		}
	}
	r := rand.New(rand.NewPCG(8, 1))
	found, contained, all := 0, 0, 0
	var took time.Duration
	for _, c := range corpus {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		copied := attribution.Contribution{ID: "copy", Account: "Copier:1"}
		for _, record := range c.Records {
			copied.Records = append(copied.Records, everyFifth(r, record))
		}
		start := time.Now()
		findings := report.Of(corpus, copied)
		took += time.Since(start)
		found += findings.Duplicates.Near + findings.Duplicates.Equal
		all += len(copied.Records)
		if len(findings.Contained) > 0 && findings.Contained[0].Contribution == c.ID && findings.Contained[0].PPM > 300_000 {
			contained++
		}
	}
	b.table.add(fmt.Sprintf("poems of %d with every fifth word changed that a report pairs with theirs", all), atLeast(99), percentOf(found, all), "%")
	b.table.add(fmt.Sprintf("poets of %d whose changed verse a report finds contained in theirs", len(corpus)), exactly(float64(len(corpus))), float64(contained), "")
	b.table.add("a report's speed over the corpus", target{}, float64(size*len(corpus))/1e6/took.Seconds(), "MB/s")
	honest := 0
	for _, p := range a.strange {
		honest += report.Of(corpus, attribution.Contribution{ID: p.name, Account: "Stranger:" + p.name, Records: poems(p.text)}).Duplicates.Near
	}
	b.table.add("poems of strangers that a report pairs with another", atMost(20), float64(honest), "")
	return nil
}

func percentOf(part, all int) float64 { return 100 * float64(part) / float64(max(1, all)) }

// poems cuts a poet's lines into poems of 20.
func poems(text []byte) [][]byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var list [][]byte
	for len(lines) > 0 {
		n := min(20, len(lines))
		if poem := bytes.Join(lines[:n], nil); len(bytes.Fields(poem)) >= 40 {
			list = append(list, poem)
		}
		lines = lines[n:]
	}
	return list
}

// everyFifth changes every fifth word of a text.
func everyFifth(r *rand.Rand, text []byte) []byte {
	list := bytes.Fields(text)
	for i := 4; i < len(list); i += 5 {
		list[i] = fmt.Appendf(nil, "واژه%d", r.IntN(1_000_000))
	}
	return bytes.Join(list, []byte(" "))
}
