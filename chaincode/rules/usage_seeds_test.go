package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// usageRequests are requests of B's user that its rules accept, about sessions, claims and pools. Afterwards the clock is
// three days ahead, and the user hosts the market's model.
func usageRequests(f *testing.F, m *rulestest.Market, user ledger.Caller) map[string]any {
	m.Mint(f, user, 10_000_000)
	m.FoldAll(f, user)
	overdue, ended, used := m.Open(f, user, 10_000), m.Open(f, user, 10_000), m.Open(f, user, 1_000_000)
	fund := session.TopUp{Name: ended.Name, ID: m.ID(), Amount: 5}
	m.Must(f, user, "session:TopUp", fund)
	settled := func() (c claim.Claim, page disbursement.Page, vote claim.Vote) {
		used.Use(f, 10_000)
		req := claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{used.Present(f)}}
		require.NoError(f, ledger.DecodeAnswer(m.Must(f, m.Host, "claim:Settle", req), &c))
		page = disbursement.Page{Number: 1, Due: c.Data, Payments: []token.Payment{{To: m.Ann.Account(), Amount: c.Data - 10}, {To: ledger.PoolAccount(m.Pool), Amount: 10}}}
		table, err := page.Digest()
		require.NoError(f, err)
		return c, page, claim.Vote{Scope: c.Scope, Revisions: []int{1}, Table: table, Rate: use.All}
	}
	secret, sealed := use.Secret{1}, m.ID()
	m.Must(f, user, "sampling:Register", sampling.Register{ID: sealed, Commitment: secret.Commitment()})
	fresh, _, ballot := settled()
	ballot.Rate, ballot.Secret = 1000, sealed
	attested, page, vote := settled()
	m.Must(f, rulestest.User(rulestest.A, "validator1", ledger.Validator), "claim:Attest", claim.Attest{Named: attested.Named, Vote: vote})

	table, err := payout.Table([]payout.Payment{{Payee: string(user.Account()), Amount: 100}})
	require.NoError(f, err)
	short, drawn := pool.Named{Datanet: m.Pool, ID: m.ID()}, pool.Named{Datanet: m.Pool, ID: m.ID()}
	for _, n := range []pool.Named{short, drawn} {
		m.Decide(f, "pool.pay", pool.Pay{Named: n, Amount: 100, Table: table})
	}
	var credits ledger.Page[token.Credit]
	require.NoError(f, ledger.DecodeAnswer(m.Must(f, user, "token:Credits", token.Listing{Account: ledger.PoolAccount(m.Pool)}), &credits))
	draw := pool.Draw{Named: drawn, Draw: m.ID(), Credits: []string{credits.Items[0].ID}}
	m.Must(f, user, "pool:Draw", draw)
	draw.Named, draw.Draw, draw.Credits = short, m.ID(), []string{credits.Items[1].ID}

	m.Clock = m.Clock.Add(72 * time.Hour)
	m.Must(f, user, "session:Expire", ended.Named)
	card := m.Card.Publish
	card.Card, card.Host = 2, user.Account()
	require.NoError(f, ledger.DecodeAnswer(m.Must(f, m.Trainer, "model:Publish", card), &m.Card))
	m.Must(f, user, "model:Accept", model.CardName{Named: card.Named, Card: 2})
	hosted := m.Open(f, user, 100_000)
	hosted.Use(f, 50_000)
	presented := hosted.Present(f)
	presented.Close = true
	opened := session.Open{Name: m.ID(), Terms: m.Terms("another", 5)}
	return map[string]any{
		"session:Open": opened, "session:TopUp": session.TopUp{Name: hosted.Name, ID: m.ID(), Amount: 5},
		"session:Expire": overdue.Named, "session:Reclaim": session.Reclaim{Named: ended.Named, Funds: []string{fund.ID}},
		"session:Get": hosted.Named, "session:List": session.Listing{Account: user.Account(), PageRequest: ledger.PageRequest{Limit: 2}},
		"session:Funds":     session.FundListing{Named: ended.Named},
		"claim:Settle":      claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{presented}},
		"claim:Attest":      claim.Attest{Named: fresh.Named, Vote: ballot},
		"claim:Object":      claim.Object{Named: fresh.Named, Difference: claim.Difference{Finding: "receipt", Session: used.ID, Place: 1, Evidence: merkle.Hash{1}}},
		"claim:Release":     claim.Release{Named: attested.Named, Page: page},
		"claim:Get":         attested.Named,
		"claim:List":        claim.Listing{Host: m.Host.Account(), PageRequest: ledger.PageRequest{Limit: 1}},
		"sampling:Register": sampling.Register{ID: m.ID(), Commitment: merkle.Hash{2}},
		"sampling:Reveal":   sampling.Reveal{ID: sealed, Secret: merkle.Hash(secret).String()},
		"sampling:Get":      sampling.Named{MSP: rulestest.B, ID: sealed}, "sampling:List": sampling.Listing{MSP: rulestest.B},
		"pool:Draw": draw,
		"pool:Release": pool.Release{Named: drawn, Page: disbursement.Page{Number: 1, Due: 100,
			Payments: []token.Payment{{To: user.Account(), Amount: 100}}}},
		"pool:Get": drawn, "pool:List": pool.Listing{Datanet: m.Pool, PageRequest: ledger.PageRequest{Limit: 1}},
	}
}
