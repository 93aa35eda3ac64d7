package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

var (
	payer   = rulestest.User(rulestest.A, "payer", ledger.Consumer)
	second  = rulestest.User(rulestest.A, "second", ledger.Consumer)
	payee   = rulestest.User(rulestest.B, "payee", ledger.Contributor)
	service = rulestest.User(rulestest.A, "gateway", ledger.Operator)
)

var errNoKey = errors.New("no key of this account")

// bank is a ledger on which payer and second have 1,000 micro-credits each, and a gateway's outbox on it.
type bank struct {
	t       *testing.T
	url     string
	network *fabrictest.Network
	clients map[ledger.Account]*fabric.Client
	service *fabric.Client

	db     *database.DB
	outbox *outbox.Outbox
}

func open(t *testing.T) *bank {
	return openAt(t, database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
}

func openAt(t *testing.T, url string) *bank {
	c := rulestest.New(t)
	c.OpenAll(t, payer, second, payee)
	c.SetSchedule(t)
	for _, user := range []ledger.Caller{payer, second} {
		c.Mint(t, user, 1000)
		var credits ledger.Page[token.Credit]
		answer := must(c.Evaluate(rulestest.Proposal(t, user, "token:Credits", token.Listing{Account: user.Account()}), ""))(t)
		require.NoError(t, ledger.DecodeAnswer(answer, &credits))
		c.Must(t, user, "token:Fold", token.Fold{ID: c.ID(), Credits: []string{credits.Items[0].ID}})
	}
	b := &bank{t: t, url: url, network: fabrictest.Start(t, c.Network), clients: map[ledger.Account]*fabric.Client{}}
	for _, user := range []ledger.Caller{payer, second} {
		b.clients[user.Account()] = b.network.Client(t, b.network.Enrol(t, user))
	}
	b.service = b.network.Client(t, b.network.Enrol(t, service))
	b.start()
	t.Cleanup(b.stop)
	return b
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

func (b *bank) start() {
	var err error
	b.db, err = database.Open(b.t.Context(), b.url)
	require.NoError(b.t, err)
	b.outbox, err = outbox.Open(b.t.Context(), b.db, outbox.Options{Service: b.service,
		Signer: func(_ context.Context, account ledger.Account) (outbox.Signer, error) {
			if client, ok := b.clients[account]; ok {
				return client, nil
			}
			return nil, errNoKey
		}})
	require.NoError(b.t, err)
	b.outbox.Hurry()
}

func (b *bank) stop() {
	b.outbox.Close()
	require.NoError(b.t, b.db.Close())
}

// closeAt takes the database away at a step.
func (b *bank) closeAt(step outbox.Step) {
	b.outbox.FailAt(func(at outbox.Step) {
		if at == step {
			b.db.Close()
		}
	})
}

// pay is a request to pay 10 micro-credits to payee, under a name that comes from the key.
func (b *bank) pay(from ledger.Caller, key string) outbox.Request {
	return b.payAmount(from, key, 10)
}

func (b *bank) payAmount(from ledger.Caller, key string, amount money.Amount) outbox.Request {
	document, err := ledger.Encode(token.Transfer{ID: b.outbox.Name(from.Account(), key), Payment: token.Payment{To: payee.Account(), Amount: amount}})
	require.NoError(b.t, err)
	return outbox.Request{Account: from.Account(), Key: key, Function: "token:Transfer", Document: document}
}

func (b *bank) submit(req outbox.Request) outbox.Entry {
	b.t.Helper()
	entry, err := b.outbox.Submit(b.t.Context(), req)
	require.NoError(b.t, err)
	return entry
}

// received is how many payments have arrived.
func (b *bank) received() int {
	b.t.Helper()
	holding, err := fabric.Query[token.Holding](b.t.Context(), b.service, "", "token:Balance", token.Owned{Account: payee.Account()})
	require.NoError(b.t, err)
	require.Zero(b.t, holding.Credits%10)
	return int(holding.Credits / 10)
}

func TestSubmit(t *testing.T) {
	t.Run("a write is committed with its answer", func(t *testing.T) {
		b := open(t)
		entry := b.submit(b.pay(payer, "k"))
		require.Equal(t, outbox.Committed, entry.State)
		require.False(t, entry.Repeated)
		require.Equal(t, 1, entry.Attempt)
		var spend token.Spend
		require.NoError(t, ledger.DecodeAnswer(entry.Response, &spend))
		require.Equal(t, entry.TxID, spend.Tx)
		require.NotZero(t, entry.Block)
		require.Equal(t, 1, b.received())
	})
	t.Run("the same key answers the first outcome, after a restart too", func(t *testing.T) {
		b := open(t)
		first := b.submit(b.pay(payer, "k"))
		b.stop()
		b.start()
		again := b.submit(b.pay(payer, "k"))
		require.True(t, again.Repeated)
		again.Repeated = false
		require.Equal(t, first, again)
		require.Equal(t, 1, b.received())
	})
	t.Run("the same key with another document or function is refused", func(t *testing.T) {
		b := open(t)
		b.submit(b.pay(payer, "k"))
		_, err := b.outbox.Submit(t.Context(), b.payAmount(payer, "k", 20))
		require.ErrorIs(t, err, outbox.ErrConflictingKey)
		other := b.pay(payer, "k")
		other.Function = "token:Redeem"
		_, err = b.outbox.Submit(t.Context(), other)
		require.ErrorIs(t, err, outbox.ErrConflictingKey)
		require.Equal(t, 1, b.received())
	})
	t.Run("many calls at once with one key make one transaction", func(t *testing.T) {
		b := open(t)
		before := len(b.network.Valid())
		var wait sync.WaitGroup
		entries := make([]outbox.Entry, 20)
		for i := range entries {
			wait.Go(func() { entries[i], _ = b.outbox.Submit(t.Context(), b.pay(payer, "k")) })
		}
		wait.Wait()
		for _, entry := range entries {
			require.Equal(t, outbox.Committed, entry.State)
			require.Equal(t, entries[0].TxID, entry.TxID)
		}
		require.Len(t, b.network.Valid(), before+1)
		require.Equal(t, 1, b.received())
	})
	t.Run("of two documents at once under one key one is refused", func(t *testing.T) {
		b := open(t)
		var wait sync.WaitGroup
		errs := make([]error, 2)
		for i, req := range []outbox.Request{b.payAmount(payer, "k", 10), b.payAmount(payer, "k", 20)} {
			wait.Go(func() { _, errs[i] = b.outbox.Submit(t.Context(), req) })
		}
		wait.Wait()
		require.ErrorIs(t, errors.Join(errs...), outbox.ErrConflictingKey)
		require.True(t, errs[0] == nil || errs[1] == nil, "%v", errs)
	})
	t.Run("the same key of another account is another write", func(t *testing.T) {
		b := open(t)
		b.submit(b.pay(payer, "k"))
		entry := b.submit(b.pay(second, "k"))
		require.False(t, entry.Repeated)
		require.Equal(t, 2, b.received())
		_, err := b.outbox.Get(t.Context(), payer.Account(), entry.TxID)
		require.ErrorIs(t, err, outbox.ErrNone)
	})
	t.Run("a fault is remembered", func(t *testing.T) {
		b := open(t)
		first := b.submit(b.payAmount(payer, "k", 5000))
		require.Equal(t, outbox.Failed, first.State)
		require.Equal(t, ledger.CodeInsufficient, first.Fault.Code)
		b.stop()
		b.start()
		again := b.submit(b.payAmount(payer, "k", 5000))
		require.True(t, again.Repeated)
		require.Equal(t, first.Fault, again.Fault)
	})
	t.Run("what reached nobody is not remembered", func(t *testing.T) {
		b := open(t)
		down := true
		b.network.Endorsing = func(string) error {
			if down {
				return status.Error(codes.Unavailable, "no peers")
			}
			return nil
		}
		_, err := b.outbox.Submit(t.Context(), b.pay(payer, "k"))
		unavailable := new(fabric.UnavailableError)
		require.ErrorAs(t, err, &unavailable)
		down = false
		require.Equal(t, outbox.Committed, b.submit(b.pay(payer, "k")).State)
	})
	t.Run("an account without a key here is told so", func(t *testing.T) {
		b := open(t)
		_, err := b.outbox.Submit(t.Context(), b.pay(payee, "k"))
		require.ErrorIs(t, err, errNoKey)
	})
	t.Run("writes of one account that conflict all come through", func(t *testing.T) {
		b := open(t)
		b.network.Hold(true) // so that all are endorsed on one state
		const n = 5
		var wait sync.WaitGroup
		entries := make([]outbox.Entry, n)
		for i := range entries {
			wait.Go(func() { entries[i], _ = b.outbox.Submit(t.Context(), b.pay(payer, fmt.Sprint("k", i))) })
		}
		require.Eventually(t, func() bool {
			count, err := b.outbox.Unfinished(t.Context())
			return err == nil && count == n
		}, time.Minute, time.Millisecond)
		b.network.Hold(false)
		require.NoError(t, b.network.Cut())
		wait.Wait()
		attempts := 0
		for _, entry := range entries {
			require.Equal(t, outbox.Committed, entry.State)
			attempts += entry.Attempt
		}
		require.Greater(t, attempts, n)
		require.Equal(t, n, b.received())
	})
	t.Run("whoever cannot wait gets the transaction's id, and its outcome later", func(t *testing.T) {
		b := open(t)
		b.network.Hold(true)
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan outbox.Entry, 1)
		go func() {
			entry, _ := b.outbox.Submit(ctx, b.pay(payer, "k"))
			answers <- entry
		}()
		gone, leave := context.WithCancel(t.Context())
		leave()
		require.Eventually(t, func() bool { // who comes with the same request and leaves at once tells when its id is known
			known, err := b.outbox.Submit(gone, b.pay(payer, "k"))
			return err == nil && known.TxID != ""
		}, time.Minute, time.Millisecond)
		cancel()
		entry := <-answers
		require.Equal(t, outbox.Submitted, entry.State)
		got, err := b.outbox.Get(t.Context(), payer.Account(), entry.TxID)
		require.NoError(t, err)
		require.Equal(t, outbox.Submitted, got.State)
		b.network.Hold(false)
		require.NoError(t, b.network.Cut())
		got, err = b.outbox.Wait(t.Context(), payer.Account(), entry.TxID)
		require.NoError(t, err)
		require.Equal(t, outbox.Committed, got.State)
	})
	t.Run("who does not wait at all learns the transaction's id all the same", func(t *testing.T) {
		b := open(t)
		b.network.Hold(true)
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		entry, err := b.outbox.Submit(ctx, b.pay(payer, "k"))
		require.NoError(t, err)
		require.Equal(t, outbox.Submitted, entry.State)
		again, err := b.outbox.Submit(ctx, b.pay(payer, "k"))
		require.NoError(t, err)
		require.Equal(t, entry.TxID, again.TxID)
		_, err = b.outbox.Submit(ctx, b.payAmount(payer, "k", 20))
		require.ErrorIs(t, err, outbox.ErrConflictingKey)
		b.network.Hold(false) // it may come to the orderers only now
		require.NoError(t, b.network.Cut())
		entry, err = b.outbox.Wait(t.Context(), payer.Account(), entry.TxID)
		require.NoError(t, err)
		require.Equal(t, outbox.Committed, entry.State)
	})
	t.Run("a transaction that the orderers refuse changed nothing, and the key may try again", func(t *testing.T) {
		b := open(t)
		refuse := true
		b.network.Submitting = func(string) (bool, error) {
			if refuse {
				return false, status.Error(codes.Aborted, "received unsuccessful response from orderer: status=FORBIDDEN, info=permission denied")
			}
			return true, nil
		}
		entry := b.submit(b.pay(payer, "k"))
		require.Equal(t, outbox.Failed, entry.State)
		require.Equal(t, outbox.CodeRefused, entry.Code)
		refuse = false
		require.Equal(t, outbox.Committed, b.submit(b.pay(payer, "k")).State)
		require.Equal(t, 1, b.received())
	})
	t.Run("a transaction that cannot be kept is not sent", func(t *testing.T) {
		b := open(t)
		before := len(b.network.Valid())
		b.closeAt(outbox.AfterEndorsing)
		_, err := b.outbox.Submit(t.Context(), b.pay(payer, "k"))
		require.ErrorContains(t, err, "was not sent")
		require.Len(t, b.network.Valid(), before)
	})
	t.Run("an outcome that cannot be kept is answered, and found again after a restart", func(t *testing.T) {
		b := open(t)
		b.closeAt(outbox.AfterOutcome)
		first := b.submit(b.pay(payer, "k"))
		require.Equal(t, outbox.Committed, first.State)
		b.stop()
		b.start()
		again := b.submit(b.pay(payer, "k"))
		require.Equal(t, []any{first.TxID, first.Block, first.Response}, []any{again.TxID, again.Block, again.Response})
		require.Equal(t, 1, b.received())
	})
	t.Run("a malformed key is refused", func(t *testing.T) {
		b := open(t)
		for _, key := range []string{"", "line\nbreak", "ü", string(make([]byte, 256))} {
			req := b.pay(payer, "k")
			req.Key = key
			_, err := b.outbox.Submit(t.Context(), req)
			require.Equal(t, ledger.CodeInvalid, ledger.AsFault(err).Code, "%q", key)
		}
	})
}

// submissions are the ways in which handing a transaction to the orderers may end.
var submissions = map[string]func(copies int) (ordered bool, err error){
	"as usual": func(int) (bool, error) { return true, nil },
	"failed, and ordered": func(int) (bool, error) {
		return true, status.Error(codes.Unavailable, "insufficient number of orderers")
	},
	"failed the first time":        func(copies int) (bool, error) { return copies > 0, failure(copies == 0) },
	"lost without an error":        func(copies int) (bool, error) { return copies > 0, nil },
	"ordered, and the answer lost": func(copies int) (bool, error) { return true, failure(copies == 0) },
}

func failure(failed bool) error {
	if !failed {
		return nil
	}
	return status.Error(codes.Unavailable, "connection lost")
}

func TestTheGatewayDiesBetweenTwoSteps(t *testing.T) {
	for _, step := range outbox.Steps {
		for how, submitting := range submissions {
			t.Run(fmt.Sprintf("%s, submission %s", step, how), func(t *testing.T) {
				b := open(t)
				var mutex sync.Mutex
				sent := map[string]int{}
				b.network.Submitting = func(txID string) (bool, error) {
					mutex.Lock()
					defer mutex.Unlock()
					sent[txID]++
					return submitting(sent[txID] - 1)
				}
				before := len(b.network.Valid())
				dead := make(chan struct{})
				var once sync.Once
				b.outbox.FailAt(func(at outbox.Step) {
					if at == step {
						once.Do(func() { close(dead) })
						runtime.Goexit()
					}
				})
				_, err := b.outbox.Submit(t.Context(), b.pay(payer, "k"))
				require.Error(t, err)
				<-dead
				b.stop()
				b.start()
				require.NoError(t, b.outbox.Recover(t.Context()))
				entry := b.submit(b.pay(payer, "k"))
				require.Equal(t, outbox.Committed, entry.State)
				require.Equal(t, 1, b.received())
				require.Len(t, b.network.Valid(), before+1)
				require.Len(t, sent, 1, "one envelope, whatever happened")
				count, err := b.outbox.Unfinished(t.Context())
				require.NoError(t, err)
				require.Zero(t, count)
			})
		}
	}
}

func TestRecover(t *testing.T) {
	t.Run("writes are finished although nobody asks for them", func(t *testing.T) {
		b := open(t)
		b.outbox.FailAt(func(at outbox.Step) {
			if at == outbox.AfterStoring {
				runtime.Goexit()
			}
		})
		for i := range 5 {
			_, err := b.outbox.Submit(t.Context(), b.pay(payer, fmt.Sprint("k", i)))
			require.Error(t, err)
		}
		b.stop()
		b.start()
		require.NoError(t, b.outbox.Recover(t.Context()))
		require.Eventually(t, func() bool { n, err := b.outbox.Unfinished(t.Context()); return err == nil && n == 0 }, time.Minute, time.Millisecond)
		require.Equal(t, 5, b.received())
	})
	t.Run("an envelope that was overtaken meanwhile is replaced under the same name, and both ids find it", func(t *testing.T) {
		b := open(t)
		b.outbox.FailAt(func(at outbox.Step) {
			if at == outbox.AfterStoring {
				runtime.Goexit()
			}
		})
		_, err := b.outbox.Submit(t.Context(), b.pay(payer, "k"))
		require.Error(t, err)
		b.outbox.FailAt(func(outbox.Step) {})
		b.submit(b.pay(payer, "other"))
		b.stop()
		b.start()
		entry := b.submit(b.pay(payer, "k"))
		require.Equal(t, outbox.Committed, entry.State)
		require.Equal(t, 2, entry.Attempt)
		require.Equal(t, 2, b.received())
	})
}

func TestPurge(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		b := open(t)
		o, err := outbox.Open(t.Context(), db, outbox.Options{Service: b.service, Now: func() time.Time { return now }, Keep: 48 * time.Hour,
			Signer: func(_ context.Context, account ledger.Account) (outbox.Signer, error) { return b.clients[account], nil }})
		require.NoError(t, err)
		defer o.Close()
		old, err := o.Submit(t.Context(), b.pay(payer, "old"))
		require.NoError(t, err)
		now = now.Add(47 * time.Hour)
		young, err := o.Submit(t.Context(), b.pay(payer, "young"))
		require.NoError(t, err)
		now = now.Add(2 * time.Hour)
		forgotten, err := o.Purge(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, forgotten)
		_, err = o.Get(t.Context(), payer.Account(), old.TxID)
		require.ErrorIs(t, err, outbox.ErrNone)
		_, err = o.Get(t.Context(), payer.Account(), young.TxID)
		require.NoError(t, err)
	})
}
