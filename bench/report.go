package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/network"
)

// line is a row of the table with its figures, medians over the row's bursts.
type line struct {
	row
	valid     float64 // transactions per second
	conflicts float64 // percent of the attempts
	failed    int     // in all bursts
	failure   error
	p50, p99  time.Duration
	cpu       float64 // seconds of processor time of the network for 1,000 valid transactions
	ratio     float64 // percent of the no-op's valid transactions per second, in the same turn
}

// summarise makes the lines of the rows that were measured. The no-op is the first.
func summarise(rows []row, samples [][]sample) []line {
	var lines []line
	for i, r := range rows {
		if len(samples[i]) == 0 {
			continue
		}
		l := line{row: r}
		figures := func(of func(turn int, s sample) float64) float64 {
			var all []float64
			for turn, s := range samples[i] {
				all = append(all, of(turn, s))
			}
			return figure.Median(all)
		}
		l.valid = figures(func(_ int, s sample) float64 { return s.rate() })
		l.conflicts = figures(func(_ int, s sample) float64 { return 100 * float64(s.Conflicts) / float64(s.attempts()) })
		l.p50 = time.Duration(figures(func(_ int, s sample) float64 { return float64(s.quantile(0.50)) }))
		l.p99 = time.Duration(figures(func(_ int, s sample) float64 { return float64(s.quantile(0.99)) }))
		l.cpu = figures(func(_ int, s sample) float64 { return s.cpu.total().Seconds() * 1000 / float64(max(1, s.Valid)) })
		l.ratio = figures(func(turn int, s sample) float64 { return 100 * s.rate() / samples[0][turn].rate() })
		for _, s := range samples[i] {
			l.failed += s.Failed
			if l.failure == nil {
				l.failure = s.Failure
			}
		}
		lines = append(lines, l)
	}
	return lines
}

func (s sample) attempts() int { return s.Valid + s.Conflicts + s.Failed }

// rate is valid transactions per second.
func (s sample) rate() float64 { return float64(s.Valid) / s.Elapsed.Seconds() }

// quantile is the latency that a share of the valid transactions did not exceed, 0 if there is none.
func (s sample) quantile(share float64) time.Duration {
	if len(s.Latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.Latencies))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (s sample) String() string {
	return fmt.Sprintf("%6.1f valid/s, %d conflicts, %d failed, CPU %.1f s (%s)", s.rate(), s.Conflicts, s.Failed, s.cpu.total().Seconds(), s.cpu)
}

// heading says what was measured and how.
func heading(s settings, t *network.Topology) string {
	keys := map[string]bool{}
	for _, org := range t.Organizations() {
		keys[string(org.Keys)] = true
	}
	var names []string
	for key := range keys {
		names = append(names, key)
	}
	slices.Sort(names)
	return fmt.Sprintf(`%d members and the regulator, %s ordering, %s identities, each transaction endorsed by %d members
medians of %d bursts of %d transactions (batches of payments: %d, of contributions: %d), %d in flight (batches: %d), in turn on one network
each slot sends its next transaction when a block has told the fate of the last; clients share the machine`,
		len(t.Members), t.Ordering.Type, strings.Join(names, " and "), network.Majority(len(t.Members)),
		s.repetitions, s.transactions, max(1, s.transactions/batchesOf), max(1, s.transactions/(2*batchesOf)), s.inFlight, batchesInFlight)
}

// nameWidth is the width of the first column, which alone is aligned to the left.
const nameWidth = 30

func printTable(out io.Writer, heading string, lines []line) error {
	fmt.Fprintln(out, heading)
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Repeat(" ", nameWidth)+"\tvalid tx/s\titems/s\tof no-op\tconflicts\tp50\tp99\tCPU s/1000 tx\t  expected")
	for _, l := range lines {
		items := "–"
		if l.items > 0 {
			items = fmt.Sprintf("%.0f", l.valid*float64(l.items))
		}
		fmt.Fprintf(table, "%-*s\t%.1f\t%s\t%.0f %%\t%.1f %%\t%s\t%s\t%s\t  %s\n", nameWidth, l.name, l.valid, items, l.ratio, l.conflicts,
			l.p50.Round(time.Millisecond), l.p99.Round(time.Millisecond), seconds(l.cpu), l.expected)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	for _, l := range lines {
		if l.failed > 0 {
			fmt.Fprintf(out, "\n%s: %d attempts failed otherwise than by a conflict; the first: %v\n", l.name, l.failed, l.failure)
		}
	}
	return nil
}

func seconds(s float64) string {
	if s == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", s)
}

func writeJSON(path string, lines []line, stages []stage) error {
	var figures []figure.Row
	for _, l := range lines {
		add := func(metric string, value float64, unit string) {
			figures = append(figures, figure.Row{Case: l.name, Metric: metric, Value: value, Unit: unit})
		}
		add("valid", l.valid, "tx/s")
		if l.items > 0 {
			add("items", l.valid*float64(l.items), "1/s")
		}
		add("ratio to no-op", l.ratio, "%")
		add("conflicts", l.conflicts, "%")
		add("failed", float64(l.failed), "tx")
		add("latency p50", float64(l.p50)/float64(time.Millisecond), "ms")
		add("latency p99", float64(l.p99)/float64(time.Millisecond), "ms")
		if l.cpu > 0 {
			add("cpu", l.cpu, "s/1000 tx")
		}
	}
	for _, s := range stages {
		figures = append(figures, s.figures()...)
	}
	return figure.Write(path, figures)
}
