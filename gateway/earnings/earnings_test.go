package earnings_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/earnings"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// books are a market whose blocks are indexed.
type books struct {
	*rulestest.Market
	*index.Index
	t      *testing.T
	blocks []*common.Block
}

func open(t *testing.T) *books {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	chain := blocktest.New(fabrictest.Chaincode)
	b := &books{t: t, blocks: chain.Blocks[:1:1]}
	b.Index, err = index.Open(t.Context(), db, fabrictest.Chaincode)
	require.NoError(t, err)
	committed := func(block *memledger.Block) { b.blocks = append(b.blocks, chain.Append(block)) }
	b.Market = rulestest.MarketOn(t, rulestest.Watched(t, committed, rulestest.A, rulestest.B, rulestest.C))
	return b
}

func (b *books) catchUp() {
	for _, block := range b.blocks {
		require.NoError(b.t, b.Apply(b.t.Context(), block))
	}
	b.blocks = nil
}

func (b *books) sums(a ledger.Account, by earnings.By, behind func(context.Context, earnings.Earning) (earnings.Behind, error)) earnings.Sums {
	b.t.Helper()
	b.catchUp()
	s, err := earnings.SumUp(b.t.Context(), b.Index, a, by, earnings.Range{}, behind)
	require.NoError(b.t, err)
	total := money.Amount(0)
	for _, item := range s.Items {
		total += item.Amount
	}
	require.Equal(b.t, s.Total, total)
	return s
}

func (b *books) holds(a ledger.Account) money.Amount {
	answer, err := b.Market.Evaluate(rulestest.Proposal(b.t, b.Host, "token:Balance", token.Owned{Account: a}), "")
	require.NoError(b.t, err)
	var h token.Holding
	require.NoError(b.t, ledger.DecodeAnswer(answer, &h))
	return h.Balance + h.Credits
}

func TestSumsAreThoseOfTheCreditsAndOpenToContributions(t *testing.T) {
	b := open(t)
	reader := b.Consumer(t, rulestest.B, 1_000_000)
	p := b.Open(t, reader, 500_000)
	p.Use(t, 20_000)
	presented := p.Present(t)
	presented.Close = true
	settled := claim.Settle{ID: b.ID(), Model: b.CardName(), Card: b.Card.Digest, Sessions: []session.Presented{presented}}
	var c claim.Claim
	require.NoError(t, ledger.DecodeAnswer(b.Must(t, b.Host, "claim:Settle", settled), &c))
	for _, payment := range c.Payments {
		require.Equal(t, payment.Amount, b.sums(payment.To, earnings.ByModel, nil).Total)
		require.Equal(t, payment.Amount, b.holds(payment.To))
	}
	require.Zero(t, b.sums(reader.Account(), earnings.ByKind, nil).Total, "what comes back is not earned")

	paid := []token.Payment{{To: b.Ann.Account(), Amount: 7_001}, {To: b.Bob.Account(), Amount: 4_999}}
	page := disbursement.Page{Number: 1, Due: 12_000, Payments: paid}
	digest, err := page.Digest()
	require.NoError(t, err)
	vote := claim.Vote{Scope: c.Scope, Revisions: []int{1}, Table: digest, Rate: use.All}
	b.Must(t, rulestest.User(rulestest.B, "validator1", ledger.Validator), "claim:Attest", claim.Attest{Named: c.Named, Vote: vote})
	b.Must(t, b.Ann, "claim:Release", claim.Release{Named: c.Named, Page: page})
	require.Equal(t, []earnings.Sum{{Key: b.Card.Named.String(), Amount: 7_001, Count: 1}}, b.sums(b.Ann.Account(), earnings.ByModel, nil).Items)
	b.Must(t, b.Ann, "token:Transfer", token.Transfer{ID: b.ID(), Payment: token.Payment{To: b.Bob.Account(), Amount: 7_001}, Source: token.Source{Credits: b.credits(b.Ann)}})
	ann := b.sums(b.Ann.Account(), earnings.BySettlement, nil)
	require.Equal(t, []earnings.Sum{{Key: string(c.Host) + " " + c.ID, Amount: 7_001, Count: 1}}, ann.Items, "spent, and earned all the same")
	require.Equal(t, money.Amount(4_999), b.sums(b.Bob.Account(), earnings.ByMonth, nil).Total, "what others pay him is not earned")

	one, two := b.Contributions[0], b.Contributions[1]
	payee := func(credit uint64) []receipt.Payee {
		return []receipt.Payee{{Account: string(b.Ann.Account()), Credit: credit}}
	}
	behind := func(_ context.Context, e earnings.Earning) (earnings.Behind, error) {
		require.Equal(t, c.ID, e.Settlement)
		r := &receipt.Receipt{CoveragePPM: 900_000, Spans: []receipt.Span{
			{Credit: 2, Home: receipt.Home{Contribution: one}, Payees: payee(2)}, {Credit: 1, Home: receipt.Home{Contribution: two}, Payees: payee(1)}}}
		return earnings.Behind{{Leaf: use.Leaf{Fee: 20_000}, Receipt: r}, {Leaf: use.Leaf{Fee: 1}}}, nil
	}
	require.Equal(t, []earnings.Sum{{Key: one, Amount: 4_667, Count: 1}, {Key: two, Amount: 2_334, Count: 1}},
		b.sums(b.Ann.Account(), earnings.ByContribution, behind).Items)
	unknown := func(context.Context, earnings.Earning) (earnings.Behind, error) { return nil, nil }
	require.Equal(t, []earnings.Sum{{Amount: 7_001}}, b.sums(b.Ann.Account(), earnings.ByContribution, unknown).Items)
	none, err := earnings.SumUp(t.Context(), b.Index, b.Ann.Account(), earnings.ByDay, earnings.Range{Until: b.Clock.Add(-time.Hour)}, nil)
	require.NoError(t, err)
	require.Zero(t, none.Total)
}

func (b *books) credits(user ledger.Caller) (ids []string) {
	answer, err := b.Market.Evaluate(rulestest.Proposal(b.t, user, "token:Credits", token.Listing{Account: user.Account()}), "")
	require.NoError(b.t, err)
	var page ledger.Page[token.Credit]
	require.NoError(b.t, ledger.DecodeAnswer(answer, &page))
	for _, c := range page.Items {
		ids = append(ids, c.ID)
	}
	return ids
}
