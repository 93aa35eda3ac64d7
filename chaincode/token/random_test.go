package token_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// operations is how many random operations TestCreditsAreConserved plays; the soak run asks for more.
var operations = flag.Int("token.operations", 10_000, "random token operations to play")

// TestCreditsAreConserved plays random operations of several accounts, many to a block so that some conflict, and
// after every block compares the ledger with a plain book kept beside it. On failure rapid shrinks to a short list of
// operations.
func TestCreditsAreConserved(t *testing.T) {
	const perRun = 100
	played := 0
	for played < *operations {
		rapid.Check(t, func(t *rapid.T) { played += play(t, perRun) })
	}
	t.Logf("%d operations", played)
}

// book is what the accounts must have, kept by addition and subtraction only.
type book struct {
	balance map[ledger.Account]money.Amount
	credit  map[ledger.Account]map[string]money.Amount
	escrow  map[token.RedemptionName]money.Amount
}

func play(t *rapid.T, steps int) int {
	c := rulestest.New(t)
	issuer := c.SetSchedule(t)
	users := []ledger.Caller{ann, bob, carla}
	c.OpenAll(t, users...)
	b := book{balance: map[ledger.Account]money.Amount{}, credit: map[ledger.Account]map[string]money.Amount{},
		escrow: map[token.RedemptionName]money.Amount{}}
	for _, user := range users {
		b.credit[user.Account()] = map[string]money.Amount{}
		c.Mint(t, user, 1_000_000)
	}
	for _, entry := range c.State() {
		if kind, parts, _ := entry.Key.Split(); kind == "credit" {
			b.credit[ledger.Account(parts[0])][parts[1]] = 1_000_000
		}
	}
	done := 0
	for done < steps {
		size := rapid.IntRange(1, 8).Draw(t, "block")
		var waiting []func()
		for range size {
			if commit := step(t, c, &b, users, issuer); commit != nil {
				waiting = append(waiting, commit)
			}
			done++
		}
		block, err := c.Cut()
		require.NoError(t, err)
		if block == nil {
			continue
		}
		require.Len(t, block.Flags, len(waiting))
		for i, flag := range block.Flags {
			if flag == memledger.Valid {
				waiting[i]()
			} else {
				require.Equal(t, memledger.MVCCReadConflict, flag)
			}
		}
		b.compare(t, c)
	}
	return done
}

// step proposes one operation. When it was endorsed it waits for the next block, and the returned function enters it
// into the book. An operation that the rules must refuse is checked at once and returns nil.
func step(t *rapid.T, c *rulestest.Consortium, b *book, users []ledger.Caller, issuer ledger.Caller) (commit func()) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	me := user.Account()
	source := token.Source{Credits: b.pick(t, me)}
	source.Apart = len(source.Credits) > 0 && rapid.Bool().Draw(t, "apart")
	have := money.Amount(0)
	for _, id := range source.Credits {
		have += b.credit[me][id]
	}
	if !source.Apart {
		have += b.balance[me]
	}
	amount := money.Amount(rapid.Int64Range(1, int64(have)+int64(have)/4+2).Draw(t, "amount"))
	id := c.ID()
	switch operation := rapid.SampledFrom([]string{"transfer", "transfer", "batch", "fold", "redeem", "acknowledge", "return"}).Draw(t, "operation"); operation {
	case "transfer", "batch":
		var payments []token.Payment
		for _, payee := range users {
			if payee.Account() != me && (len(payments) == 0 || operation == "batch") {
				payments = append(payments, token.Payment{To: payee.Account(), Amount: amount})
			}
		}
		total := amount * money.Amount(len(payments))
		var envelope *memledger.Envelope
		if operation == "transfer" {
			envelope = propose(t, c, user, "token:Transfer", token.Transfer{ID: id, Payment: payments[0], Source: source}, total <= have)
		} else {
			envelope = propose(t, c, user, "token:TransferBatch", token.Batch{ID: id, Payments: payments, Source: source}, total <= have)
		}
		return b.spend(envelope, me, source, have, total, func(tx string) {
			for _, p := range payments {
				b.credit[p.To][tx] = p.Amount
			}
		})
	case "fold":
		if len(source.Credits) == 0 || source.Apart {
			return nil
		}
		envelope := propose(t, c, user, "token:Fold", token.Fold{ID: id, Credits: source.Credits}, true)
		return b.spend(envelope, me, source, have, 0, func(string) {})
	case "redeem":
		envelope := propose(t, c, user, "token:Redeem", token.Redeem{ID: id, Amount: amount, Source: source}, amount <= have)
		return b.spend(envelope, me, source, have, amount, func(string) {
			b.escrow[token.RedemptionName{Account: me, ID: id}] = amount
		})
	default:
		name, held, ok := b.oldest()
		if !ok {
			return nil
		}
		if operation == "acknowledge" {
			envelope := propose(t, c, issuer, "token:Acknowledge", token.Acknowledgement{RedemptionName: name, Reference: "R-1"}, true)
			return b.once(envelope, name, func(string) {})
		}
		envelope := propose(t, c, issuer, "token:Return", name, true)
		return b.once(envelope, name, func(tx string) { b.credit[name.Account][tx] = held })
	}
}

