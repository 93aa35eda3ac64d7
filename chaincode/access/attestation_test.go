package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// toAttest is a release of the market's contributions by C, the first holder of Bob's, to a validator of an organisation.
func toAttest(m *rulestest.Market, msp string, ids ...string) access.Handover {
	card := m.CardName()
	return access.Handover{Named: access.Named{Datanet: m.Pool, ID: m.ID()}, Contributions: ids, To: ledger.NewAccount(msp, "validator1"),
		Reason: access.Attestation, Card: &card}
}

func TestAnAttestorGetsTheCorpusOfItsRateCardAndNothingElse(t *testing.T) {
	m := rulestest.NewMarket(t)
	bobs := m.Contributions[2]
	host := rulestest.User(rulestest.C, "host1", ledger.Host)
	m.Must(t, host, "access:Release", toAttest(m, rulestest.B, bobs))
	var had access.Had
	answer, err := m.Evaluate(rulestest.Proposal(t, m.Host, "access:Holders", contribution.Named{Datanet: m.Pool, ID: bobs}), "")
	require.NoError(t, err)
	require.NoError(t, ledger.DecodeAnswer(answer, &had))
	require.Contains(t, had.Members, rulestest.B, "an erasure finds it")

	onward := toAttest(m, rulestest.A, bobs)
	_, fault := m.Try(t, rulestest.User(rulestest.B, "operator1", ledger.Operator), "access:Release", onward)
	require.NotNil(t, fault, "B has it to recompute receipts, not to hand it on")

	whole := toAttest(m, rulestest.B)
	whole.Snapshot = 1
	m.Must(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "access:Release", whole)
}

func TestReleasesForAttestationThatAreRefused(t *testing.T) {
	for claim, test := range map[string]struct {
		change func(m *rulestest.Market, h *access.Handover)
		code   ledger.Code
		field  string
	}{
		"to the host's organisation":      {func(_ *rulestest.Market, h *access.Handover) { h.To = "CMSP:validator1" }, ledger.CodeForbidden, "card"},
		"to an organisation outside":      {func(_ *rulestest.Market, h *access.Handover) { h.To = "DMSP:validator1" }, ledger.CodeForbidden, ""},
		"of another rate card":            {func(_ *rulestest.Market, h *access.Handover) { h.Card.Card = 2 }, ledger.CodeNotFound, "card"},
		"of another model":                {func(_ *rulestest.Market, h *access.Handover) { h.Card.Version = "2" }, ledger.CodeNotFound, "card"},
		"without a rate card":             {func(_ *rulestest.Market, h *access.Handover) { h.Card = nil }, ledger.CodeInvalid, "card"},
		"of the card in force, no number": {func(_ *rulestest.Market, h *access.Handover) { h.Card.Card = 0 }, ledger.CodeInvalid, "card.card"},
		"with a rate card to hold it":     {func(_ *rulestest.Market, h *access.Handover) { h.Reason = access.Holding }, ledger.CodeInvalid, "card"},
		"of a snapshot outside the lineage": {func(_ *rulestest.Market, h *access.Handover) {
			h.Contributions, h.Snapshot = nil, 2
		}, ledger.CodeForbidden, "card"},
		"under a card that its host has not accepted": {func(m *rulestest.Market, h *access.Handover) {
			next := m.Card.Publish
			next.Card = 2
			m.Must(t, m.Trainer, "model:Publish", next)
			h.Card.Card = 2
		}, ledger.CodeState, "card"},
		"of what was sealed since": {func(m *rulestest.Market, h *access.Handover) {
			fresh := m.Approved(t, m.Bob, m.Pool, 1)[0].ID
			m.Must(t, m.Curator, "seal:Append", seal.Append{Datanet: m.Pool, From: 3, Contributions: []string{fresh}})
			h.Contributions = []string{fresh}
		}, ledger.CodeForbidden, "contributions.0"},
	} {
		t.Run(claim, func(t *testing.T) {
			m := rulestest.NewMarket(t)
			h := toAttest(m, rulestest.B, m.Contributions[2])
			test.change(m, &h)
			by := rulestest.User(rulestest.C, "host1", ledger.Host)
			if h.Snapshot != 0 {
				by = rulestest.User(rulestest.A, "operator1", ledger.Operator)
			}
			_, fault := m.Try(t, by, "access:Release", h)
			require.NotNil(t, fault)
			require.Equal(t, test.code, fault.Code, "%v", fault)
			require.Equal(t, test.field, fault.Field, "%v", fault)
		})
	}
}

// Claims under a rate card are attested when a later one is in force.
func TestAReleaseForAttestationStandsBesideALaterCard(t *testing.T) {
	m := rulestest.NewMarket(t)
	next := m.Card.Publish
	next.Card = 2
	m.Must(t, m.Trainer, "model:Publish", next)
	m.Must(t, m.Host, "model:Accept", model.CardName{Named: next.Named, Card: 2})
	m.Must(t, rulestest.User(rulestest.C, "host1", ledger.Host), "access:Release", toAttest(m, rulestest.B, m.Contributions[2]))
}
