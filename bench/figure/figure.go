// Package figure is the form in which benchmarks write down what they measured.
package figure

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Row is a figure.
type Row struct {
	Case   string  `json:"case"`
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
}

// Write writes rows as a JSON array to a file; none is meant by an empty path.
func Write(path string, rows []Row) error {
	if path == "" {
		return nil
	}
	content, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// Median of at least one value; of two in the middle the mean. It sorts them.
func Median(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
