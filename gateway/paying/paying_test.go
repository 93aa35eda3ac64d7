package paying_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// world is the gateway of B that pays, the host of C, and a ledger in memory that both follow.
type world struct {
	*rulestest.Market
	t      *testing.T
	index  *index.Index
	reader ledger.Caller // of B
	host   *host

	medium   *journaltest.Memory
	repeats  *journaltest.Memory
	keys     string // folder
	wallet   *wallet.Wallet
	consumer *paying.Consumer
	server   *httptest.Server
	stop     func()
	patience time.Duration
	caller   paying.Caller
	logs     *safeBuffer
}

type safeBuffer struct {
	mutex sync.Mutex
	buf   bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.String()
}

const modelName = "AMSP/verse@1"

func newWorld(t *testing.T) *world { return newWorldOf(t, time.Minute) }

func newWorldOf(t *testing.T, patience time.Duration, asks ...func(*datanet.Content)) *world {
	w := &world{t: t, patience: patience, medium: &journaltest.Memory{}, repeats: &journaltest.Memory{}, keys: filepath.Join(t.TempDir(), "spending"), logs: &safeBuffer{}}
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w.index, err = index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	chain := blocktest.New("datanet")
	require.NoError(t, w.index.Apply(t.Context(), chain.Blocks[0]))
	w.Market = rulestest.MarketOn(t, rulestest.Watched(t, func(b *memledger.Block) {
		require.NoError(t, w.index.Apply(context.Background(), chain.Append(b)))
	}, rulestest.A, rulestest.B, rulestest.C), asks...)
	w.reader = w.Consumer(t, rulestest.B, 100_000_000)
	w.caller = paying.Caller{Account: w.reader.Account()}
	w.host = newHost(t, w.Card)
	w.start()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Log(w.logs.String())
		}
	})
	return w
}

// start opens the consumer's gateway on what it has on disk.
func (w *world) start() {
	var err error
	w.wallet, err = wallet.Open(w.medium)
	require.NoError(w.t, err)
	keys, err := paying.OpenKeys(w.keys)
	require.NoError(w.t, err)
	w.consumer, err = paying.New(paying.Options{Organisation: rulestest.B, Channel: "datanet", Index: w.index, Wallet: w.wallet, Keys: keys, Repeats: w.repeats, Host: w.host,
		DefaultTokens: 64, Patience: w.patience, Log: slog.New(slog.NewTextHandler(w.logs, nil)), Metrics: prometheus.NewRegistry()})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.consumer.Run(ctx); close(done) }()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		caller := w.caller
		if key := r.Header.Get("Key"); key != "" {
			budget := uint64(300_000)
			caller.Key, caller.Budget = key, &budget
		}
		w.consumer.Complete(rw, r, caller)
	}))
	w.stop = sync.OnceFunc(func() {
		w.server.Close()
		cancel()
		<-done
		require.NoError(w.t, w.consumer.Close())
	})
	w.soon(func() bool { return len(w.consumer.Models()) == 1 })
}

// crash loses what the wallet has not synced, and opens the gateway again.
func (w *world) crash() {
	w.stop()
	w.medium, w.repeats = w.medium.Restart(w.medium.Unsynced()), w.repeats.Restart(w.repeats.Unsynced())
	w.start()
}

func (w *world) soon(holds func() bool) {
	w.t.Helper()
	require.Eventually(w.t, holds, time.Minute, 5*time.Millisecond)
}

// open opens a session that the gateway pays from, and waits until both sides know it.
func (w *world) open(escrow money.Amount, window int) ledgersession.Session {
	w.t.Helper()
	text, err := w.consumer.MakeKey(w.reader.Account())
	require.NoError(w.t, err)
	terms := w.Terms("", escrow)
	require.NoError(w.t, terms.Key.UnmarshalText([]byte(text)))
	terms.Window = window
	var s ledgersession.Session
	require.NoError(w.t, ledger.DecodeAnswer(w.Must(w.t, w.reader, "session:Open", ledgersession.Open{Name: w.ID(), Terms: terms, Source: token.Source{}}), &s))
	w.host.track(s)
	w.soon(func() bool {
		list, err := w.consumer.Holdings(w.reader.Account())
		require.NoError(w.t, err)
		for _, h := range list {
			if h.Session.Name == s.Name {
				return true
			}
		}
		return false
	})
	return s
}

