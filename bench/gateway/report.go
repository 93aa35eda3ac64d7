package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/datanet-consortium/datanet/bench/figure"
)

// line is a case with its figures, medians over its bursts.
type line struct {
	name     string
	rate     float64
	unit     string
	p50, p99 time.Duration // 0 for none
	// ratio is what of the yardstick of the same turn was reached, in percent, 0 for none.
	ratio float64
	of    string
}

type report struct{ lines []line }

// add adds a case of several bursts, compared to those of a yardstick, if there is one.
func (r *report) add(name string, bursts []burst, of string, yardstick []burst) {
	middle := func(of func(int, burst) float64) float64 {
		var all []float64
		for i, b := range bursts {
			all = append(all, of(i, b))
		}
		return figure.Median(all)
	}
	l := line{name: name, unit: "1/s", of: of}
	l.rate = middle(func(_ int, b burst) float64 { return b.rate() })
	l.p50 = time.Duration(middle(func(_ int, b burst) float64 { return float64(b.quantile(0.50)) }))
	l.p99 = time.Duration(middle(func(_ int, b burst) float64 { return float64(b.quantile(0.99)) }))
	if of != "" {
		l.ratio = middle(func(i int, b burst) float64 { return 100 * b.rate() / yardstick[i].rate() })
	}
	r.lines = append(r.lines, l)
}

const nameWidth = 44

func (r *report) print(out io.Writer, heading string) error {
	fmt.Fprintln(out, heading)
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Repeat(" ", nameWidth)+"\trate\t\tp50\tp99\t\t  of")
	duration := func(d time.Duration) string {
		if d == 0 {
			return "–"
		}
		return d.Round(10 * time.Microsecond).String()
	}
	for _, l := range r.lines {
		ratio := ""
		if l.of != "" {
			ratio = fmt.Sprintf("%.0f %%", l.ratio)
		}
		fmt.Fprintf(table, "%-*s\t%.1f\t%s\t%s\t%s\t%s\t  %s\n", nameWidth, l.name, l.rate, l.unit, duration(l.p50), duration(l.p99), ratio, l.of)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func (r *report) writeJSON(path string) error {
	var figures []figure.Row
	for _, l := range r.lines {
		add := func(metric string, value float64, unit string) {
			figures = append(figures, figure.Row{Case: l.name, Metric: metric, Value: value, Unit: unit})
		}
		add("rate", l.rate, l.unit)
		if l.p99 > 0 {
			add("latency p50", float64(l.p50)/float64(time.Millisecond), "ms")
			add("latency p99", float64(l.p99)/float64(time.Millisecond), "ms")
		}
		if l.of != "" {
			add("ratio to "+l.of, l.ratio, "%")
		}
	}
	return figure.Write(path, figures)
}
