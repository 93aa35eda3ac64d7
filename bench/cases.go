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

// row is a case, which is a row of the table.
type row struct {
	name     string
	payments int // of one transaction
	burst    load.Burst
	expected string
}

// workload makes the attempts of all cases.
//
// Payers spend named credits and get the change as a new one, to be spent later, so in the case of the hot payee the
// payee is the only hot account. What the merchant received there it spends in the case of the hot payer.
type workload struct {
	*consortium
	random   *rand.Rand
	turn     int
	payments *purse // of the payers
	takings  *purse // of the merchant
}

func newWorkload(ctx context.Context, c *consortium, s settings) (*workload, error) {
	w := &workload{consortium: c, random: rand.New(rand.NewPCG(1, 2)), takings: &purse{}}
	var err error
	// Twice what is in flight, so that a credit rests between two spends.
	if w.payments, err = c.fill(ctx, 2*s.inFlight); err != nil {
		return nil, err
	}
	var accounts []string
	for _, account := range c.payees {
		accounts = append(accounts, string(account))
	}
	_, err = c.treasury.Submit(ctx, call(yardstick.Mint, yardstick.Grant{Accounts: accounts, Amount: 1 << 40}))
	if err != nil {
		return nil, fmt.Errorf("give the plain token's accounts balances: %w", err)
	}
	return w, nil
}

// rows are the cases, the no-op first.
func (w *workload) rows(s settings) []row {
	burst := func(next func() (load.Attempt, error)) load.Burst {
		return load.Burst{Attempts: s.transactions, InFlight: s.inFlight, Next: next}
	}
	batches := load.Burst{Attempts: max(1, s.transactions/batchesOf), InFlight: batchesInFlight, Next: w.batch}
	uniform, hot := w.anyone, func() ledger.Account { return w.payees[0] }
	return []row{
		{name: "no-op", burst: burst(w.nothing)},
		{name: "transfer, hot payee", payments: 1, burst: burst(w.toMerchant), expected: "≥ 90 % of no-op, 0 conflicts"},
		{name: "transfer, hot payer", payments: 1, burst: burst(w.fromMerchant), expected: "≥ 70 % of no-op"},
		{name: "transfer, uniform", payments: 1, burst: burst(w.toAnyone)},
		{name: fmt.Sprintf("batch of %d payees", len(w.payees)), payments: len(w.payees), burst: batches},
		{name: "plain token, hot payee", payments: 1, burst: burst(w.plain(uniform, hot)), expected: "about one per block"},
		{name: "plain token, hot payer", payments: 1, burst: burst(w.plain(hot, uniform)), expected: "about one per block"},
		{name: "plain token, uniform", payments: 1, burst: burst(w.plain(uniform, uniform))},
	}
}

func (w *workload) nothing() (load.Attempt, error) {
	return load.Attempt{Client: w.nextPayer(), Call: call(yardstick.Nothing, ledger.Nothing{})}, nil
}

// takingsOf is what the merchant gets by each payment, enough for thousands of its own.
const takingsOf money.Amount = 1 << 20

func (w *workload) toMerchant() (load.Attempt, error) {
	attempt, err := transfer(w.payments, w.merchant.account, takingsOf)
	settle := attempt.Settle
	attempt.Settle = func(txID string, valid bool) {
		settle(txID, valid)
		if valid {
			w.takings.put(coin{owner: w.merchant, id: txID, amount: takingsOf})
		}
	}
	return attempt, err
}

func (w *workload) fromMerchant() (load.Attempt, error) { return transfer(w.takings, w.anyone(), 1) }

func (w *workload) toAnyone() (load.Attempt, error) { return transfer(w.payments, w.anyone(), 1) }

// transfer pays from a credit of the purse, into which the change goes.
func transfer(from *purse, to ledger.Account, amount money.Amount) (load.Attempt, error) {
	return from.spend(amount, func(source token.Source) fabric.Call {
		return call("token:Transfer", token.Transfer{ID: newID(), Payment: token.Payment{To: to, Amount: amount}, Source: source})
	})
}

func (w *workload) batch() (load.Attempt, error) {
	var payments []token.Payment
	for _, payee := range w.payees {
		payments = append(payments, token.Payment{To: payee, Amount: 1})
	}
	return w.payments.spend(money.Amount(len(payments)), func(source token.Source) fabric.Call {
		return call("token:TransferBatch", token.Batch{ID: newID(), Payments: payments, Source: source})
	})
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