func (w *world) standing(s ledgersession.Session) wallet.Standing {
	w.t.Helper()
	standing, err := w.wallet.Session(s.ID)
	require.NoError(w.t, err)
	return standing
}

// said is an answer as a client sees it.
type said struct {
	status int
	header http.Header
	body   []byte
	text   string
	fault  *openai.Error
	answer *openai.Answer
}

func ask(text string, tokens int, stream bool) string {
	body, _ := json.Marshal(map[string]any{"model": modelName, "max_tokens": tokens, "stream": stream, // of texts and numbers, which cannot fail
		"messages": []map[string]string{{"role": "user", "content": text}}})
	return string(body)
}

// send sends a chat; headers are pairs.
func (w *world) send(ctx context.Context, body string, headers ...string) (said, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+openai.ChatPath, strings.NewReader(body))
	require.NoError(w.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.server.Client().Do(request)
	if err != nil {
		return said{}, err
	}
	defer response.Body.Close()
	s := said{status: response.StatusCode, header: response.Header}
	if s.body, err = io.ReadAll(response.Body); err != nil {
		return s, err
	}
	switch {
	case s.status != http.StatusOK:
		s.fault = openai.ReadError(s.status, s.body)
	case strings.HasPrefix(response.Header.Get("Content-Type"), openai.StreamType):
		reader := openai.NewReader(openai.Chat, bytes.NewReader(s.body))
		s.answer = &openai.Answer{}
		for {
			event, err := reader.Next()
			if err == io.EOF {
				return s, nil
			}
			if err != nil {
				s.fault, _ = err.(*openai.Error)
				return s, nil
			}
			s.text += event.Text
			if event.Datanet != nil {
				s.answer.Datanet = event.Datanet
			}
		}
	default:
		s.answer, err = openai.ReadAnswer(openai.Chat, s.body)
		require.NoError(w.t, err)
		s.text = s.answer.Text
	}
	return s, nil
}

func (w *world) must(body string, headers ...string) said {
	w.t.Helper()
	s, err := w.send(w.t.Context(), body, headers...)
	require.NoError(w.t, err)
	require.Nil(w.t, s.fault, "%s", s.body)
	return s
}

func TestAPersonsRequestIsPaidAndTheAnswerCarriesItsReceipt(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	for i, stream := range []bool{false, true, false} {
		got := w.must(ask("Who are we few?", 5, stream))
		require.Equal(t, "we few we happy few", strings.TrimSpace(got.text))
		d := got.answer.Datanet
		require.NotNil(t, d)
		require.EqualValues(t, i, d.Place)
		require.Equal(t, "29000", d.Fee, "four tokens in, five out")
		if !stream {
			require.Equal(t, d.ReceiptID.String(), got.header.Get(openai.ReceiptHeader))
		}
		require.EqualValues(t, i+1, w.standing(s).N)
	}
	at := w.standing(s)
	require.EqualValues(t, 87_000, at.Amount)
	require.Zero(t, at.Caps)
	require.Empty(t, at.Waiting)
	require.EqualValues(t, 2, w.host.meterOf(s).Vouched.N, "the third request brought the voucher for the first two")
	fees, caps := w.wallet.Spent("account " + string(w.reader.Account()))
	require.Equal(t, []uint64{87_000, 0}, []uint64{fees, caps})
}

func TestRequestsWaitForRoomAndUseAllSessions(t *testing.T) {
	w := newWorld(t)
	first, second := w.open(10_000_000, 2), w.open(10_000_000, 2)
	var all sync.WaitGroup
	failures := make(chan error, 60)
	for i := range 60 {
		all.Go(func() {
			s, err := w.send(t.Context(), ask(fmt.Sprint("number ", i), 3, i%2 == 0))
			if err == nil && s.fault != nil {
				err = s.fault
			}
			failures <- err
		})
	}
	all.Wait()
	for range 60 {
		require.NoError(t, <-failures)
	}
	a, b := w.standing(first), w.standing(second)
	require.EqualValues(t, 60, a.N+b.N)
	require.NotZero(t, a.N)
	require.NotZero(t, b.N)
	require.EqualValues(t, a.N, w.host.meterOf(first).Uses)
	require.EqualValues(t, b.Amount, w.host.meterOf(second).Fees)
}

