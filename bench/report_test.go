package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/load"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func TestQuantilesAreThoseOfValidTransactions(t *testing.T) {
	var s sample
	require.Zero(t, s.quantile(0.99), "without a valid transaction there is no latency")
	for i := 100; i > 0; i-- {
		s.Latencies = append(s.Latencies, time.Duration(i)*time.Millisecond)
	}
	require.Equal(t, 51*time.Millisecond, s.quantile(0.50))
	require.Equal(t, 100*time.Millisecond, s.quantile(0.99))
}

// burst is a sample of one second.
func burst(valid, conflicts, failed int, seconds float64) sample {
	s := sample{Result: load.Result{Valid: valid, Conflicts: conflicts, Failed: failed, Elapsed: time.Duration(seconds * float64(time.Second))},
		cpu: cpuUse{testnetwork.Peer: 2 * time.Second, testnetwork.Orderer: time.Second}}
	if failed > 0 {
		s.Failure = errors.New("the peer is gone")
	}
	return s
}

func TestLinesCompareEachTurnWithItsOwnNoOp(t *testing.T) {
	rows := []row{{name: noop}, {name: "skipped"}, {name: "transfer", items: 1, expected: "all of it"}}
	lines := summarise(rows, [][]sample{
		{burst(1000, 0, 0, 1), burst(100, 0, 0, 1), burst(500, 0, 0, 1)},
		nil,
		{burst(900, 100, 0, 1), burst(80, 20, 0, 1), burst(450, 0, 50, 1)},
	})
	require.Len(t, lines, 2, "rows without samples are left out")
	require.Equal(t, 100.0, lines[0].ratio)
	transfer := lines[1]
	require.InDelta(t, 90, transfer.ratio, 1e-9, "the median of 90 %, 80 % and 90 %, whatever the machine did between turns")
	require.InDelta(t, 450, transfer.valid, 1e-9)
	require.InDelta(t, 10, transfer.conflicts, 1e-9)
	require.Equal(t, 50, transfer.failed)
	require.InDelta(t, 3000.0/450, transfer.cpu, 1e-9)

	var out bytes.Buffer
	require.NoError(t, printTable(&out, "heading", lines))
	require.Contains(t, out.String(), "transfer: 50 attempts failed otherwise than by a conflict; the first: the peer is gone")
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.Contains(line, "all of it") {
			require.Regexp(t, `^\s*transfer\s+450\.0\s+450\s+90 %\s+10\.0 %`, line)
		}
	}

	path := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, writeJSON(path, lines, []stage{{leaves: 7, noop: 2 * time.Millisecond, fill: 9 * time.Millisecond}}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var figures []figure.Row
	require.NoError(t, json.Unmarshal(content, &figures))
	require.Contains(t, figures, figure.Row{Case: "transfer", Metric: "conflicts", Value: 10, Unit: "%"})
	require.Contains(t, figures, figure.Row{Case: "sealing at 7 leaves", Metric: "append of a page", Value: 9, Unit: "ms"})
	require.Contains(t, figures, figure.Row{Case: "sealing at 7 leaves", Metric: "append of a page, to no-op", Value: 4.5, Unit: "ratio"})
	require.Contains(t, figures, figure.Row{Case: noop, Metric: "ratio to no-op", Value: 100, Unit: "%"})
}

func TestProcessorTimeGrowsWithWork(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	if before == 0 {
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			t.Skip("not known on this system")
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for after := before; after <= before; {
		after, err = cpuTime(os.Getpid())
		require.NoError(t, err)
		require.True(t, time.Now().Before(deadline), "ten seconds of work are not counted")
	}
	_, err = cpuTime(-1)
	require.Error(t, err)
}
