package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/datanet-consortium/datanet/bench/figure"
)

// A row is one measured figure.
type row struct {
	gate   string
	value  float64
	unit   string
	target string // "" for none
	// missed says that there is a target and it was not reached.
	missed bool
	// others is what other methods reached in the same run.
	others string
}

// A table is the result of a run.
type table struct {
	rows []row
	left []string
}

// A target is what a figure should be; the zero value is none.
type target struct {
	kind  string
	value float64
}

func atMost(v float64) target  { return target{"≤", v} }
func atLeast(v float64) target { return target{"≥", v} }
func exactly(v float64) target { return target{"=", v} }

func (t target) reached(v float64) bool {
	switch t.kind {
	case "≤":
		return v <= t.value
	case "≥":
		return v >= t.value
	default:
		return v == t.value
	}
}

// add puts a figure into the table. Others are what other methods reached, if any was measured.
func (t *table) add(gate string, want target, value float64, unit string, others ...string) {
	r := row{gate: gate, value: value, unit: unit, others: strings.Join(others, ", ")}
	if want.kind != "" {
		r.missed = !want.reached(value)
		r.target = fmt.Sprintf("%s %.4g", want.kind, want.value)
	}
	t.rows = append(t.rows, r)
}

// missing notes an experiment that was left out.
func (t *table) missing(name string, err error) {
	t.left = append(t.left, fmt.Sprintf("%s: left out, %v", name, err))
}

func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "gate\ttarget\there\t\tbeside it, same run")
	for _, r := range t.rows {
		verdict := ""
		if r.missed {
			verdict = "missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g %s\t%s\t%s\n", r.gate, r.target, r.value, r.unit, verdict, r.others)
	}
	w.Flush()
	for _, l := range t.left {
		fmt.Fprintln(out, l)
	}
}

func (t *table) figures() (all []figure.Row) {
	for _, r := range t.rows {
		all = append(all, figure.Row{Case: r.gate, Metric: "value", Value: r.value, Unit: r.unit})
	}
	return all
}

// verdict fails when a target was missed.
func (t *table) verdict() error {
	var missed []string
	for _, r := range t.rows {
		if r.missed {
			missed = append(missed, r.gate)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("targets missed: %s", strings.Join(missed, "; "))
	}
	return nil
}
