package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/bench/yardstick"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// A batch is as large as hundreds of transfers, so a burst has few of them.
const (
	batchesInFlight = 8
	batchesOf       = 25 // transactions of a burst for each batch
)

// Names of rows. All others are compared to the no-op.
const (
	noop     = "no-op"
	hotPayee = "transfer, hot payee"
	hotPayer = "transfer, hot payer"
)

// row is a case, which is a row of the table.
type row struct {
	name     string
	items    int // payments, contributions or votes of one transaction, 0 for none
	burst    load.Burst
	expected string
	// before, unless nil, makes what the burst needs. It is not measured.
	before func(ctx context.Context, attempts int) error
}

// workload makes the attempts of all cases.
//
// Credits go round: the payers pay the merchant with whole credits, who pays them back from the same credits and keeps
// the change. Each transaction consumes a credit of its own, so in the first case the payee is the only hot account,
// and in the second the payer. In the uniform case payers pay anyone, and keep the change.
type workload struct {
	*consortium
	random *rand.Rand
	turn   int
	purse  *purse // of the payers
	till   *purse // of the merchant
}

func newWorkload(ctx context.Context, c *consortium, g *load.Generator, s settings) (*workload, error) {
	w := &workload{consortium: c, random: rand.New(rand.NewPCG(1, 2)), purse: &purse{}, till: &purse{}}
	// A burst takes that many out of the purse, and some remain, so that a credit rests between two spends.
	if err := w.fill(ctx, g, s.transactions+2*s.inFlight); err != nil {
		return nil, fmt.Errorf("give the payers credits: %w", err)
	}
	return w, nil
}

// plainBalances gives the plain token's accounts balances.
func (w *workload) plainBalances(ctx context.Context) error {
	var accounts []string
	for _, account := range w.payees {
		accounts = append(accounts, string(account))
	}
	if _, err := soon(ctx, w.treasury, call(yardstick.Mint, yardstick.Grant{Accounts: accounts, Amount: 1 << 40})); err != nil {
		return fmt.Errorf("give the plain token's accounts balances: %w", err)
	}
	return nil
}

// Credits begin with coinOf micro-credits, which may be halved many times, those with which the payers make each
// other's with more.
const coinOf, bagOf money.Amount = 1 << 30, 1 << 50

// fill brings as many credits into the payers' purse: the treasury pays each payer a few, from which they pay each
// other at the same time.
func (w *workload) fill(ctx context.Context, g *load.Generator, count int) error {
	bags := &purse{}
	var payments []token.Payment
	for _, payer := range w.payers {
		payments = append(payments, token.Payment{To: payer.account, Amount: bagOf})
	}
	for range 3 {
		paid, err := soon(ctx, w.treasury, call("token:TransferBatch", token.Batch{ID: newID(), Payments: payments}))
		if err != nil {
			return err
		}
		for _, payer := range w.payers {
			bags.put(coin{owner: payer, id: paid.TxID, amount: bagOf})
		}
	}
	others := len(w.payers) - 1
	made, err := g.Fire(ctx, load.Burst{Attempts: (count + others - 1) / others, InFlight: len(w.payers), Next: func() (load.Attempt, error) {
		bag, err := bags.take()
		if err != nil {
			return load.Attempt{}, err
		}
		var payments []token.Payment
		for _, payer := range w.payers {
			if payer != bag.owner {
				payments = append(payments, token.Payment{To: payer.account, Amount: coinOf})
			}
		}
		return bag.spend(bags, coinOf*money.Amount(others), batchOf(payments), func(txID string) {
			for _, payer := range w.payers {
				if payer != bag.owner {
					w.purse.put(coin{owner: payer, id: txID, amount: coinOf})
				}
			}
		})
	}})
	if err == nil && made.Failed+made.Conflicts > 0 {
		err = made.Failure
	}
	return err
}

func burstOf(s settings, next func() (load.Attempt, error)) load.Burst {
	return load.Burst{Attempts: s.transactions, InFlight: s.inFlight, Next: next}
}

// yardsticks are what all other cases are compared to, the no-op first.
func (w *workload) yardsticks(s settings) []row {
	return []row{
		{name: noop, burst: burstOf(s, w.yardstick(yardstick.Nothing))},
		{name: "one key written", burst: burstOf(s, w.yardstick(yardstick.Write))},
	}
}

