package pool_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// filled is a market whose pool has three credits of 1,000, and their ids.
func filled(t *testing.T) (*rulestest.Market, []string) {
	m := rulestest.NewMarket(t)
	p := m.Open(t, m.Consumer(t, rulestest.B, 100_000), 100_000)
	for range 3 {
		p.Use(t, 10_000)
		m.Must(t, m.Host, "claim:Settle", claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{p.Present(t)}})
	}
	var credits ledger.Page[token.Credit]
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, m.Ann, "token:Credits", token.Listing{Account: ledger.PoolAccount(m.Pool)}), &credits))
	var ids []string
	for _, c := range credits.Items {
		require.Equal(t, money.Amount(1_000), c.Amount)
		ids = append(ids, c.ID)
	}
	require.Len(t, ids, 3)
	return m, ids
}

func page(due money.Amount, payments ...token.Payment) disbursement.Page {
	return disbursement.Page{Number: 1, Due: due, Payments: payments}
}

func digest(t *testing.T, p disbursement.Page) merkle.Hash {
	d, err := p.Digest()
	require.NoError(t, err)
	return d
}

func TestAPoolPaysOutWhatTheMembersDecidedAndNoMore(t *testing.T) {
	m, credits := filled(t)
	n := pool.Named{Datanet: m.Pool, ID: m.ID()}
	paid := page(1_500, token.Payment{To: m.Ann.Account(), Amount: 1_500})
	draw := pool.Draw{Named: n, Draw: m.ID(), Credits: credits[:1]}
	_, fault := m.Try(t, m.Bob, "pool:Draw", draw)
	require.Equal(t, ledger.CodeNotFound, fault.Code, "nothing is decided")
	m.Decide(t, "pool.pay", pool.Pay{Named: n, Amount: 1_500, Table: digest(t, paid)})
	m.Must(t, m.Bob, "pool:Draw", draw)
	m.Must(t, m.Bob, "pool:Draw", draw)
	tally := m.Tally(t)
	require.NoError(t, tally.Check())
	require.Equal(t, money.Amount(1_000), tally.Payouts, "the same draw again takes nothing more")
	_, fault = m.Try(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: paid})
	require.Equal(t, ledger.CodeState, fault.Code)
	second := pool.Draw{Named: n, Draw: m.ID(), Credits: credits[1:]}
	m.Must(t, m.Bob, "pool:Draw", second)
	tally = m.Tally(t)
	require.NoError(t, tally.Check())
	require.Equal(t, money.Amount(1_500), tally.Payouts, "the rest of the credits stays in the pool")
	third := second
	third.Draw = m.ID()
	_, fault = m.Try(t, m.Bob, "pool:Draw", third)
	require.Equal(t, ledger.CodeState, fault.Code)
	other := pool.Release{Named: n, Page: page(1_500, token.Payment{To: m.Bob.Account(), Amount: 1_500})}
	_, fault = m.Try(t, m.Bob, "pool:Release", other)
	require.Equal(t, ledger.CodeState, fault.Code)
	m.Must(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: paid})
	m.Must(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: paid})
	_, fault = m.Try(t, m.Bob, "pool:Release", other)
	require.Equal(t, ledger.CodeExists, fault.Code)
	tally = m.Tally(t)
	require.NoError(t, tally.Check())
	require.Zero(t, tally.Payouts)
}

func TestATableThatCannotBePaidIsReplacedByTheMembers(t *testing.T) {
	m, credits := filled(t)
	n := pool.Named{Datanet: m.Pool, ID: m.ID()}
	stranger := page(1_000, token.Payment{To: ledger.NewAccount(rulestest.B, "nobody"), Amount: 1_000})
	m.Decide(t, "pool.pay", pool.Pay{Named: n, Amount: 1_000, Table: digest(t, stranger)})
	m.Must(t, m.Bob, "pool:Draw", pool.Draw{Named: n, Draw: m.ID(), Credits: credits[:1]})
	_, fault := m.Try(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: stranger})
	require.Equal(t, "payments.0.to", fault.Field, "the account is not open")
	inward := page(1_000, token.Payment{To: ledger.Account(payout.Pool(m.Pool)), Amount: 1_000})
	m.Decide(t, "pool.pay", pool.Pay{Named: n, Amount: 1_000, Table: digest(t, inward)})
	_, fault = m.Try(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: inward})
	require.Equal(t, "payments.0.to", fault.Field, "no pool is paid out of a pool")
	good := page(1_000, token.Payment{To: m.Ann.Account(), Amount: 1_000})
	m.Decide(t, "pool.pay", pool.Pay{Named: n, Amount: 1_000, Table: digest(t, good)})
	m.Must(t, m.Bob, "pool:Release", pool.Release{Named: n, Page: good})
	tally := m.Tally(t)
	require.NoError(t, tally.Check())
	for claimed, params := range map[string]pool.Pay{
		"params.id":     {Named: n, Amount: 1, Table: digest(t, good)},
		"params.amount": {Named: pool.Named{Datanet: m.Pool, ID: m.ID()}, Table: digest(t, good)},
		"params.table":  {Named: pool.Named{Datanet: m.Pool, ID: m.ID()}, Amount: 1},
	} {
		_, fault := m.Try(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Propose",
			map[string]any{"id": m.ID(), "kind": "pool.pay", "params": params, "expires": m.Clock.Add(2 * time.Hour)})
		require.Equal(t, claimed, fault.Field)
	}
}

func TestOfTwoDrawsOnOneCreditOneLoses(t *testing.T) {
	m, credits := filled(t)
	payouts := []pool.Named{{Datanet: m.Pool, ID: m.ID()}, {Datanet: m.Pool, ID: m.ID()}}
	for _, n := range payouts {
		m.Decide(t, "pool.pay", pool.Pay{Named: n, Amount: 1_000, Table: merkle.Hash{1}})
	}
	for _, n := range payouts {
		envelope, err := m.Propose(rulestest.Proposal(t, m.Ann, "pool:Draw", pool.Draw{Named: n, Draw: m.ID(), Credits: credits[:1]}))
		require.NoError(t, err)
		require.NoError(t, m.Submit(envelope))
	}
	block, err := m.Cut()
	require.NoError(t, err)
	require.Equal(t, []memledger.Flag{memledger.Valid, memledger.MVCCReadConflict}, block.Flags)
	tally := m.Tally(t)
	require.NoError(t, tally.Check())
}
