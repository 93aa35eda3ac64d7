package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
	"github.com/datanet-consortium/datanet/gateway/evidence"
)

// stretch is how long something took, by the clock and by the processor.
type stretch struct {
	began            time.Time
	busy             time.Duration
	clock, processor time.Duration
}

func (s *stretch) begin() { s.began, s.busy = time.Now(), process.Time() }

func (s *stretch) end() {
	s.clock, s.processor = s.clock+time.Since(s.began), s.processor+process.Time()-s.busy
}

// recompute computes the receipts of a bundle again and does nothing else: what is measured is the making of the corpus and the
// engine's work, not the reading of the bundle.
func recompute(ctx context.Context, folder string) (_ *stretch, err error) {
	r, err := bundle.Open(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, err := range r.Blocks() {
		if err != nil {
			return nil, err
		}
	}
	file, err := os.CreateTemp("", "datanet-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a corpus: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	b := &bare{ctx: ctx, file: file, corpus: streaming.NewWriter(file)}
	err = r.Parts(func(p bundle.Part, in io.Reader) (func(error), error) {
		settled := func(damage error) { b.damage = errors.Join(b.damage, damage) }
		switch p.Kind {
		case bundle.Content:
			return settled, b.content(p.Name[1], in)
		case bundle.Settlement:
			return settled, parts.SettlementReader{Scope: func(parts.Scope) error { return nil },
				Peaks: func(int, use.Move, []merkle.Hash) error { return nil }, Use: func(_ int, _ uint64, u parts.Use) error { return b.use(u) }}.Read(in)
		}
		return settled, nil
	})
	return &b.stretch, errors.Join(err, b.flush(), b.damage)
}

// bare recomputes receipts.
type bare struct {
	stretch
	ctx     context.Context
	file    *os.File
	corpus  *streaming.Writer
	engine  *streaming.Engine
	answers []attribution.Answer
	claimed []*receipt.Receipt
	damage  error
}

func (b *bare) content(id string, in io.Reader) error {
	var records [][]byte
	if _, err := parts.ReadContent(in, func(record []byte) error { records = append(records, record); return nil }); err != nil {
		return err
	}
	b.begin()
	defer b.end()
	err := b.corpus.Contribution(id, "BMSP:somebody") // the payees are compared nowhere
	for _, record := range records {
		if err == nil {
			err = b.corpus.Record(record)
		}
	}
	return err
}

func (b *bare) use(u parts.Use) error {
	r, err := receipt.Decode(u.Receipt)
	if err != nil {
		return err
	}
	e, err := evidence.Decode(u.Evidence)
	if err != nil {
		return err
	}
	a, err := e.Answer(r.Model, r.Artifact, r.Roots, r.Tau)
	if err != nil {
		return err
	}
	b.answers, b.claimed = append(b.answers, a), append(b.claimed, r)
	if len(b.answers) < streaming.PassAnswers {
		return nil
	}
	return b.flush()
}

func (b *bare) flush() error {
	b.begin()
	defer b.end()
	if b.engine == nil {
		if err := b.corpus.Close(); err != nil {
			return err
		}
		info, err := b.file.Stat()
		if err != nil {
			return err
		}
		if b.engine, err = streaming.Open(b.file, info.Size()); err != nil {
			return err
		}
	}
	computed, err := b.engine.Receipts(b.ctx, b.answers...)
	for i, r := range computed {
		if r.CoveragePPM != b.claimed[i].CoveragePPM || len(r.Spans) != len(b.claimed[i].Spans) {
			err = errors.New("a receipt is another one when it is computed again")
		}
	}
	b.answers, b.claimed = b.answers[:0], b.claimed[:0]
	return err
}

// compare tells what the parts took beside the bare recomputation.
func compare(out io.Writer, held *verify.Held, verified, bare *stretch) []figure.Row {
	ratio := 100 * bare.processor.Seconds() / verified.processor.Seconds()
	rate := float64(held.Recomputed) / verified.clock.Seconds()
	fmt.Fprintf(out, "%d settlements, %d uses, %d receipts recomputed, %d contents: %.2f s, %.0f receipts/s; bare recomputation %.2f s\n", held.Settlements, held.Uses,
		held.Recomputed, held.Contents, verified.clock.Seconds(), rate, bare.clock.Seconds())
	fmt.Fprintf(out, "processor time %.2f s, of bare recomputation %.2f s, a ratio of %.0f %%\n", verified.processor.Seconds(), bare.processor.Seconds(), ratio)
	name := fmt.Sprintf("%d uses in %d settlements", held.Uses, held.Settlements)
	return []figure.Row{
		{Case: name, Metric: "receipts verified", Value: rate, Unit: "receipts/s"},
		{Case: name, Metric: "processor time", Value: verified.processor.Seconds(), Unit: "s"},
		{Case: name, Metric: "processor time of bare recomputation", Value: bare.processor.Seconds(), Unit: "s"},
		{Case: name, Metric: "ratio to bare recomputation, by processor time", Value: ratio, Unit: "%"},
	}
}
