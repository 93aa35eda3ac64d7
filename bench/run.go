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
	if s.sealed != 0 && s.sealed < 40*lone {
		return fmt.Errorf("--sealed is 0 or at least %d", 40*lone)
	}
	if s.repetitions < 1 || s.transactions < 1 || s.inFlight < 1 || s.payees < 2 || s.sessions < 1 {
		return errors.New("--repetitions, --transactions, --in-flight and --sessions are at least 1, --payees at least 2")
	}
	dir := s.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "datanet-bench-"); err != nil {
			return fmt.Errorf("make a folder for the network: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	say := func(text string) { fmt.Fprintln(progress, text) }
	c, err := start(ctx, s, dir, topology, withYardstick, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	samples, rows, stages, err := measure(ctx, c, s, say)
	if err != nil {
		return err
	}
	lines := summarise(rows, samples)
	if err := printTable(out, heading(s, topology), lines); err != nil {
		return err
	}
	if len(stages) > 0 {
		if err := printGrowth(out, stages); err != nil {
			return err
		}
	}
	if s.json == "" {
		return nil
	}
	return writeJSON(s.json, lines, stages)
}

// measure fires the bursts of all rows in turn, and then has a datanet grow. A first turn, which does not count, fills
// caches and the merchant's till.
func measure(ctx context.Context, c *consortium, s settings, say func(string)) ([][]sample, []row, []stage, error) {
	generator, err := load.NewGenerator(ctx, c.followers...)
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := newWorkload(ctx, c, generator, s)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := w.plainBalances(ctx); err != nil {
		return nil, nil, nil, err
	}
	p, err := newPool(ctx, c, generator)
	if err != nil {
		return nil, nil, nil, err
	}
	rows := slices.Concat(w.yardsticks(s), w.rows(s), w.plains(s), p.rows(s), newMarket(p, c.payees, s.sessions).rows(s))
	for _, name := range s.only {
		if name != sealing && !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return nil, nil, nil, fmt.Errorf("--only: there is no row %q", name)
		}
	}
	samples, err := c.turns(ctx, generator, rows, s, say)
	if err != nil || s.sealed == 0 || (len(s.only) > 0 && !slices.Contains(s.only, sealing)) {
		return samples, rows, nil, err
	}
	stages, err := p.grow(ctx, s.sealed, say)
	return samples, rows, stages, err
}

// turns fires a burst of each row that is wanted, several times over.
func (c *consortium) turns(ctx context.Context, generator *load.Generator, rows []row, s settings, say func(string)) ([][]sample, error) {
	samples := make([][]sample, len(rows))
	for repetition := range s.repetitions + 1 {
		for i, row := range rows {
			if !s.measures(row) {
				continue
			}
			burst := row.burst
			if repetition == 0 {
				burst.Attempts = row.firstTurn()
			}
			if row.before != nil {
				if err := row.before(ctx, burst.Attempts); err != nil {
					return nil, fmt.Errorf("prepare %s: %w", row.name, err)
				}
			}
			measured, err := c.fire(ctx, generator, burst)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", row.name, err)
			}
			if repetition == 0 {
				continue
			}
			samples[i] = append(samples[i], measured)
			say(fmt.Sprintf("%d/%d %-30s %s", repetition, s.repetitions, row.name, measured))
		}
	}
	return samples, nil
}

// firstTurn is how many attempts of a row are made before any counts. The hot payer pays from what the hot payee got.
func (r row) firstTurn() int {
	few := max(1, r.burst.Attempts/4)
	if r.name == hotPayee || r.name == hotPayer {
		return min(r.burst.Attempts, max(2*r.burst.InFlight, few))
	}
	return few
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
