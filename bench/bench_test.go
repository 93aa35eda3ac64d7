//go:build linux || darwin

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/bench/figure"
)

// TestTableOfARealNetwork runs the whole benchmark, small, and checks what no slow machine can change.
func TestTableOfARealNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Fabric")
	}
	flogging.ActivateSpec("error")
	path := filepath.Join(t.TempDir(), "figures.json")
	var table, progress bytes.Buffer
	c := command()
	c.SetArgs([]string{"--ordering", "raft", "--repetitions", "1", "--transactions", "60", "--in-flight", "30", "--payees", "20", "--sessions", "30", "--sealed", "200", "--json", path})
	c.SetOut(&table)
	c.SetErr(&progress)
	require.NoError(t, c.ExecuteContext(t.Context()), progress.String())

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var figures []figure.Row
	require.NoError(t, json.Unmarshal(content, &figures))
	value := func(name, metric string) float64 {
		for _, f := range figures {
			if f.Case == name && f.Metric == metric {
				return f.Value
			}
		}
		require.Fail(t, "no such figure", "%s of %s in\n%s", metric, name, content)
		return 0
	}
	for _, name := range []string{noop, "one key written", hotPayee, hotPayer, "transfer, uniform", "batch of 20 payees",
		"contribution", "contribution of 1,000 records", "batch of 100 contributions", "vote, many contributions", "vote, 2 at once on each", "finalise",
		"settlement of 30 sessions", "release to 20 payees"} {
		require.Positive(t, value(name, "valid"), name)
		require.Zero(t, value(name, "conflicts"), "%s has no conflict", name)
		require.Zero(t, value(name, "failed"), "%s has no failure\n%s", name, table.String())
	}
	for _, name := range []string{"plain token, hot payee", "plain token, hot payer"} {
		require.Greater(t, value(name, "conflicts"), 50.0, "%s is bound to conflict", name)
		require.Zero(t, value(name, "failed"), "%s has no other failure\n%s", name, table.String())
	}
	for _, leaves := range []string{"20", "100", "200"} {
		for _, metric := range []string{"append of a page", "append of one", "snapshot"} {
			require.Positive(t, value("sealing at "+leaves+" leaves", metric))
		}
	}
	require.Contains(t, table.String(), "≥ 90 % of no-op, 0 conflicts")
}

func TestFlagsThatCannotBeAreRefused(t *testing.T) {
	for flags, sentence := range map[[2]string]string{
		{"--ordering", "solo"}:    `--ordering is bft or raft, not "solo"`,
		{"--keys", "rsa"}:         "rsa",
		{"--in-flight", "0"}:      "at least 1",
		{"--payees", "1"}:         "--payees at least 2",
		{"--topology", "missing"}: "missing",
	} {
		c := command()
		c.SetArgs(flags[:])
		require.ErrorContains(t, c.ExecuteContext(t.Context()), sentence, flags)
	}
}