func TestAWrongAnswerIsNotPaidAndStopsItsSession(t *testing.T) {
	for _, c := range []cheat{inflates, swaps, raises, rewrites, foreign, bare} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", c, stream), func(t *testing.T) {
				w := newWorld(t)
				s := w.open(1_000_000, 4)
				w.must(ask("a right one", 30, stream))
				w.host.cheats(c)
				got, err := w.send(t.Context(), ask("Who are we few?", 30, stream))
				require.NoError(t, err)
				require.NotNil(t, got.fault, "%s", got.body)
				require.Equal(t, openai.CodeHost, got.fault.Code)
				require.NotContains(t, string(got.body), "[DONE]")
				require.NotEmpty(t, w.standing(s).Stopped)
				require.EqualValues(t, 1, w.standing(s).N)
				got, err = w.send(t.Context(), ask("again", 5, stream))
				require.NoError(t, err)
				require.Equal(t, openai.CodeQuota, got.fault.Code)
				_, _, err = w.wallet.Voucher(s.ID, nil)
				require.ErrorIs(t, err, wallet.ErrStopped)
			})
		}
	}
}

func TestTwoLeavesForOnePlaceStopTheSession(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	first := w.must(ask("one", 5, false), paying.RepeatHeader, "a")
	require.EqualValues(t, 0, first.answer.Datanet.Place)
	w.host.cheats(twice)
	got, err := w.send(t.Context(), ask("two", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeHost, got.fault.Code)
	require.Contains(t, w.standing(s).Stopped, "another leaf")
}

func TestAnswersThatTheHostWithholdsBlockItsMoney(t *testing.T) {
	w := newWorldOf(t, 300*time.Millisecond)
	s := w.open(1_000_000, 2)
	w.host.cheats(withholds)
	_, err := w.send(t.Context(), ask("one", 5, false))
	require.NoError(t, err)
	w.host.cheats(honest)
	got, err := w.send(t.Context(), ask("two", 5, false))
	require.NoError(t, err)
	require.NotNil(t, got.fault)
	require.Zero(t, w.standing(s).N, "nothing beyond the gap is signed for")
	require.Zero(t, w.host.meterOf(s).Vouched.N)
	got, err = w.send(t.Context(), ask("three", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeRate, got.fault.Code, "the window is full of what is withheld")
	w.host.releases()
	w.soon(func() bool { return w.standing(s).N == 2 })
}

func TestAClientThatGoesAwayIsStillPaidFor(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	for i, stream := range []bool{true, false} {
		w.host.hold()
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := w.send(ctx, ask("Who are we few?", 5, stream))
			gone <- err
		}()
		w.host.awaitHeld()
		leave()
		require.Error(t, <-gone)
		w.host.resume()
		w.soon(func() bool { at := w.standing(s); return at.N == uint64(i+1) && len(at.Waiting) == 0 })
	}
	require.NotContains(t, w.logs.String(), "wrong")
}

func TestACrashBetweenAnswerAndVoucherLosesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	w.must(ask("one", 5, false))
	// Two answers are committed by the host, and never reach the consumer's journal.
	w.host.cheats(withholds)
	for i := range 2 {
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			w.soon(func() bool { return w.host.meterOf(s).Uses == uint64(i+2) })
			leave()
		}()
		_, _ = w.send(ctx, ask("lost", 5, true)) // the client may have got a part
	}
	w.host.releases()
	w.crash()
	w.soon(func() bool { at := w.standing(s); return at.N == w.host.meterOf(s).Uses && len(at.Waiting) == 0 })
	got := w.must(ask("four", 5, false))
	require.EqualValues(t, got.answer.Datanet.Place+1, w.standing(s).N)
	require.Equal(t, got.answer.Datanet.Place, w.host.meterOf(s).Vouched.N)
}

func TestASessionThatRestsIsVouchedFor(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	w.must(ask("one", 5, false))
	w.soon(func() bool { return w.host.meterOf(s).Vouched.N == 1 })
}

func TestAnAPIKeySpendsItsBudgetAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.open(10_000_000, 4)
	for i := range 10 { // each costs 29,000 of 300,000
		s, err := w.send(t.Context(), ask("Who are we few?", 5, false), "Key", "k")
		require.NoError(t, err)
		require.Nil(t, s.fault, "%d: %s", i, s.body)
	}
	s, err := w.send(t.Context(), ask("Who are we few?", 5, false), "Key", "k")
	require.NoError(t, err)
	require.Equal(t, openai.CodeBudget, s.fault.Code)
	require.Equal(t, http.StatusTooManyRequests, s.status)
	require.Equal(t, "insufficient_quota", s.fault.Type)
	fees, caps := w.consumer.Spent("k")
	require.Equal(t, []uint64{290_000, 0}, []uint64{fees, caps})
	w.must(ask("Who are we few?", 5, false), "Key", "another")
}

func TestTheSameIdempotencyKeyIsTheSameUse(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	body := ask("Who are we few?", 5, false)
	first := w.must(body, paying.RepeatHeader, "a")
	again := w.must(body, paying.RepeatHeader, "a")
	require.Equal(t, first.answer.Datanet, again.answer.Datanet)
	require.EqualValues(t, 1, w.standing(s).N)
	got, err := w.send(t.Context(), ask("another", 5, false), paying.RepeatHeader, "a")
	require.NoError(t, err)
	require.Equal(t, openai.CodeConflict, got.fault.Code)
	w.must(body, paying.RepeatHeader, "b")
	require.EqualValues(t, 2, w.standing(s).N)
}

func TestAnIdempotencyKeyOutlivesARestart(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	body := ask("Who are we few?", 5, false)
	first := w.must(body, paying.RepeatHeader, "a")
	w.crash()
	again := w.must(body, paying.RepeatHeader, "a")
	require.Equal(t, first.answer.Datanet, again.answer.Datanet)
	require.EqualValues(t, 1, w.standing(s).N)
	got, err := w.send(t.Context(), ask("another", 5, false), paying.RepeatHeader, "a")
	require.NoError(t, err)
	require.Equal(t, openai.CodeConflict, got.fault.Code)

	// What the host refuses costs nothing, and the key stands for nothing then.
	w.host.refuse(openai.Refuse(openai.CodeUpstream, "", "the server behind the model is down"), 1)
	got, err = w.send(t.Context(), body, paying.RepeatHeader, "b")
	require.NoError(t, err)
	require.Equal(t, openai.CodeUpstream, got.fault.Code)
	w.crash()
	w.must(body, paying.RepeatHeader, "b")
	require.EqualValues(t, 2, w.standing(s).N)
	require.NotContains(t, w.logs.String(), "wrong")
}

func TestAnIdempotencyKeyOfAWrongAnswerIsFree(t *testing.T) {
	w := newWorld(t)
	w.open(1_000_000, 4)
	body := ask("Who are we few?", 5, false)
	w.host.cheats(rewrites)
	got, err := w.send(t.Context(), body, paying.RepeatHeader, "a")
	require.NoError(t, err)
	require.Equal(t, openai.CodeHost, got.fault.Code)
	w.host.cheats(honest)
	s := w.open(1_000_000, 4)
	w.must(body, paying.RepeatHeader, "a")
	require.EqualValues(t, 1, w.standing(s).N)
}

// TestAClientThatRepeatsItselfAfterACrashPaysOnce loses the consumer's gateway between the host's answer and its client.
func TestAClientThatRepeatsItselfAfterACrashPaysOnce(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	for i, stream := range []bool{false, true} {
		body := ask("Who are we few?", 5, stream)
		key := fmt.Sprint("key ", i)
		w.host.cheats(withholds)
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			w.soon(func() bool { return w.host.meterOf(s).Uses == uint64(i+1) })
			leave()
		}()
		_, _ = w.send(ctx, body, paying.RepeatHeader, key) // the client may have got a part
		w.crash()
		w.host.releases()
		got := w.must(body, paying.RepeatHeader, key)
		require.EqualValues(t, i, got.answer.Datanet.Place)
		require.EqualValues(t, i+1, w.host.meterOf(s).Uses)
		w.soon(func() bool { at := w.standing(s); return at.N == uint64(i+1) && len(at.Waiting) == 0 })
	}
	require.NotContains(t, w.logs.String(), "wrong")
}

func TestWhatAHostRefusesCostsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	w.host.refuse(openai.Refuse(openai.CodeUpstream, "", "the server behind the model is down"), 1)
	got, err := w.send(t.Context(), ask("one", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeUpstream, got.fault.Code)
	at := w.standing(s)
	require.Zero(t, at.Caps)
	require.Empty(t, at.Waiting)
	for _, code := range []openai.Code{openai.CodeWindow, openai.CodeInProgress, openai.CodeSessionUnknown, openai.CodeBusy} {
		w.host.refuse(openai.Refuse(code, "", "not now"), 2)
		w.must(ask(string(code), 5, true))
	}
	require.EqualValues(t, 4, w.standing(s).N)
}

// TestASessionThatItsHostDoesNotKnowIsNotInTheWayOfOthers has a host whose gateway came back from an earlier state.
func TestASessionThatItsHostDoesNotKnowIsNotInTheWayOfOthers(t *testing.T) {
	w := newWorldOf(t, time.Second)
	first := w.open(1_000_000, 4)
	w.must(ask("one", 5, false))
	w.host.lose(first, true)
	for range 2 { // the first request is repeated for a while, and the second told at once
		got, err := w.send(t.Context(), ask("two", 5, false))
		require.NoError(t, err)
		require.Contains(t, []openai.Code{openai.CodeSessionUnknown, openai.CodeQuota}, got.fault.Code)
		require.Contains(t, got.fault.Message, "datanet session open")
	}
	second := w.open(1_000_000, 4)
	for i := range 5 {
		w.must(ask(fmt.Sprint("three ", i), 5, i%2 == 0))
	}
	require.EqualValues(t, 5, w.standing(second).N)
	require.EqualValues(t, 1, w.standing(first).N)

	// It knows the session again, as when its index has caught up.
	w.host.lose(first, false)
	w.soon(func() bool {
		got, err := w.send(t.Context(), ask("four", 5, false), paying.SessionHeader, first.Name)
		require.NoError(t, err)
		return got.fault == nil
	})
	before := w.standing(first).N
	w.must(ask("five", 5, false))
	w.must(ask("six", 5, false))
	require.Greater(t, w.standing(first).N, before, "both are used in turn")

	// It has fewer uses in its books than it has vouchers for.
	w.host.refuse(openai.Refuse(openai.CodeVoucher, "", "it is for 7 uses of 6"), 1)
	got, err := w.send(t.Context(), ask("seven", 5, false), paying.SessionHeader, first.Name)
	require.NoError(t, err)
	require.Equal(t, openai.CodeVoucher, got.fault.Code)
	require.Contains(t, got.fault.Message, "datanet session open")
	before = w.standing(first).N
	w.must(ask("eight", 5, false))
	w.must(ask("nine", 5, false))
	require.Equal(t, before, w.standing(first).N)
}

