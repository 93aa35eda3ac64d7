package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// holding are the kinds of entry that [token.Tally] counts.
var holding = map[string]bool{"mint": true, "balance": true, "credit": true, "redemption": true, "tab": true, "fund": true, "claim": true, "pool-payout": true}

// supplyColumns are the columns of the table supply after the block, in the order of [totals].
var supplyColumns = []string{"issued", "redeemed", "balances", "credits", "escrow", "sessions", "claims", "payouts", "unreadable"}

// totals are sums by column. They can go below zero only where a majority that colludes wrote what no rule writes.
type totals [9]int64

// moved is a new value of an entry that holds credits, nil when it is deleted.
type moved struct {
	block uint64
	key   ledger.Key
	value []byte
}

// worth is what an entry adds to the totals.
func worth(key ledger.Key, value []byte) totals {
	if value == nil {
		return totals{}
	}
	var t token.Tally
	if t.Add(key, value) != nil {
		return totals{8: 1}
	}
	one := totals{}
	for i, amount := range []money.Amount{t.Issued, t.Redeemed, t.Balances, t.Credits, t.Escrow, t.Sessions, t.Claims, t.Payouts} {
		one[i] = int64(amount)
	}
	return one
}

// supply makes a row for each block of the batch that moved credits. Each entry takes the place of what it was before.
func (b *batch) supply(ctx context.Context, tx *database.Tx) ([][]any, error) {
	if len(b.moved) == 0 {
		return nil, nil
	}
	sums, err := lastTotals(ctx, tx)
	if err != nil {
		return nil, err
	}
	known := make(map[ledger.Key]totals, len(b.moved))
	var keys []ledger.Key
	for _, m := range b.moved {
		if _, asked := known[m.key]; !asked {
			known[m.key] = totals{}
			keys = append(keys, m.key)
		}
	}
	for rest := keys; len(rest) > 0; {
		some := rest[:min(len(rest), manyKeys)]
		rest = rest[len(some):]
		if err := worths(ctx, tx, some, known); err != nil {
			return nil, err
		}
	}
	var rows [][]any
	for i, m := range b.moved {
		after := worth(m.key, m.value)
		for column := range sums {
			sums[column] += after[column] - known[m.key][column]
		}
		known[m.key] = after
		if i+1 == len(b.moved) || b.moved[i+1].block != m.block {
			row := []any{int64(m.block)}
			for _, sum := range sums {
				row = append(row, sum)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// lastTotals are the totals after the last block that is indexed.
func lastTotals(ctx context.Context, tx *database.Tx) (sums totals, err error) {
	into := make([]any, len(sums))
	for i := range sums {
		into[i] = &sums[i]
	}
	err = tx.QueryRowContext(ctx, `SELECT `+strings.Join(supplyColumns, ", ")+` FROM supply ORDER BY block DESC LIMIT 1`).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return totals{}, nil
	}
	if err != nil {
		return totals{}, fmt.Errorf("read the supply: %w", err)
	}
	return sums, nil
}

// worths reads what entries are worth before the batch; those that are absent are left out.
func worths(ctx context.Context, tx *database.Tx, keys []ledger.Key, into map[ledger.Key]totals) error {
	err := current(ctx, tx, keys, func(key ledger.Key, value []byte) { into[key] = worth(key, value) })
	if err != nil {
		return fmt.Errorf("read what holds credits: %w", err)
	}
	return nil
}

// current reads the values that keys have before a batch.
func current(ctx context.Context, tx *database.Tx, keys []ledger.Key, each func(key ledger.Key, value []byte)) error {
	args := make([]any, len(keys))
	for i, key := range keys {
		args[i] = []byte(key)
	}
	rows, err := tx.QueryContext(ctx, `SELECT e.key, v.value FROM entries e JOIN versions v ON v.key = e.key AND v.place = e.changed
		WHERE e.key IN (?`+strings.Repeat(", ?", len(keys)-1)+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		each(ledger.Key(key), value)
	}
	return errors.Join(rows.Err(), rows.Close())
}
