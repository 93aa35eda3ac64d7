package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// A row is one measured figure.
type row struct {
	Gate   string  `json:"gate"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target string  `json:"target,omitempty"`
	// Reached is set for figures with a target.
	Reached *bool `json:"reached,omitempty"`
	// Others is what other methods reached in the same run.
	Others string `json:"others,omitempty"`
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
	r := row{Gate: gate, Value: value, Unit: unit, Others: strings.Join(others, ", ")}
	if want.kind != "" {
		reached := want.reached(value)
		r.Reached = &reached
		r.Target = fmt.Sprintf("%s %.4g", want.kind, want.value)
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
		if r.Reached != nil && !*r.Reached {
			verdict = "missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g %s\t%s\t%s\n", r.Gate, r.Target, r.Value, r.Unit, verdict, r.Others)
	}
	w.Flush()
	for _, l := range t.left {
		fmt.Fprintln(out, l)
	}
}

func (t *table) writeJSON(path string) error {
	text, err := json.MarshalIndent(t.rows, "", "  ")
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// verdict fails when a target was missed.
func (t *table) verdict() error {
	var missed []string
	for _, r := range t.rows {
		if r.Reached != nil && !*r.Reached {
			missed = append(missed, r.Gate)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("targets missed: %s", strings.Join(missed, "; "))
	}
	return nil
}
