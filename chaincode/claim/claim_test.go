package claim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

func validator(msp string) ledger.Caller { return rulestest.User(msp, "validator1", ledger.Validator) }

func operator(msp string) ledger.Caller { return rulestest.User(msp, "operator1", ledger.Operator) }

// settlement is the request that settles sessions under the market's card.
func settlement(m *rulestest.Market, sessions ...session.Presented) claim.Settle {
	return claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: sessions}
}

func settle(t rulestest.T, m *rulestest.Market, req claim.Settle) (c claim.Claim) {
	if err := ledger.DecodeAnswer(m.Must(t, m.Host, "claim:Settle", req), &c); err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// table is the pages by which payments of a claim are released.
func table(t *testing.T, payments ...payout.Payment) []disbursement.Page {
	_, err := payout.Pages(payments)
	require.NoError(t, err)
	return pagesOf(payments)
}

// vote is for the table that begins with a page, on all uses.
func vote(t *testing.T, c claim.Claim, page disbursement.Page) claim.Attest {
	digest, err := page.Digest()
	require.NoError(t, err)
	v := claim.Vote{Scope: c.Scope, Table: digest, Rate: use.All}
	for _, r := range c.Revisions {
		v.Revisions = append(v.Revisions, r.Revision)
	}
	return claim.Attest{Named: c.Named, Vote: v}
}

func refused(t *testing.T, m *rulestest.Market, user ledger.Caller, function string, request any, code ledger.Code, field string) {
	t.Helper()
	_, fault := m.Try(t, user, function, request)
	require.NotNil(t, fault, "%s", function)
	require.Equal(t, code, fault.Code, "%v", fault)
	require.Equal(t, field, fault.Field, "%v", fault)
}

func credit(t *testing.T, m *rulestest.Market, a ledger.Account) money.Amount {
	answer, err := m.Evaluate(rulestest.Proposal(t, m.Host, "token:Balance", token.Owned{Account: a}), "")
	require.NoError(t, err)
	var h token.Holding
	require.NoError(t, ledger.DecodeAnswer(answer, &h))
	return h.Balance + h.Credits
}

func conserved(t *testing.T, m *rulestest.Market) token.Tally {
	tally := m.Tally(t)
	require.NoError(t, tally.Check())
	return tally
}

func TestASettlementPaysFixedPartsAtOnceAndTheDataPartWhenAttested(t *testing.T) {
	m := rulestest.NewMarket(t)
	a, b := m.Consumer(t, rulestest.B, 1_000_000), m.Consumer(t, rulestest.A, 1_000_000)
	one, two := m.Open(t, a, 500_000), m.Open(t, b, 300_000)
	one.Use(t, 9_000)
	one.Use(t, 1)
	two.Use(t, 10_000)
	req := settlement(m, one.Present(t), two.Present(t))
	c := settle(t, m, req)
	require.Equal(t, money.Amount(19_001), c.Fees)
	require.Equal(t, money.Amount(11_400), c.Data, "⌊19,001 · 0.6⌋")
	require.EqualValues(t, 3, c.Uses)
	require.Equal(t, []string{rulestest.A, rulestest.B}, c.Attestors, "all who validate but the host's organisation")
	var fixed money.Amount
	for _, p := range c.Payments {
		require.Equal(t, p.Amount, credit(t, m, p.To))
		fixed += p.Amount
	}
	require.Equal(t, c.Fees-c.Data, fixed)
	require.Equal(t, money.Amount(2851), credit(t, m, m.Trainer.Account()))
	require.Equal(t, money.Amount(1900), credit(t, m, ledger.PoolAccount(m.Pool)))
	tally := conserved(t, m)
	require.Equal(t, money.Amount(800_000-19_001), tally.Sessions)
	require.Equal(t, c.Data, tally.Claims)
	require.JSONEq(t, string(m.Must(t, m.Host, "claim:Settle", req)), string(m.Must(t, m.Host, "claim:Settle", req)), "the same again is done")

	pages := table(t, payout.Payment{Payee: string(m.Ann.Account()), Amount: 7_000}, payout.Payment{Payee: string(m.Bob.Account()), Amount: 4_000},
		payout.Payment{Payee: payout.Pool(m.Pool), Amount: 400})
	release := claim.Release{Named: c.Named, Page: pages[0]}
	refused(t, m, m.Ann, "claim:Release", release, ledger.CodeState, "")
	refused(t, m, validator(rulestest.C), "claim:Attest", vote(t, c, pages[0]), ledger.CodeForbidden, "")
	m.Must(t, validator(rulestest.B), "claim:Attest", vote(t, c, pages[0]))
	other := release
	other.Payments = []token.Payment{{To: m.Bob.Account(), Amount: 11_400}}
	refused(t, m, m.Ann, "claim:Release", other, ledger.CodeState, "")
	m.Must(t, m.Ann, "claim:Release", release)
	m.Must(t, m.Bob, "claim:Release", release)
	require.Equal(t, money.Amount(7_000), credit(t, m, m.Ann.Account()))
	require.Equal(t, money.Amount(4_000), credit(t, m, m.Bob.Account()))
	require.Equal(t, money.Amount(2_300), credit(t, m, ledger.PoolAccount(m.Pool)))
	refused(t, m, m.Ann, "claim:Release", other, ledger.CodeExists, "page")
	require.Zero(t, conserved(t, m).Claims)
}

func TestAVoucherThatDoesNotCountIsRefused(t *testing.T) {
	m := rulestest.NewMarket(t)
	a := m.Consumer(t, rulestest.B, 1_000_000)
	p, q := m.Open(t, a, 100_000), m.Open(t, a, 100_000)
	p.Use(t, 10_000)
	old := p.Present(t)
	settle(t, m, settlement(m, old))
	refused(t, m, m.Host, "claim:Settle", settlement(m, old), ledger.CodeState, "sessions.0.n")
	p.Use(t, 10_000)
	q.Use(t, 10_000)
	fresh := p.Present(t)
	foreign := q.Present(t)
	foreign.Named = p.Named
	raised := fresh
	raised.Amount += 1
	farther := fresh
	farther.N++
	closing := session.Presented{Named: p.Named, Close: true, N: 1}
	for claimed, presented := range map[string]session.Presented{"another session's": foreign, "a higher amount": raised, "more uses": farther} {
		_, fault := m.Try(t, m.Host, "claim:Settle", settlement(m, q.Present(t), presented))
		require.NotNil(t, fault, claimed)
		require.Equal(t, ledger.CodeInvalid, fault.Code, claimed)
		require.Equal(t, "sessions.1.signature", fault.Field, claimed)
	}
	refused(t, m, m.Host, "claim:Settle", settlement(m, closing), ledger.CodeInvalid, "sessions.0.signature")
	refused(t, m, m.Host, "claim:Settle", settlement(m, fresh, fresh), ledger.CodeInvalid, "sessions.1.name")
	p.Use(t, 80_001)
	refused(t, m, m.Host, "claim:Settle", settlement(m, p.Present(t)), ledger.CodeInsufficient, "sessions.0.amount")
	topUp := session.TopUp{Name: p.Name, ID: m.ID(), Amount: 1}
	refused(t, m, m.Host, "claim:Settle", settlement(m, p.Present(t, topUp.ID)), ledger.CodeNotFound, "sessions.0.funds")
	m.Must(t, a, "session:TopUp", topUp)
	settle(t, m, settlement(m, p.Present(t, topUp.ID)))
	q.Use(t, 1_000)
	refused(t, m, m.Host, "claim:Settle", settlement(m, q.Present(t, topUp.ID)), ledger.CodeNotFound, "sessions.0.funds")
	p.Use(t, 1)
	refused(t, m, m.Host, "claim:Settle", settlement(m, p.Present(t, topUp.ID)), ledger.CodeState, "sessions.0.funds")
	other := rulestest.User(rulestest.C, "host2", ledger.Host)
	refused(t, m, other, "claim:Settle", settlement(m, q.Present(t)), ledger.CodeForbidden, "")
	wrong := settlement(m, q.Present(t))
	wrong.Card = merkle.Hash{1}
	refused(t, m, m.Host, "claim:Settle", wrong, ledger.CodeState, "card")
	conserved(t, m)
}

func TestCrumbsWaitUnlessAllSessionsClose(t *testing.T) {
	m := rulestest.NewMarket(t)
	a := m.Consumer(t, rulestest.B, 1_000_000)
	p, q := m.Open(t, a, 100_000), m.Open(t, a, 50_000)
	p.Use(t, 1_666) // data part 999
	refused(t, m, m.Host, "claim:Settle", settlement(m, p.Present(t)), ledger.CodeState, "sessions")
	unused := session.Presented{Named: q.Named, Close: true}
	refused(t, m, m.Host, "claim:Settle", settlement(m, p.Present(t), unused), ledger.CodeState, "sessions")
	last := p.Present(t)
	last.Close = true
	c := settle(t, m, settlement(m, last, unused))
	require.Equal(t, money.Amount(999), c.Left)
	require.Equal(t, money.Amount(148_334), c.Rest)
	require.Equal(t, money.Amount(1_000_000-1_666), credit(t, m, a.Account()), "both rests are back in one credit")
	refused(t, m, m.Host, "claim:Settle", settlement(m, last), ledger.CodeState, "sessions.0.name")
	require.Zero(t, conserved(t, m).Sessions)

	r := m.Open(t, a, 10)
	done := settle(t, m, settlement(m, session.Presented{Named: r.Named, Close: true}))
	require.Equal(t, claim.Released, done.State, "nothing is to be attested")
	conserved(t, m)
}

func TestAnObjectionIsForTheMembersToDecide(t *testing.T) {
	m := rulestest.NewMarket(t)
	p := m.Open(t, m.Consumer(t, rulestest.B, 100_000), 100_000)
	p.Use(t, 10_000)
	c := settle(t, m, settlement(m, p.Present(t)))
	pages := table(t, payout.Payment{Payee: string(m.Bob.Account()), Amount: 6_000})
	held, err := m.Propose(rulestest.Proposal(t, validator(rulestest.B), "claim:Attest", vote(t, c, pages[0])))
	require.NoError(t, err)
	m.Must(t, validator(rulestest.A), "claim:Attest", vote(t, c, pages[0]))
	late, err := m.Propose(rulestest.Proposal(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]}))
	require.NoError(t, err)
	objection := claim.Object{Named: c.Named, Difference: claim.Difference{Finding: "fee", Session: p.ID}}
	refused(t, m, validator(rulestest.C), "claim:Object", objection, ledger.CodeForbidden, "")
	m.Must(t, validator(rulestest.B), "claim:Object", objection)
	m.Must(t, validator(rulestest.B), "claim:Object", objection)
	for _, envelope := range []*memledger.Envelope{held, late} {
		require.NoError(t, m.Submit(envelope))
	}
	block, err := m.Cut()
	require.NoError(t, err)
	require.Equal(t, []memledger.Flag{memledger.MVCCReadConflict, memledger.MVCCReadConflict}, block.Flags, "what was held back loses")
	refused(t, m, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]}, ledger.CodeState, "")

	decided := table(t, payout.Payment{Payee: string(m.Ann.Account()), Amount: 6_000})
	digest, err := decided[0].Digest()
	require.NoError(t, err)
	m.Decide(t, "claim.decide", claim.Decision{Named: c.Named, Table: digest})
	refused(t, m, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]}, ledger.CodeState, "payments")
	m.Must(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: decided[0]})
	require.Equal(t, money.Amount(6_000), credit(t, m, m.Ann.Account()))
	_, fault := m.Try(t, operator(rulestest.A), "proposal:Propose", map[string]any{"id": m.ID(), "kind": "claim.decide",
		"params": claim.Decision{Named: c.Named, Table: digest}, "expires": m.Clock.Add(2 * time.Hour)})
	require.Equal(t, ledger.CodeState, fault.Code, "what is paid is paid")
	conserved(t, m)
}

