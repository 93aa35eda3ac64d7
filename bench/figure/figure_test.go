package figure_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/bench/figure"
)

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, figure.Median([]float64{9, 1, 2}), "it is the one in the middle")
	require.Equal(t, 2.5, figure.Median([]float64{9, 1, 2, 3}), "of two in the middle it is the mean")
	require.Equal(t, 7.0, figure.Median([]float64{7}))
}

func TestRowsAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.json")
	rows := []figure.Row{{Case: "a", Metric: "rate", Value: 2.5, Unit: "1/s"}}
	require.NoError(t, figure.Write(path, rows))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var read []figure.Row
	require.NoError(t, json.Unmarshal(content, &read))
	require.Equal(t, rows, read)
	require.NoError(t, figure.Write("", rows))
}