// rows are the cases of paying.
func (w *workload) rows(s settings) []row {
	batches := load.Burst{Attempts: max(1, s.transactions/batchesOf), InFlight: batchesInFlight, Next: w.batch}
	return []row{
		{name: hotPayee, items: 1, burst: burstOf(s, w.toMerchant), expected: "≥ 90 % of no-op, 0 conflicts"},
		{name: hotPayer, items: 1, burst: burstOf(s, w.fromMerchant), expected: "≥ 70 % of no-op"},
		{name: "transfer, uniform", items: 1, burst: burstOf(s, w.toAnyone)},
		{name: fmt.Sprintf("batch of %d payees", len(w.payees)), items: len(w.payees), burst: batches},
	}
}

// plains are the cases of the plain token.
func (w *workload) plains(s settings) []row {
	uniform, hot := w.anyone, func() ledger.Account { return w.payees[0] }
	return []row{
		{name: "plain token, hot payee", items: 1, burst: burstOf(s, w.plain(uniform, hot)), expected: "about one per block"},
		{name: "plain token, hot payer", items: 1, burst: burstOf(s, w.plain(hot, uniform)), expected: "about one per block"},
		{name: "plain token, uniform", items: 1, burst: burstOf(s, w.plain(uniform, uniform))},
	}
}

func (w *workload) yardstick(function string) func() (load.Attempt, error) {
	return func() (load.Attempt, error) {
		return load.Attempt{Client: w.nextPayer(), Call: call(function, ledger.Nothing{})}, nil
	}
}

// toMerchant pays with a whole credit.
func (w *workload) toMerchant() (load.Attempt, error) {
	c, err := w.purse.take()
	if err != nil {
		return load.Attempt{}, err
	}
	return c.spend(w.purse, c.amount, transferOf(w.merchant.account, c.amount), func(txID string) {
		w.till.put(coin{owner: w.merchant, id: txID, amount: c.amount})
	})
}

// fromMerchant pays half of a credit to a payer.
func (w *workload) fromMerchant() (load.Attempt, error) {
	c, err := w.till.take()
	if err != nil {
		return load.Attempt{}, err
	}
	w.turn++
	payee, half := w.payers[w.turn%len(w.payers)], c.amount/2
	return c.spend(w.till, half, transferOf(payee.account, half), func(txID string) {
		w.purse.put(coin{owner: payee, id: txID, amount: half})
	})
}

// toAnyone pays a little out of a credit.
func (w *workload) toAnyone() (load.Attempt, error) {
	c, err := w.purse.take()
	if err != nil {
		return load.Attempt{}, err
	}
	return c.spend(w.purse, 1, transferOf(w.anyone(), 1), nil)
}

// batch pays all payees out of a credit.
func (w *workload) batch() (load.Attempt, error) {
	c, err := w.purse.take()
	if err != nil {
		return load.Attempt{}, err
	}
	var payments []token.Payment
	for _, payee := range w.payees {
		payments = append(payments, token.Payment{To: payee, Amount: 1})
	}
	return c.spend(w.purse, money.Amount(len(payments)), batchOf(payments), nil)
}

func transferOf(to ledger.Account, amount money.Amount) func(token.Source) fabric.Call {
	return func(source token.Source) fabric.Call {
		return call("token:Transfer", token.Transfer{ID: newID(), Payment: token.Payment{To: to, Amount: amount}, Source: source})
	}
}

func batchOf(payments []token.Payment) func(token.Source) fabric.Call {
	return func(source token.Source) fabric.Call {
		return call("token:TransferBatch", token.Batch{ID: newID(), Payments: payments, Source: source})
	}
}

// plain transfers by the plain token.
func (w *workload) plain(payer, payee func() ledger.Account) func() (load.Attempt, error) {
	return func() (load.Attempt, error) {
		from, to := payer(), payee()
		for from == to {
			from, to = payer(), payee()
		}
		return load.Attempt{Client: w.nextPayer(), Call: call(yardstick.Transfer, yardstick.Payment{From: string(from), To: string(to), Amount: 1})}, nil
	}
}

func (w *workload) anyone() ledger.Account { return w.payees[w.random.IntN(len(w.payees))] }

func (w *workload) nextPayer() *fabric.Client {
	w.turn++
	return w.payers[w.turn%len(w.payers)].Client
}

func call(function string, request any) fabric.Call {
	return fabric.Call{Function: function, Request: request}
}