func TestAClaimThatNobodyAttestsIsForTheMembersAfterItsTerm(t *testing.T) {
	m := rulestest.NewMarket(t)
	p := m.Open(t, m.Consumer(t, rulestest.B, 100_000), 100_000)
	p.Use(t, 10_000)
	c := settle(t, m, settlement(m, p.Present(t)))
	pages := table(t, payout.Payment{Payee: string(m.Bob.Account()), Amount: 6_000})
	digest, err := pages[0].Digest()
	require.NoError(t, err)
	params := claim.Decision{Named: c.Named, Table: digest}
	_, fault := m.Try(t, operator(rulestest.A), "proposal:Propose", map[string]any{"id": m.ID(), "kind": "claim.decide",
		"params": params, "expires": m.Clock.Add(2 * time.Hour)})
	require.Equal(t, ledger.CodeState, fault.Code)
	m.Clock = m.Clock.Add(claim.Term)
	m.Decide(t, "claim.decide", params)
	refused(t, m, validator(rulestest.A), "claim:Attest", vote(t, c, pages[0]), ledger.CodeState, "")
	m.Must(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]})
	conserved(t, m)
}

func TestARevisionRenewsTheVotesAndHeldSettlementsLose(t *testing.T) {
	m := rulestest.NewMarket(t)
	a := m.Consumer(t, rulestest.B, 1_000_000)
	p := m.Open(t, a, 1_000_000)
	p.Use(t, 10_000)
	c := settle(t, m, settlement(m, p.Present(t)))
	pages := table(t, payout.Payment{Payee: string(m.Bob.Account()), Amount: 6_000})
	m.Must(t, validator(rulestest.A), "claim:Attest", vote(t, c, pages[0]))

	name := contribution.Named{Datanet: m.Pool, ID: m.Contributions[2]}
	m.Must(t, m.Bob, "erasure:Request", name)
	m.Must(t, m.Curator, "seal:Retire", seal.Retire{Datanet: m.Pool, Contributions: []string{name.ID}})
	for _, msp := range []string{rulestest.A, rulestest.C} {
		m.Must(t, operator(msp), "erasure:Acknowledge", name)
	}
	refused(t, m, m.Bob, "erasure:Complete", name, ledger.CodeState, "")
	m.Clock = m.Clock.Add(erasure.Term)
	m.Must(t, m.Bob, "erasure:Complete", name)

	p.Use(t, 10_000)
	propose := func(user ledger.Caller, function string, request any) *memledger.Envelope {
		envelope, err := m.Propose(rulestest.Proposal(t, user, function, request))
		require.NoError(t, err)
		return envelope
	}
	held := []*memledger.Envelope{
		propose(m.Host, "claim:Settle", settlement(m, p.Present(t))),
		propose(m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]}),
		propose(validator(rulestest.B), "claim:Attest", vote(t, c, pages[0])),
	}
	m.Must(t, m.Curator, "snapshot:Revise", snapshot.Named{Datanet: m.Pool, Number: 1})
	for _, envelope := range held {
		require.NoError(t, m.Submit(envelope))
	}
	block, err := m.Cut()
	require.NoError(t, err)
	for i, flag := range block.Flags {
		require.Equal(t, memledger.MVCCReadConflict, flag, "transaction %d was held back", i)
	}
	refused(t, m, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]}, ledger.CodeState, "")
	again := vote(t, c, pages[0])
	refused(t, m, validator(rulestest.B), "claim:Attest", again, ledger.CodeState, "revisions")
	fallen := table(t, payout.Payment{Payee: payout.Pool(m.Pool), Amount: 6_000})
	renewed := vote(t, c, fallen[0])
	renewed.Revisions = []int{2}
	m.Must(t, validator(rulestest.A), "claim:Attest", renewed)
	m.Must(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: fallen[0]})
	require.Zero(t, credit(t, m, m.Bob.Account()))
	conserved(t, m)
}

