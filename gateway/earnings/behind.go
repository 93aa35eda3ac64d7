package earnings

import (
	"context"
	"math/big"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution/apportion"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

func compare(a, b string) int { return strings.Compare(a, b) }

// Behind are the uses that a settlement paid for, with their receipts.
type Behind []Use

// Use is a paid answer. Its receipt is nil where nobody gives it.
type Use struct {
	Place   uint64
	Leaf    use.Leaf
	Receipt *receipt.Receipt
}

// Span is a passage for which an account was paid.
type Span struct {
	Session      merkle.Hash `json:"session"`
	Place        uint64      `json:"place" doc:"Of the use in its session."`
	Receipt      merkle.Hash `json:"receipt" doc:"The receipt's id."`
	Start        uint32      `json:"start" doc:"In tokens of the answer."`
	End          uint32      `json:"end"`
	Contribution string      `json:"contribution" doc:"In which it stands first."`
	Record       uint32      `json:"record"`
	Credit       uint64      `json:"credit" doc:"Of the account, in units of 2⁻¹⁶ bit."`
	Of           uint64      `json:"of" doc:"Of all accounts in the whole receipt."`
}

// Spans are the passages for which the account was paid.
func (b Behind) Spans(account ledger.Account) []Span {
	list := []Span{}
	for _, u := range b {
		if u.Receipt == nil {
			continue
		}
		whole := uint64(0)
		for _, s := range u.Receipt.Spans {
			whole += s.Credit
		}
		for _, s := range u.Receipt.Spans {
			for _, p := range s.Payees {
				if p.Account == string(account) {
					list = append(list, Span{Session: u.Leaf.Session, Place: u.Place, Receipt: u.Leaf.Receipt, Start: s.Start, End: s.End,
						Contribution: s.Home.Contribution, Record: s.Home.Record, Credit: p.Credit, Of: whole})
				}
			}
		}
	}
	return list
}

// addContributions divides what an account earned by a settlement's receipts among the contributions in which its spans
// stand first, in proportion to fee · coverage · credit, by largest remainder: so the parts sum to the credit. Without any
// receipt the whole has no contribution.
func addContributions(ctx context.Context, account ledger.Account, e Earning, behind func(context.Context, Earning) (Behind, error), add func(string, money.Amount, int) error) error {
	found, err := behind(ctx, e)
	if err != nil {
		return err
	}
	weights, counts := map[string]*big.Rat{}, map[string]int{}
	for _, u := range found {
		for _, s := range (Behind{u}).Spans(account) {
			w := new(big.Rat).SetFrac(new(big.Int).SetUint64(s.Credit), new(big.Int).SetUint64(max(s.Of, 1)))
			w.Mul(w, new(big.Rat).SetInt(new(big.Int).Mul(new(big.Int).SetUint64(u.Leaf.Fee), big.NewInt(int64(u.Receipt.CoveragePPM)))))
			if weights[s.Contribution] == nil {
				weights[s.Contribution] = new(big.Rat)
			}
			weights[s.Contribution].Add(weights[s.Contribution], w)
			counts[s.Contribution]++
		}
	}
	keys, denominator := make([]string, 0, len(weights)), big.NewInt(1)
	for key, w := range weights {
		if w.Sign() > 0 {
			keys = append(keys, key)
			gcd := new(big.Int).GCD(nil, nil, denominator, w.Denom())
			denominator.Mul(denominator, new(big.Int).Quo(w.Denom(), gcd))
		}
	}
	if len(keys) == 0 {
		return add("", e.Amount, 0)
	}
	slices.Sort(keys)
	parts := make([]*big.Int, len(keys))
	for i, key := range keys {
		w := weights[key]
		parts[i] = new(big.Int).Mul(w.Num(), new(big.Int).Quo(denominator, w.Denom()))
	}
	for i, part := range apportion.Split(big.NewInt(int64(e.Amount)), parts) {
		if err := add(keys[i], money.Amount(part.Int64()), counts[keys[i]]); err != nil {
			return err
		}
	}
	return nil
}
