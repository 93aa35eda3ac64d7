package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// market is a model that a second member hosts, on a datanet of its own, and sessions that the merchant prepays for it.
type market struct {
	*pool
	payees   []ledger.Account // of releases
	sessions int              // of one settlement
	host     *party
	card     model.Card
	key      ed25519.PrivateKey
	opened   []session.Session
	round    int64           // settlements so far of all sessions
	due      []claim.Release // pages that may be paid
}

func newMarket(p *pool, payees []ledger.Account, sessions int) *market {
	own := *p
	own.datanet = p.members[0] + "/bench-market"
	return &market{pool: &own, payees: slices.Sorted(slices.Values(payees)), sessions: sessions}
}

// settlementsInFlight: a settlement of the same sessions waits for the one before.
const settlementsInFlight = 1

// rows are the cases of paying for uses.
func (m *market) rows(s settings) []row {
	few := max(2, s.transactions/100)
	return []row{
		{name: fmt.Sprintf("settlement of %d sessions", m.sessions), items: m.sessions, before: m.open, expected: "≥ 1,000 requests a transaction",
			burst: load.Burst{Attempts: few, InFlight: settlementsInFlight, Next: m.settle}},
		{name: fmt.Sprintf("release to %d payees", len(m.payees)), items: len(m.payees), before: m.claims,
			burst: load.Burst{Attempts: few, InFlight: batchesInFlight, Next: m.release}},
	}
}

// fee is what every session owes more at each settlement, so that each payee gets something of one session's data part.
func (m *market) fee() money.Amount { return max(2*claim.MinData, money.Amount(2*len(m.payees))) }

