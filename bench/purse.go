package main

import (
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

// spend makes an attempt of a call that takes an amount out of the credit. If the transaction is valid the change goes
// into the purse and paid, unless nil, is told its id; otherwise the credit goes back.
func (c coin) spend(from *purse, amount money.Amount, by func(token.Source) fabric.Call, paid func(txID string)) (load.Attempt, error) {
	change, err := c.amount.Sub(amount)
	if err != nil {
		return load.Attempt{}, fmt.Errorf("pay %v from a credit of %v: %w", amount, c.amount, err)
	}
	return load.Attempt{Client: c.owner.Client, Call: by(token.Source{Credits: []string{c.id}, Apart: true}),
		Settle: func(txID string, valid bool) {
			if !valid {
				from.put(c)
				return
			}
			if change > 0 {
				from.put(coin{owner: c.owner, id: txID, amount: change})
			}
			if paid != nil {
				paid(txID)
			}
		}}, nil
}
