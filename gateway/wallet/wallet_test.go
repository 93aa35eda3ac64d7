package wallet_test

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

var (
	start    = time.Unix(1_899_990_000, 0)
	right    = wallet.CheckFunc(func(use.Request, use.Leaf, []byte) error { return nil })
	spending = ed25519.NewKeyFromSeed(make([]byte, 32))
)

// tracked is a wallet with a session of a window of 2 and an escrow of 100,000, and a key alice with a budget of 60,000.
func tracked(t testing.TB, medium journal.Medium) (*wallet.Wallet, merkle.Hash) {
	w, err := wallet.Open(medium)
	require.NoError(t, err)
	key, err := use.NewKey(spending.Public())
	require.NoError(t, err)
	sid, err := w.Track("datanet", use.Terms{Account: "AILabMSP:reader1", Host: "NationalLibraryMSP:host1", Key: key, Window: 2, Expires: 1_900_000_000,
		Grace: 24, Escrow: 100_000}, wallet.Prices{In: 1_000_000, Out: 5_000_000})
	require.NoError(t, err)
	require.NoError(t, w.SetBudget("alice", wallet.Budget{Total: 60_000, Request: 40_000}))
	return w, sid
}

func answer(place uint64, a wallet.Ask, out uint64) wallet.Answer {
	return wallet.Answer{Place: place, Ask: a, Leaf: use.Leaf{Session: a.Voucher.Session, Number: a.Request.Number, Out: out, Fee: 5_000 * out}}
}

func TestAKeySpendsNoMoreThanItsBudget(t *testing.T) {
	medium := &journaltest.Memory{}
	w, sid := tracked(t, medium)
	ask := func(key string, cap uint64) (wallet.Ask, error) {
		return w.Ask(start, sid, key, cap, merkle.Hash{}, spending)
	}
	_, err := ask("bob", 1)
	require.ErrorIs(t, err, wallet.ErrBudget, "a key without a budget spends nothing")
	_, err = ask("alice", 40_001)
	require.ErrorIs(t, err, wallet.ErrLimit)
	first, err := ask("alice", 40_000)
	require.NoError(t, err)
	_, err = ask("alice", 20_001)
	require.ErrorIs(t, err, wallet.ErrBudget, "caps of waiting requests count")
	require.NoError(t, w.Accept(answer(0, first, 2), right))
	for range 3 {
		fees, caps := w.Spent("alice")
		require.Equal(t, []uint64{10_000, 0}, []uint64{fees, caps})
		require.NoError(t, w.Compact())
		w, err = wallet.Open(journaltest.Holding(medium.Bytes()))
		require.NoError(t, err)
	}
	w, err = wallet.Open(medium)
	require.NoError(t, err)
	second, err := ask("alice", 40_000)
	require.NoError(t, err)
	require.Greater(t, second.Request.Number, first.Request.Number, "a number is never used again")
	_, err = ask("alice", 10_000)
	require.NoError(t, err)
	_, err = ask("alice", 1)
	require.ErrorIs(t, err, wallet.ErrWindow)
	require.NoError(t, w.Drop(sid, second.Request.Number))
	_, err = w.Again(sid, second.Request.Number, spending)
	require.ErrorIs(t, err, wallet.ErrWaiting)
	require.NoError(t, w.Accept(answer(1, second, 1), right), "what was given up is still the consumer's own")
	_, err = w.Ask(time.Unix(1_900_000_000, 0), sid, "alice", 1, merkle.Hash{}, spending)
	require.ErrorIs(t, err, wallet.ErrEnded)
}

