package exchange_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

func TestARegulatorGetsWhatOpensTheCommitmentAndTheLedgerKnows(t *testing.T) {
	n := start(t)
	c := n.submit(t, poem)
	regulator := exchange.NewClient(as{rulestest.Regulator}, n.addresses)
	asked := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Contributions: []string{c.ID}, Reason: access.Audit,
		To: ledger.NewAccount(rulestest.Regulator, "inspector1")}
	var got bytes.Buffer
	require.NoError(t, regulator.Opening(t.Context(), c, asked, &got, rulestest.B))
	var tree merkle.Frontier
	salt, err := parts.ReadContent(&got, func(record []byte) error {
		tree.Append(merkle.Leaf(record))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, c.Commitment, attribution.CommitRoot(salt, tree.Root()).String())

	answer, err := n.gateways[rulestest.A].Evaluate(t.Context(), "access:ReleasesOf", access.OfContribution{Named: c.Name()})
	require.NoError(t, err)
	var released ledger.Page[access.Released]
	require.NoError(t, ledger.DecodeAnswer(answer, &released))
	require.Len(t, released.Items, 1)
	require.Equal(t, asked.To, released.Items[0].To)
	require.Equal(t, access.Audit, released.Items[0].Reason)

	for claim, test := range map[string]struct {
		as     string
		change func(h *access.Handover)
		why    string
	}{
		"by a member, as if it were none":   {rulestest.C, func(h *access.Handover) { h.To = ledger.NewAccount(rulestest.C, "operator1") }, "a member gets content"},
		"for somebody of another one":       {rulestest.Regulator, func(h *access.Handover) { h.To = ledger.NewAccount(rulestest.C, "operator1") }, "the recipient's organisation only"},
		"by the regulator, to hold":         {rulestest.Regulator, func(h *access.Handover) { h.Reason = access.Holding }, "not a member in good standing"},
		"under a release that is another's": {rulestest.Regulator, func(h *access.Handover) { h.ID = asked.ID; h.To = ledger.NewAccount(rulestest.Regulator, "inspector2") }, "says something else"},
	} {
		h := asked
		h.ID = newID()
		test.change(&h)
		require.ErrorContains(t, exchange.NewClient(as{test.as}, n.addresses).Opening(t.Context(), c, h, io.Discard, rulestest.B), test.why, claim)
	}
	n.Must(t, ann, "erasure:Request", c.Name())
	asked.ID = newID()
	require.ErrorContains(t, regulator.Opening(t.Context(), c, asked, io.Discard, rulestest.B), "erasing")
}
