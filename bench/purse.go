package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// coin is a credit that its owner has not spent.
type coin struct {
	owner  *party
	id     string
	amount money.Amount
}

// purse holds the credits from which a case pays. The one that has lain longest is spent first, so the change of a
// transaction has reached all peers before it is spent. It is safe for concurrent use.
type purse struct {
	guard sync.Mutex
	coins []coin
}

func (p *purse) put(c coin) {
	p.guard.Lock()
	defer p.guard.Unlock()
	p.coins = append(p.coins, c)
}

func (p *purse) take() (coin, error) {
	p.guard.Lock()
	defer p.guard.Unlock()
	if len(p.coins) == 0 {
		return coin{}, errors.New("no credit is left to pay from")
	}
	c := p.coins[0]
	p.coins = p.coins[1:]
	return c, nil
}

// spend makes an attempt of a call that takes an amount out of one credit. The change returns to the purse when the
// transaction is valid, otherwise the credit does.
func (p *purse) spend(amount money.Amount, by func(token.Source) fabric.Call) (load.Attempt, error) {
	c, err := p.take()
	if err != nil {
		return load.Attempt{}, err
	}
	change, err := c.amount.Sub(amount)
	if err != nil {
		return load.Attempt{}, fmt.Errorf("pay %v from a credit of %v: %w", amount, c.amount, err)
	}
	return load.Attempt{Client: c.owner.Client, Call: by(token.Source{Credits: []string{c.id}, Apart: true}),
		Settle: func(txID string, valid bool) {
			switch {
			case !valid:
				p.put(c)
			case change > 0:
				p.put(coin{owner: c.owner, id: txID, amount: change})
			}
		}}, nil
}

// coinOf is the size of the credits that payers begin with, in micro-credits: enough for any run.
const coinOf money.Amount = 1 << 40

// fill gives the payers credits, as many each as it takes to have count in all, from the treasury's balance.
func (c *consortium) fill(ctx context.Context, count int) (*purse, error) {
	p := &purse{}
	var payments []token.Payment
	for _, payer := range c.payers {
		payments = append(payments, token.Payment{To: payer.account, Amount: coinOf})
	}
	for len(p.coins) < count {
		paid, err := c.treasury.Submit(ctx, call("token:TransferBatch", token.Batch{ID: newID(), Payments: payments}))
		if err != nil {
			return nil, fmt.Errorf("give the payers credits: %w", err)
		}
		for _, payer := range c.payers {
			p.put(coin{owner: payer, id: paid.TxID, amount: coinOf})
		}
	}
	return p, nil
}