func propose(t *rapid.T, c *rulestest.Consortium, user ledger.Caller, function string, request any, possible bool) *memledger.Envelope {
	envelope, err := c.Propose(rulestest.Proposal(t, user, function, request))
	if !possible {
		require.Equal(t, ledger.CodeInsufficient, ledger.AsFault(err).Code, "%s %+v", function, request)
		return nil
	}
	require.NoError(t, err)
	require.NoError(t, c.Submit(envelope))
	return envelope
}

// pick chooses a few unspent credits, by their order so that a failure shrinks.
func (b *book) pick(t *rapid.T, a ledger.Account) []string {
	ids := sorted(b.credit[a])
	n := min(len(ids), rapid.IntRange(0, 3).Draw(t, "credits"))
	if n == 0 {
		return nil
	}
	from := rapid.IntRange(0, len(ids)-n).Draw(t, "from")
	return ids[from : from+n]
}

func (b *book) spend(e *memledger.Envelope, me ledger.Account, source token.Source, have, amount money.Amount, more func(tx string)) func() {
	if e == nil {
		return nil
	}
	return func() {
		for _, id := range source.Credits {
			delete(b.credit[me], id)
		}
		switch {
		case !source.Apart:
			b.balance[me] = have - amount
		case have > amount:
			b.credit[me][e.Transaction.ID] = have - amount
		}
		more(e.Transaction.ID)
	}
}

func (b *book) once(e *memledger.Envelope, name token.RedemptionName, more func(tx string)) func() {
	return func() {
		delete(b.escrow, name)
		more(e.Transaction.ID)
	}
}

func (b *book) oldest() (name token.RedemptionName, held money.Amount, ok bool) {
	for n, amount := range b.escrow {
		if !ok || n.ID < name.ID {
			name, held, ok = n, amount, true
		}
	}
	return name, held, ok
}

// compare checks conservation, and every account against the book.
func (b *book) compare(t *rapid.T, c *rulestest.Consortium) {
	tally := c.Tally(t)
	require.NoError(t, tally.Check())
	var escrow money.Amount
	for _, amount := range b.escrow {
		escrow += amount
	}
	require.Equal(t, escrow, tally.Escrow)
	state := map[string]money.Amount{}
	for _, entry := range c.State() {
		switch kind, _, _ := entry.Key.Split(); kind {
		case "balance":
			v, err := ledger.Value[token.Balance](entry.Key, entry.Value)
			require.NoError(t, err)
			if v.Amount > 0 {
				state[entry.Key.String()] = v.Amount
			}
		case "credit":
			v, err := ledger.Value[token.Credit](entry.Key, entry.Value)
			require.NoError(t, err)
			state[entry.Key.String()] = v.Amount
		}
	}
	want := map[string]money.Amount{}
	for a, amount := range b.balance {
		if amount > 0 {
			want["balance/"+string(a)] = amount
		}
	}
	for a, credits := range b.credit {
		for id, amount := range credits {
			want[fmt.Sprintf("credit/%s/%s", a, id)] = amount
		}
	}
	require.Equal(t, want, state)
}

func sorted(m map[string]money.Amount) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