func TestATableOfManyPayeesIsReleasedInOrder(t *testing.T) {
	m := rulestest.NewMarket(t)
	p := m.Open(t, m.Consumer(t, rulestest.B, 100_000), 100_000)
	p.Use(t, 20_000)
	c := settle(t, m, settlement(m, p.Present(t)))
	var payments []payout.Payment
	for range payout.PageSize + 10 {
		user := rulestest.User(rulestest.A, "p-"+m.ID(), ledger.Contributor)
		opened, err := m.Propose(rulestest.Proposal(t, user, "account:Open", ledger.Nothing{}))
		require.NoError(t, err)
		require.NoError(t, m.Submit(opened))
		payments = append(payments, payout.Payment{Payee: string(user.Account()), Amount: 1})
	}
	_, err := m.Cut()
	require.NoError(t, err)
	payments[0].Amount = int64(c.Data) - int64(len(payments)) + 1
	sortByPayee(payments)
	pages := table(t, payments...)
	require.Len(t, pages, 2)
	m.Must(t, validator(rulestest.A), "claim:Attest", vote(t, c, pages[0]))
	refused(t, m, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[1]}, ledger.CodeState, "")
	m.Must(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[0]})
	require.Equal(t, pages[1].Due, conserved(t, m).Claims)
	other := pages[1]
	last := len(other.Payments) - 1
	other.Payments = append(slices.Clone(other.Payments[:last]), token.Payment{To: m.Ann.Account(), Amount: 1})
	refused(t, m, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: other}, ledger.CodeState, "payments")
	m.Must(t, m.Ann, "claim:Release", claim.Release{Named: c.Named, Page: pages[1]})
	require.Zero(t, conserved(t, m).Claims)
}

func sortByPayee(payments []payout.Payment) {
	slices.SortFunc(payments, func(a, b payout.Payment) int { return strings.Compare(a.Payee, b.Payee) })
}
