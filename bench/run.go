package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/datanet-consortium/datanet/bench/load"
)

// sample is one burst of a row.
type sample struct {
	load.Result
	// cpu is the processor time of all processes of the network, by kind.
	cpu cpuUse
}

// run measures and prints.
func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	topology, err := topologyOf(s)
	if err != nil {
		return err
	}
	if s.repetitions < 1 || s.transactions < 1 || s.inFlight < 1 || s.payees < 2 {
		return errors.New("--repetitions, --transactions and --in-flight are at least 1, --payees at least 2")
	}
	dir := s.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "datanet-bench-"); err != nil {
			return fmt.Errorf("make a folder for the network: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	say := func(text string) { fmt.Fprintln(progress, text) }
	c, err := start(ctx, s, dir, topology, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	samples, rows, err := measure(ctx, c, s, say)
	if err != nil {
		return err
	}
	lines := summarise(rows, samples)
	if err := printTable(out, heading(s, topology), lines); err != nil {
		return err
	}
	if s.json == "" {
		return nil
	}
	return writeJSON(s.json, lines)
}

// measure fires the bursts of all rows in turn. A first turn, which does not count, fills caches and the merchant's
// till.
func measure(ctx context.Context, c *consortium, s settings, say func(string)) ([][]sample, []row, error) {
	generator, err := load.NewGenerator(ctx, c.followers...)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWorkload(ctx, c, generator, s)
	if err != nil {
		return nil, nil, err
	}
	rows := w.rows(s)
	for _, name := range s.only {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return nil, nil, fmt.Errorf("--only: there is no row %q", name)
		}
	}
	samples := make([][]sample, len(rows))
	for repetition := range s.repetitions + 1 {
		for i, row := range rows {
			if !s.measures(row) {
				continue
			}
			burst := row.burst
			if repetition == 0 {
				burst.Attempts = min(burst.Attempts, max(2*burst.InFlight, burst.Attempts/4))
			}
			measured, err := c.fire(ctx, generator, burst)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", row.name, err)
			}
			if repetition == 0 {
				continue
			}
			samples[i] = append(samples[i], measured)
			say(fmt.Sprintf("%d/%d %-24s %s", repetition, s.repetitions, row.name, measured))
		}
	}
	return samples, rows, nil
}

// measures tells whether a row is wanted. The hot payee's and the hot payer's need each other: credits go round.
func (s settings) measures(r row) bool {
	if len(s.only) == 0 || r.name == noop || slices.Contains(s.only, r.name) {
		return true
	}
	return r.name == hotPayee && slices.Contains(s.only, hotPayer) || r.name == hotPayer && slices.Contains(s.only, hotPayee)
}

func (c *consortium) fire(ctx context.Context, g *load.Generator, b load.Burst) (sample, error) {
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	result, err := g.Fire(ctx, b)
	if err != nil {
		return sample{}, err
	}
	after, err := c.cpu()
	return sample{Result: result, cpu: after.minus(before)}, err
}