func TestAWrongAnswerStopsItsSessionForGood(t *testing.T) {
	for claimed, change := range map[string]func(*wallet.Answer){
		"another rate card":              func(a *wallet.Answer) { a.Leaf.Card[0]++ },
		"a fee that is not the units'":   func(a *wallet.Answer) { a.Leaf.Fee-- },
		"a fee above the cap":            func(a *wallet.Answer) { a.Leaf.Out, a.Leaf.Fee = 5, 25_000 },
		"another number":                 func(a *wallet.Answer) { a.Leaf.Number++ },
		"a request that was never sent":  func(a *wallet.Answer) { a.Leaf.Number++; a.Ask.Request.Number++ },
		"a request with another body":    func(a *wallet.Answer) { a.Ask.Request.Body[0]++ },
		"what the checker finds":         func(a *wallet.Answer) { a.Evidence = []byte("wrong") },
		"a request signed by no one":     func(a *wallet.Answer) { a.Leaf.Number, a.Ask.Request.Number, a.Ask.Signature = 7, 7, nil },
		"a number that was answered":     nil,
		"the latest place, another leaf": nil,
	} {
		t.Run(claimed, func(t *testing.T) {
			medium := &journaltest.Memory{}
			w, sid := tracked(t, medium)
			checker := wallet.CheckFunc(func(_ use.Request, _ use.Leaf, evidence []byte) error {
				if evidence != nil {
					return errors.New("the texts are others")
				}
				return nil
			})
			ask, err := w.Ask(start, sid, "alice", 20_000, merkle.Hash{1}, spending)
			require.NoError(t, err)
			a := answer(0, ask, 1)
			require.ErrorIs(t, w.Accept(answer(1, ask, 1), checker), wallet.ErrEarlier)
			if change != nil {
				change(&a)
			} else {
				require.NoError(t, w.Accept(a, checker))
				require.ErrorIs(t, w.Accept(a, checker), wallet.ErrSigned)
				if claimed == "a number that was answered" {
					a.Place = 1
				} else {
					a.Leaf.Receipt[0]++
				}
			}
			var wrong *wallet.WrongError
			require.ErrorAs(t, w.Accept(a, checker), &wrong)
			for range 2 {
				_, _, err = w.Voucher(sid, spending)
				require.ErrorIs(t, err, wallet.ErrStopped)
				_, err = w.Ask(start, sid, "alice", 1, merkle.Hash{}, spending)
				require.ErrorIs(t, err, wallet.ErrStopped)
				require.ErrorIs(t, w.Accept(answer(0, ask, 1), checker), wallet.ErrStopped)
				w, err = wallet.Open(journaltest.Holding(medium.Bytes()))
				require.NoError(t, err)
			}
		})
	}
}

func TestAWalletKnowsItsOwnRequestsByTheirSignature(t *testing.T) {
	medium := &journaltest.Memory{}
	w, sid := tracked(t, medium)
	before := medium.Bytes()
	ask, err := w.Ask(start, sid, "alice", 20_000, merkle.Hash{1}, spending)
	require.NoError(t, err)
	lost, err := wallet.Open(journaltest.Holding(before))
	require.NoError(t, err)
	require.NoError(t, lost.Accept(answer(0, ask, 2), right))
	v, signature, err := lost.Voucher(sid, spending)
	require.NoError(t, err)
	key, err := use.NewKey(spending.Public())
	require.NoError(t, err)
	require.NoError(t, key.Verify(v, signature))
	require.EqualValues(t, 10_000, v.Amount)
}

func TestARequestWhoseNumberACopyHasUsedIsGivenUp(t *testing.T) {
	medium := &journaltest.Memory{}
	w, sid := tracked(t, medium)
	before := medium.Bytes()
	ask, err := w.Ask(start, sid, "alice", 20_000, merkle.Hash{1}, spending)
	require.NoError(t, err)
	medium = journaltest.Holding(before)
	twin, err := wallet.Open(medium)
	require.NoError(t, err)
	require.NoError(t, twin.SetBudget("alice", wallet.Budget{Total: 1 << 40, Request: 1 << 30}))
	other, err := twin.Ask(start, sid, "alice", 20_000, merkle.Hash{2}, spending)
	require.NoError(t, err)
	require.Equal(t, ask.Request.Number, other.Request.Number)
	require.NoError(t, twin.Accept(answer(0, ask, 1), right), "the account has signed it")
	for range 2 {
		_, err = twin.Again(sid, other.Request.Number, spending)
		require.ErrorIs(t, err, wallet.ErrWaiting)
		fees, caps := twin.Spent("alice")
		require.Zero(t, fees, "it is not what this key has asked")
		require.Zero(t, caps)
		v, _, err := twin.Voucher(sid, spending)
		require.NoError(t, err)
		require.EqualValues(t, 1, v.N)
		twin, err = wallet.Open(medium.Restart(medium.Unsynced()))
		require.NoError(t, err)
	}
}

// FuzzReplay opens a journal that holds a session and an arbitrary record: it is applied or refused.
func FuzzReplay(f *testing.F) {
	medium := &journaltest.Memory{}
	w, sid := tracked(f, medium)
	require.NoError(f, w.TopUp(sid, "a", 1))
	ask, err := w.Ask(start, sid, "alice", 20_000, merkle.Hash{1}, spending)
	require.NoError(f, err)
	require.NoError(f, w.Accept(answer(0, ask, 1), right))
	whole := medium.Bytes()
	_, err = journal.Open(journaltest.Holding(whole), func(_ int64, record []byte) error { f.Add(record); return nil })
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, record []byte) {
		medium := journaltest.Holding(whole)
		log, err := journal.Open(medium, func(int64, []byte) error { return nil })
		require.NoError(t, err)
		if _, _, err := log.Append(record); err != nil {
			return
		}
		require.NoError(t, log.Flush())
		if w, err := wallet.Open(medium); err == nil {
			_, err := w.Session(sid)
			require.NoError(t, err)
		}
	})
}
