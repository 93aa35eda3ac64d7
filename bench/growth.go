package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/bench/yardstick"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// sealing is the name under which --only asks for the growth.
const sealing = "sealing"

// lone is how many transactions, one after the other, give a median: what a sequencer waits for.
const lone = 5

// stage is what sealing costs in a datanet of some size. One sequencer writes there, so its transactions follow each
// other, and what counts is how long one takes beside a no-op that is alone too.
type stage struct {
	leaves int
	noop   time.Duration // a no-op alone
	fill   time.Duration // an append of a whole page
	add    time.Duration // an append of one leaf
	take   time.Duration // a snapshot
}

// grow seals a datanet up to the given number of leaves and measures on the way.
func (p *pool) grow(ctx context.Context, leaves int, say func(string)) ([]stage, error) {
	var stages []stage
	sealed, snapshots := 0, 0
	for _, size := range []int{leaves / 10, leaves / 2, leaves} {
		waiting, err := p.approved(ctx, size-sealed)
		if err != nil {
			return nil, err
		}
		st := stage{}
		if st.noop, err = p.median(ctx, lone, func() (string, any) { return yardstick.Nothing, ledger.Nothing{} }); err != nil {
			return nil, err
		}
		var alone []string
		alone, waiting = waiting[:2*lone], waiting[2*lone:]
		appended := func(ids []string) (string, any) {
			from := sealed
			sealed += len(ids)
			return "seal:Append", seal.Append{Datanet: p.datanet, From: int64(from), Contributions: ids}
		}
		pages := slices.Collect(slices.Chunk(waiting, seal.MaxBatch))
		if st.fill, err = p.median(ctx, len(pages), func() (string, any) {
			ids := pages[0]
			pages = pages[1:]
			return appended(ids)
		}); err != nil {
			return nil, err
		}
		next := func() (string, any) {
			ids := alone[:1]
			alone = alone[1:]
			return appended(ids)
		}
		if st.add, err = p.median(ctx, lone, next); err != nil {
			return nil, err
		}
		var takes []time.Duration
		for range lone {
			if _, err := p.median(ctx, 1, next); err != nil { // a snapshot of nothing new is refused
				return nil, err
			}
			snapshots++
			took, err := p.median(ctx, 1, func() (string, any) {
				return "snapshot:Take", snapshot.Named{Datanet: p.datanet, Number: snapshots}
			})
			if err != nil {
				return nil, err
			}
			takes = append(takes, took)
		}
		slices.Sort(takes)
		st.take, st.leaves = takes[len(takes)/2], sealed
		stages = append(stages, st)
		say(fmt.Sprintf("sealing: %s", st))
	}
	return stages, nil
}

// approved registers contributions that everyone approves, and finalises them.
func (p *pool) approved(ctx context.Context, count int) ([]string, error) {
	names, err := p.register(ctx, count)
	if err != nil {
		return nil, err
	}
	if err := p.approve(ctx, names); err != nil {
		return nil, err
	}
	var ids []string
	var attempts []load.Attempt
	for batch := range slices.Chunk(names, approval.MaxBatch) {
		var items []contribution.Named
		for _, name := range batch {
			items, ids = append(items, name.Named), append(ids, name.ID)
		}
		attempts = append(attempts, load.Attempt{Client: p.author().Client, Call: call("approval:FinaliseBatch", approval.FinaliseBatch{Items: items})})
	}
	return ids, p.all(ctx, attempts, batchesInFlight)
}

// median makes calls of the curator one after the other, all of which have to be valid, and returns the median time from
// a call until every peer has committed it.
func (p *pool) median(ctx context.Context, calls int, next func() (function string, request any)) (time.Duration, error) {
	result, err := p.generator.Fire(ctx, load.Burst{Attempts: calls, InFlight: 1, Next: func() (load.Attempt, error) {
		function, request := next()
		return load.Attempt{Client: p.curator.Client, Call: call(function, request)}, nil
	}})
	if err != nil {
		return 0, err
	}
	if result.Valid < calls {
		return 0, fmt.Errorf("%d of %d transactions are valid: %w", result.Valid, calls, failureOf(result))
	}
	return sample{Result: result}.quantile(0.5), nil
}

func (s stage) String() string {
	return fmt.Sprintf("%d leaves: page %s, one leaf %s, snapshot %s, no-op alone %s", s.leaves, ms(s.fill), ms(s.add), ms(s.take), ms(s.noop))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// times compares to a no-op that is alone.
func (s stage) times(d time.Duration) float64 { return float64(d) / float64(s.noop) }

func printGrowth(out io.Writer, stages []stage) error {
	fmt.Fprintf(out, "\nsealing as a datanet grows: one transaction after the other, beside a no-op that is alone\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Repeat(" ", 8)+"leaves\tno-op\tappend of a page\tappend of one\tsnapshot\t")
	for _, s := range stages {
		fmt.Fprintf(table, "%d\t%s\t%s ×%.1f\t%s ×%.1f\t%s ×%.1f\t\n", s.leaves, ms(s.noop), ms(s.fill), s.times(s.fill), ms(s.add), s.times(s.add),
			ms(s.take), s.times(s.take))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func (s stage) figures() []figure.Row {
	name := fmt.Sprintf("sealing at %d leaves", s.leaves)
	var all []figure.Row
	for _, m := range []struct {
		metric string
		took   time.Duration
	}{{"no-op alone", s.noop}, {"append of a page", s.fill}, {"append of one", s.add}, {"snapshot", s.take}} {
		all = append(all, figure.Row{Case: name, Metric: m.metric, Value: float64(m.took) / float64(time.Millisecond), Unit: "ms"},
			figure.Row{Case: name, Metric: m.metric + ", to no-op", Value: s.times(m.took), Unit: "ratio"})
	}
	return all
}
