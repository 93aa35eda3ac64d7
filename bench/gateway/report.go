package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
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
	figure := func(of func(int, burst) float64) float64 {
		var all []float64
		for i, b := range bursts {
			all = append(all, of(i, b))
		}
		return median(all)
	}
	l := line{name: name, unit: "1/s", of: of}
	l.rate = figure(func(_ int, b burst) float64 { return b.rate() })
	l.p50 = time.Duration(figure(func(_ int, b burst) float64 { return float64(b.quantile(0.50)) }))
	l.p99 = time.Duration(figure(func(_ int, b burst) float64 { return float64(b.quantile(0.99)) }))
	if of != "" {
		l.ratio = figure(func(i int, b burst) float64 { return 100 * b.rate() / yardstick[i].rate() })
	}
	r.lines = append(r.lines, l)
}

// median of at least one figure; of two in the middle the mean.
func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
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

// figure is a row of the JSON file.
type figure struct {
	Case   string  `json:"case"`
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
}

func (r *report) writeJSON(path string) error {
	if path == "" {
		return nil
	}
	var figures []figure
	for _, l := range r.lines {
		add := func(metric string, value float64, unit string) {
			figures = append(figures, figure{l.name, metric, value, unit})
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
	content, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