// open has the model served and the sessions opened, once.
func (m *market) open(ctx context.Context, _ int) error {
	if m.opened != nil {
		return nil
	}
	if err := m.serve(ctx); err != nil {
		return fmt.Errorf("serve a model: %w", err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	m.key = key
	spending, err := use.NewKey(key.Public())
	if err != nil {
		return err
	}
	// Each session spends a credit of its own, or its opening would wait for the one before.
	escrow := 1000 * m.fee()
	var attempts []load.Attempt
	names := make([]session.Named, m.sessions)
	coins, err := m.coins(ctx, escrow, m.sessions)
	if err != nil {
		return err
	}
	for i := range names {
		names[i] = session.Named{Account: coins[i].owner.account, Name: newID()}
		attempts = append(attempts, load.Attempt{Client: coins[i].owner.Client, Call: call("session:Open", session.Open{Name: names[i].Name,
			Source: token.Source{Credits: []string{coins[i].id}, Apart: true}, Terms: session.Terms{Model: m.cardName(), Card: m.card.Digest, Host: m.card.Host,
				Key: spending, Window: 4, Expires: time.Now().UTC().Truncate(time.Second).Add(48 * time.Hour), Grace: use.MinGrace,
				Disclosure: use.DiscloseSample, Escrow: escrow}})})
	}
	if err := m.all(ctx, attempts, 64); err != nil {
		return fmt.Errorf("open sessions: %w", err)
	}
	for _, n := range names {
		detail, err := fabric.Query[session.Detail](ctx, m.host.Client, m.host.account.MSP(), "session:Get", n)
		if err != nil {
			return err
		}
		m.opened = append(m.opened, detail.Session)
	}
	return nil
}

// coins gives the payers so many credits of an amount, each from one batch of the treasury.
func (m *market) coins(ctx context.Context, amount money.Amount, count int) ([]coin, error) {
	var payments []token.Payment
	for _, p := range m.payers {
		payments = append(payments, token.Payment{To: p.account, Amount: amount})
	}
	var coins []coin
	for len(coins) < count {
		paid, err := soon(ctx, m.treasury, call("token:TransferBatch", token.Batch{ID: newID(), Payments: payments}))
		if err != nil {
			return nil, err
		}
		for _, p := range m.payers {
			coins = append(coins, coin{owner: p, id: paid.TxID, amount: amount})
		}
	}
	return coins, nil
}

// serve trains a model on one contribution and publishes it.
func (m *market) serve(ctx context.Context) error {
	if _, err := soon(ctx, m.curator, call("datanet:Create", datanet.Create{Name: m.datanet, Content: m.content()})); err != nil {
		return err
	}
	names, err := m.register(ctx, 1)
	if err != nil {
		return err
	}
	if err := m.approve(ctx, names); err != nil {
		return err
	}
	trainer, err := m.enrol(m.members[0], "trainer1", ledger.Trainer)
	if err != nil {
		return err
	}
	if m.host, err = m.enrol(m.members[1], "host1", ledger.Host); err != nil {
		return err
	}
	platform := m.operators[m.members[0]][0]
	for _, p := range []*party{trainer, m.host, platform} {
		if _, err := soon(ctx, p, call("account:Open", ledger.Nothing{})); err != nil {
			return err
		}
	}
	if _, err := m.decide(ctx, "schedule.set", schedule.Schedule{Platform: platform.account, PlatformPpm: 50_000, Issuer: platform.account}); err != nil {
		return err
	}
	first := snapshot.Named{Datanet: m.datanet, Number: 1}
	open := ticket.Open{ID: newID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research}
	digest := newID() + newID()
	named := model.Named{Name: m.members[0] + "/bench", Version: "1"}
	for _, step := range []struct {
		by   *party
		what string
		how  any
	}{
		{m.author(), "approval:Finalise", names[0].Named},
		{m.curator, "seal:Append", seal.Append{Datanet: m.datanet, Contributions: []string{names[0].ID}}},
		{m.curator, "snapshot:Take", first},
		{trainer, "ticket:Open", open},
		{trainer, "model:Register", model.Register{Named: named, Tickets: []string{open.ID}, Bases: []model.Named{}, Artifacts: []string{digest},
			Manifest: digest, Purpose: licence.Research, Corpus: model.Corpus{Tokens: 100, Distinct: 50, Digest: digest}}},
		{trainer, "model:Publish", model.Publish{Named: named, Card: 1, PriceOut: 1, Host: m.host.account, HostPpm: 100_000, OwnerPpm: 150_000}},
		{m.host, "model:Accept", model.CardName{Named: named, Card: 1}},
	} {
		if _, err := soon(ctx, step.by, call(step.what, step.how)); err != nil {
			return err
		}
	}
	m.card, err = fabric.Query[model.Card](ctx, m.host.Client, m.host.account.MSP(), "model:Card", model.CardName{Named: named})
	return err
}

func (m *market) cardName() model.CardName {
	return model.CardName{Named: m.card.Named, Card: m.card.Card}
}

// settlement is of some sessions, by vouchers for as many uses and fees as settlements so far.
func (m *market) settlement(of []session.Session, round int64) (claim.Settle, error) {
	req := claim.Settle{ID: newID(), Model: m.cardName(), Card: m.card.Digest}
	for _, s := range of {
		v := use.Voucher{Session: s.ID, Card: s.Card, N: uint64(round), Amount: uint64(round) * uint64(m.fee()), Root: merkle.Leaf([]byte(s.Name))}
		signature, err := use.Sign(m.key, v)
		if err != nil {
			return req, err
		}
		req.Sessions = append(req.Sessions, session.Presented{Named: s.Named, N: round, Amount: money.Amount(v.Amount), Root: v.Root, Signature: hex.EncodeToString(signature)})
	}
	return req, nil
}

func (m *market) settle() (load.Attempt, error) {
	m.round++
	req, err := m.settlement(m.opened, m.round)
	return load.Attempt{Client: m.host.Client, Call: call("claim:Settle", req)}, err
}

// claims settles one session for each release, and has a quorum attest one table of all payees.
func (m *market) claims(ctx context.Context, count int) error {
	if err := m.open(ctx, 0); err != nil {
		return err
	}
	m.due = nil
	for range count {
		m.round++
		req, err := m.settlement(m.opened[:1], m.round)
		if err != nil {
			return err
		}
		if _, err := soon(ctx, m.host, call("claim:Settle", req)); err != nil {
			return err
		}
		made, err := fabric.Query[claim.Detail](ctx, m.host.Client, m.host.account.MSP(), "claim:Get", claim.Named{Host: m.host.account, ID: req.ID})
		if err != nil {
			return err
		}
		page := disbursement.Page{Number: 1, Due: made.Left}
		each := made.Left / money.Amount(len(m.payees))
		for _, to := range m.payees {
			page.Payments = append(page.Payments, token.Payment{To: to, Amount: each})
		}
		page.Payments[0].Amount += made.Left - each*money.Amount(len(m.payees))
		table, err := page.Digest()
		if err != nil {
			return err
		}
		attest := claim.Attest{Named: made.Named, Vote: claim.Vote{Scope: made.Scope, Revisions: []int{1}, Table: table, Rate: use.All}}
		if _, err := soon(ctx, m.validators[made.Attestors[0]], call("claim:Attest", attest)); err != nil {
			return err
		}
		m.due = append(m.due, claim.Release{Named: made.Named, Page: page})
	}
	return nil
}

func (m *market) release() (load.Attempt, error) {
	if len(m.due) == 0 {
		return load.Attempt{}, errors.New("no claim is left to release")
	}
	next := m.due[0]
	m.due = m.due[1:]
	return load.Attempt{Client: m.host.Client, Call: call("claim:Release", next)}, nil
}
