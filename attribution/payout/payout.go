// Package payout divides the data part of the fees of many paid answers among those whose data the
// answers show (docs/attribution.md, section 7). All of a settlement's receipts are divided at once, so
// that rounding happens once and the order of the receipts does not matter.
package payout

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/apportion"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

const million = 1_000_000

// A Use is one paid answer.
type Use struct {
	// Fee is what the answer cost, in micro-credits, not negative.
	Fee int64
	// DataPPM is the data part of the fee, in millionths.
	DataPPM uint32
	// CoveragePPM and Shares are those of the answer's receipt. For a receipt that does not count both
	// are empty, as they are for one without spans.
	CoveragePPM uint32
	Shares      []receipt.Share
	// Corpus is the model's corpus by datanet: to the pools of these goes what the receipt does not cover.
	Corpus []Datanet
	// Owner is the account of the model's owner, who gets what is not covered when the corpus has no token.
	Owner string
}

// A Datanet is a datanet's part of a corpus.
type Datanet struct {
	Name   string
	Tokens uint64
}

// Pool returns the name under which a datanet's pool is paid.
func Pool(datanet string) string { return attribution.PoolPrefix + datanet }

// A Payment is what one payee gets: an account, or a pool by the name that Pool gives.
type Payment struct {
	Payee string
	// Amount is in micro-credits, at least 1.
	Amount int64
}

// Split returns what each payee gets of the uses together, in bytewise order of the payees; payees who
// get nothing are left out. The amounts sum exactly to the data parts of all fees, rounded down once.
// It fails for a use that contradicts itself, and when the sum does not fit in 63 bits.
func Split(uses []Use) ([]Payment, error) {
	due := new(big.Int) // Σ d_r, in millionths of a micro-credit
	weights := make(map[string]*big.Rat)
	add := func(payee string, weight *big.Rat) {
		if weight.Sign() == 0 {
			return
		}
		if sum, known := weights[payee]; known {
			sum.Add(sum, weight)
		} else {
			weights[payee] = weight
		}
	}
	for i, use := range uses {
		if err := use.check(); err != nil {
			return nil, fmt.Errorf("split fees: use %d: %w", i, err)
		}
		d := product(big.NewInt(use.Fee), uint64(use.DataPPM))
		due.Add(due, d)
		covered := product(d, uint64(use.CoveragePPM))
		for _, share := range use.Shares {
			add(share.Account, new(big.Rat).SetInt(product(covered, uint64(share.PPM))))
		}
		rest := product(d, million*million)
		rest.Sub(rest, product(covered, million))
		use.addRest(rest, add)
	}
	total := new(big.Int).Quo(due, big.NewInt(million))
	if !total.IsInt64() {
		return nil, fmt.Errorf("split fees: a sum of %v micro-credits does not fit in 63 bits", total)
	}
	return divide(total, weights), nil
}

// addRest adds the weight of what a receipt does not cover.
func (u *Use) addRest(rest *big.Int, add func(payee string, weight *big.Rat)) {
	tokens := new(big.Int)
	for _, datanet := range u.Corpus {
		tokens.Add(tokens, new(big.Int).SetUint64(datanet.Tokens))
	}
	if tokens.Sign() == 0 {
		add(u.Owner, new(big.Rat).SetInt(rest))
		return
	}
	for _, datanet := range u.Corpus {
		add(Pool(datanet.Name), new(big.Rat).SetFrac(product(rest, datanet.Tokens), tokens))
	}
}

// divide splits total in proportion to exact weights.
func divide(total *big.Int, weights map[string]*big.Rat) []Payment {
	payees := make([]string, 0, len(weights))
	for payee := range weights {
		payees = append(payees, payee)
	}
	slices.Sort(payees)
	denominator := big.NewInt(1) // the least common one
	for _, payee := range payees {
		d := weights[payee].Denom()
		gcd := new(big.Int).GCD(nil, nil, denominator, d)
		denominator.Mul(denominator, new(big.Int).Quo(d, gcd))
	}
	whole := make([]*big.Int, len(payees))
	for i, payee := range payees {
		w := weights[payee]
		whole[i] = new(big.Int).Quo(denominator, w.Denom())
		whole[i].Mul(whole[i], w.Num())
	}
	var payments []Payment
	for i, part := range apportion.Split(total, whole) {
		if part.Sign() > 0 {
			payments = append(payments, Payment{Payee: payees[i], Amount: part.Int64()})
		}
	}
	return payments
}

func (u *Use) check() error {
	switch {
	case u.Fee < 0:
		return fmt.Errorf("its fee is negative: %d", u.Fee)
	case u.DataPPM > million:
		return fmt.Errorf("the data part of its fee is %d ppm, more than all", u.DataPPM)
	case u.CoveragePPM > million:
		return fmt.Errorf("its coverage is %d ppm, more than all", u.CoveragePPM)
	case u.CoveragePPM > 0 && len(u.Shares) == 0:
		return errors.New("it has coverage but no shares")
	}
	if err := checkShares(u.Shares); err != nil {
		return err
	}
	datanets := make(map[string]bool, len(u.Corpus))
	tokens := false
	for _, datanet := range u.Corpus {
		if err := attribution.CheckName(datanet.Name); err != nil {
			return fmt.Errorf("datanet %q %w", datanet.Name, err)
		}
		if datanets[datanet.Name] {
			return fmt.Errorf("datanet %q stands twice in its corpus", datanet.Name)
		}
		datanets[datanet.Name] = true
		tokens = tokens || datanet.Tokens > 0
	}
	if !tokens {
		if err := attribution.CheckAccount(u.Owner); err != nil {
			return fmt.Errorf("its corpus is empty and the model's owner %q %w", u.Owner, err)
		}
	}
	return nil
}

func checkShares(shares []receipt.Share) error {
	sum := uint64(0)
	for i, share := range shares {
		if err := attribution.CheckAccount(share.Account); err != nil {
			return fmt.Errorf("account %q %w", share.Account, err)
		}
		if i > 0 && share.Account <= shares[i-1].Account {
			return fmt.Errorf("account %q does not come after %q", share.Account, shares[i-1].Account)
		}
		sum += uint64(share.PPM)
	}
	if len(shares) > 0 && sum != receipt.Whole {
		return fmt.Errorf("its shares sum to %d ppm, not to all", sum)
	}
	return nil
}

func product(a *big.Int, b uint64) *big.Int {
	return new(big.Int).Mul(a, new(big.Int).SetUint64(b))
}
