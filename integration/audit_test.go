package integration_test

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/integration/story"
)

// audited exports the regulator's blocks and verifies them.
func (c *consortium) audited(t *testing.T) *verify.Report {
	t.Helper()
	client, err := c.client(story.User{Name: somebody[regulator], MSP: regulator})
	require.NoError(t, err)
	height := c.height(t, regulator)
	blocks, err := client.Blocks(t.Context(), 0)
	require.NoError(t, err)
	first := <-blocks
	genesis := protoutil.BlockHeaderHash(first.GetHeader())
	dir := t.TempDir()
	w, err := bundle.Create(dir, bundle.Manifest{Channel: c.topology.Channel, Chaincode: c.topology.Chaincode.Name, Genesis: hex.EncodeToString(genesis), Unproved: []string{}})
	require.NoError(t, err)
	require.NoError(t, w.Append(first))
	require.NoError(t, w.Follow(t.Context(), blocks, height, time.Minute, nil))
	require.NoError(t, w.Close())
	r, err := bundle.Open(dir)
	require.NoError(t, err)
	defer r.Close()
	report, err := verify.Run(t.Context(), r, verify.Options{Genesis: [32]byte(genesis), Measure: true})
	require.NoError(t, err)
	_, err = report.MeasureSignatures()
	require.NoError(t, err)
	require.Equal(t, height, report.Height)
	return report
}

// auditAll audits all that was done. What the earlier parts forged as a colluding majority, through a tampered chaincode, and
// nothing else, is found.
func auditAll(t *testing.T, c *consortium) {
	report := c.audited(t)
	require.Positive(t, report.Verdicts[string(memledger.MVCCReadConflict)])
	created, forged := 0, map[string]bool{}
	for _, f := range report.Findings {
		if f.Rule == verify.RuleOutcome {
			require.Contains(t, f.Message, "forge:Write", "%s", f)
			forged[f.TxID] = true
		}
	}
	for _, f := range report.Findings {
		switch {
		case f.Severity == verify.Noted:
		case f.Rule == verify.RuleConservation:
			created++
		default: // what the state shows of a forged write, beside the rules
			require.Equal(t, verify.Broken, f.Severity, "%s", f)
			require.True(t, forged[f.TxID] || f.Rule != verify.RuleOutcome, "%s", f)
		}
	}
	require.True(t, slices.ContainsFunc(report.Findings, func(f verify.Finding) bool { return f.Rule == verify.RulePrice }), "a model that was made free: %v", report.Findings)
	require.GreaterOrEqual(t, created, 2, "credits that a majority invented, and took back: %v", report.Findings)
	t.Logf("%d blocks, %d transactions, %d run again, %d findings of forged writes; %+v", report.Height, report.Transactions, report.Rerun, len(report.Findings), report.Stats)
}