func TestWithoutASessionOrFundsThePersonIsTold(t *testing.T) {
	w := newWorld(t)
	got, err := w.send(t.Context(), ask("one", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeQuota, got.fault.Code)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	got, err = w.send(t.Context(), strings.Replace(ask("one", 5, false), "verse", "prose", 1))
	require.NoError(t, err)
	require.Equal(t, openai.CodeNotFound, got.fault.Code)
	s := w.open(30_000, 4)
	w.must(ask("Who are we few?", 5, false))
	got, err = w.send(t.Context(), ask("Who are we few?", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeQuota, got.fault.Code)
	require.Contains(t, got.fault.Message, "top it up")
	id := w.ID()
	w.Must(t, w.reader, "session:TopUp", ledgersession.TopUp{Name: s.Name, ID: id, Amount: 100_000})
	w.host.topUp(s, id, 100_000)
	w.soon(func() bool { return w.standing(s).Funded == 130_000 })
	w.must(ask("Who are we few?", 5, false))
	got, err = w.send(t.Context(), ask("Who are we few?", 5, false), paying.SessionHeader, "no such session")
	require.NoError(t, err)
	require.Equal(t, openai.CodeQuota, got.fault.Code)
}

// copied is another gateway that begins where this one stands, as from a copy of its folder.
func (w *world) copied(s ledgersession.Session) *world {
	other := *w
	other.medium, other.repeats = journaltest.Holding(w.medium.Bytes()), &journaltest.Memory{}
	other.start()
	w.t.Cleanup(other.stop)
	other.soon(func() bool { list, err := other.consumer.Holdings(s.Account); return err == nil && len(list) == 1 })
	return &other
}

func TestASessionUsedFromTwoGatewaysPaysForWhatItUsed(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	copied := w.copied(s)
	w.must(ask("one", 5, false))
	got, err := copied.send(t.Context(), ask("two", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeConflict, got.fault.Code, "its number was used for another request")
	require.Contains(t, got.fault.Message, "restored from an earlier state")
	require.Contains(t, got.fault.Message, "datanet session open")
	copied.must(ask("three", 5, false))
	got, err = w.send(t.Context(), ask("four", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeConflict, got.fault.Code)
	w.must(ask("five", 5, false))
	funds := w.host.meterOf(s)
	require.EqualValues(t, 3, funds.Uses)
	require.Equal(t, funds.Fees, w.standing(s).Amount, "each has taken the other's answers for the account's own")
	require.EqualValues(t, 2, copied.standing(s).N)
}

func TestWhatACopyHasAskedIsPaidForWhileARequestUnderItsNumberWaits(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	copied := w.copied(s)
	w.must(ask("one", 5, false))
	w.host.delay("two")
	late := make(chan said)
	go func() {
		got, _ := copied.send(t.Context(), ask("two", 5, false)) // without an answer if it fails
		late <- got
	}()
	w.soon(w.host.hasDelayed)
	copied.must(ask("three", 5, false)) // comes after the other's answer, which is fetched
	require.EqualValues(t, 2, copied.standing(s).N)
	w.host.delay("")
	got := <-late
	require.NotNil(t, got.fault)
	require.Equal(t, openai.CodeConflict, got.fault.Code)
	require.Empty(t, copied.standing(s).Stopped)
	require.Empty(t, copied.standing(s).Waiting)
}

func TestAModelThatCostsNothingNeedsNoSession(t *testing.T) {
	w := newWorldOf(t, time.Minute, rulestest.Open)
	free := w.Card.Publish
	free.Card, free.PriceIn, free.PriceOut = 2, 0, 0
	w.Must(t, w.Trainer, "model:Publish", free)
	w.Must(t, w.Host, "model:Accept", model.CardName{Named: free.Named, Card: 2})
	w.soon(func() bool { s, err := w.send(t.Context(), ask("one", 5, false)); return err == nil && s.fault == nil })
	for _, stream := range []bool{false, true} {
		got := w.must(ask("Who are we few?", 5, stream))
		require.Equal(t, "we few we happy few", strings.TrimSpace(got.text))
		require.Empty(t, got.answer.Datanet.Fee)
		require.NotZero(t, got.answer.Datanet.ReceiptID)
	}
	w.host.cheats(rewrites)
	got, err := w.send(t.Context(), ask("Who are we few?", 5, false))
	require.NoError(t, err)
	require.Equal(t, openai.CodeHost, got.fault.Code)
}

func TestTheCardInForceIsFollowed(t *testing.T) {
	w := newWorld(t)
	s := w.open(1_000_000, 4)
	w.Must(t, w.Trainer, "model:Publish", model.Publish{Named: w.Card.Named, Card: 2, PriceIn: 2_000_000, PriceOut: 5_000_000, Host: w.Host.Account(), HostPpm: 100_000, OwnerPpm: 150_000})
	w.Must(t, w.Host, "model:Accept", model.CardName{Named: w.Card.Named, Card: 2})
	got := w.must(ask("Who are we few?", 5, false))
	require.Equal(t, "29000", got.answer.Datanet.Fee, "a session keeps its card")
	w.Must(t, w.Trainer, "model:Retire", w.Card.Named)
	w.soon(func() bool { return len(w.consumer.Models()) == 0 })
	w.must(ask("Who are we few?", 5, false))
	require.EqualValues(t, 2, w.standing(s).N)
}
