package verify

import (
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// imbalance is a transaction that created or lost credits.
type imbalance struct {
	tx      uint64
	key     ledger.Key // a key that it changed
	message string
}

// conserved compares what a block's transactions did to the two sides of the conservation equation. The state before the
// first block is empty, so when every transaction keeps the balance, every block does.
func conserved(changes []replay.Change, chaincode string) []imbalance {
	sums, keys := map[uint64]*big.Int{}, map[uint64]ledger.Key{}
	var found []imbalance
	for _, c := range changes {
		if c.Namespace != chaincode || c.Collection != "" {
			continue
		}
		tx := c.Version.Tx
		for _, side := range []struct {
			entry *memledger.Entry
			sign  int64
		}{{c.Before, -1}, {c.After, 1}} {
			if side.entry == nil {
				continue
			}
			surplus, err := surplusOf(ledger.Key(c.Key), side.entry.Value)
			if err != nil {
				if side.sign > 0 {
					found = append(found, imbalance{tx: tx, key: ledger.Key(c.Key), message: err.Error()})
				}
				continue
			}
			if surplus == nil {
				continue
			}
			if sums[tx] == nil {
				sums[tx] = new(big.Int)
			}
			sums[tx].Add(sums[tx], surplus.Mul(surplus, big.NewInt(side.sign)))
			keys[tx] = ledger.Key(c.Key)
		}
	}
	total := new(big.Int)
	for _, sum := range sums {
		total.Add(total, sum)
	}
	if total.Sign() == 0 { // transactions that change one key share what it gains
		return found
	}
	for _, tx := range slices.Sorted(maps.Keys(sums)) {
		switch sums[tx].Sign() {
		case 1:
			found = append(found, imbalance{tx: tx, key: keys[tx], message: fmt.Sprintf("%s micro-credits were created", sums[tx])})
		case -1:
			found = append(found, imbalance{tx: tx, key: keys[tx], message: fmt.Sprintf("%s micro-credits were lost", new(big.Int).Neg(sums[tx]))})
		}
	}
	return found
}

// surplusOf is what an entry holds of credits, less what it issues, plus what it redeems; nil when it has to do with
// none.
func surplusOf(key ledger.Key, value []byte) (*big.Int, error) {
	var t token.Tally
	if err := t.Add(key, value); err != nil {
		return nil, err
	}
	if t == (token.Tally{}) {
		return nil, nil
	}
	sum := new(big.Int)
	for _, held := range [...]money.Amount{t.Balances, t.Credits, t.Escrow, t.Sessions, t.Claims, t.Payouts, t.Redeemed} {
		if held != 0 {
			sum.Add(sum, big.NewInt(int64(held)))
		}
	}
	return sum.Sub(sum, big.NewInt(int64(t.Issued))), nil
}
