package index

import (
	"github.com/datanet-consortium/datanet/gateway/block"
)

// spanBits: a span is 32 blocks.
const spanBits = 5

// activity is what transactions are counted by.
type activity struct {
	span     int64
	function string
	code     string
}

func (p place) span() int64 { return int64(p) >> (positions + spanBits) }

// shownRoles are the roles of an account as a certificate says them.
type shownRoles struct{ account, roles string }

// tenure is between which transactions they were shown.
type tenure struct{ began, latest place }

// addRoles notes the roles that the transaction's certificate shows, of an invalid transaction too: peers check the
// signature before all else.
func (b *batch) addRoles(at place, tx block.Transaction) {
	account := tx.Creator.Account()
	if account == "" || !signed[tx.Code] {
		return
	}
	key := shownRoles{string(account), clip(tx.Creator.Roles, maxColumn)}
	span, known := b.shown[key]
	if !known {
		span.began = at
	}
	span.latest = at
	b.shown[key] = span
}

// signed are the verdicts that come after the creator's certificate and signature were found good.
var signed = map[string]bool{"VALID": true, "MVCC_READ_CONFLICT": true, "PHANTOM_READ_CONFLICT": true, "ENDORSEMENT_POLICY_FAILURE": true, "DUPLICATE_TXID": true}

// latestTime is the latest time of a valid proposal of the block, 0 if there is none.
func latestTime(b block.Block) (clock int64) {
	for _, tx := range b.Transactions {
		if tx.Valid() && !tx.Configuration {
			clock = max(clock, microseconds(tx.Time))
		}
	}
	return clock
}

func (b *batch) activityRows() [][]any {
	rows := make([][]any, 0, len(b.activity))
	for a, count := range b.activity {
		rows = append(rows, []any{a.span, a.function, a.code, count})
	}
	return rows
}

func (b *batch) shownRows() [][]any {
	rows := make([][]any, 0, len(b.shown))
	for s, t := range b.shown {
		rows = append(rows, []any{s.account, s.roles, int64(t.began), int64(t.latest)})
	}
	return rows
}
