package settling

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// house is the gateway of C, which hosts the market's model, without what answers requests. Crashing loses all of it but
// the meter's journal and the outbox's database.
type house struct {
	*rulestest.Market
	t       *testing.T
	network *fabrictest.Network
	parties map[ledger.Account]*fabric.Client
	records *catching
	archive *archive
	medium  journaltest.Memory
	file    string
	pages   map[merkle.Hash]payout.Page

	meter  *meter.Meter
	worker *Worker
	end    func()
}

// catching is an index that has every block as soon as it is asked.
type catching struct {
	*index.Index
	mutex  sync.Mutex
	chain  *blocktest.Chain
	blocks []*common.Block
}

func (c *catching) committed(b *memledger.Block) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.blocks = append(c.blocks, c.chain.Append(b))
}

func (c *catching) Entries(ctx context.Context, f index.Filter, page ledger.PageRequest) (ledger.Page[index.Entry], error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, b := range c.blocks {
		if err := c.Apply(ctx, b); err != nil {
			return ledger.Page[index.Entry]{}, err
		}
	}
	c.blocks = nil
	return c.Index.Entries(ctx, f, page)
}

// archive keeps what it was given, by settlement.
type archive struct {
	mutex sync.Mutex
	kept  map[string][]meter.Answer
	meter *meter.Meter
	err   error
}

func (a *archive) Archive(_ context.Context, s meter.Settlement) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.err != nil {
		return a.err
	}
	a.kept[s.ID] = nil
	for _, item := range s.Items {
		if item.Voucher.N == 0 {
			continue
		}
		answers, err := a.meter.Answers(item.Session, item.Before.N, int(item.Voucher.N-item.Before.N))
		if err != nil {
			return err
		}
		a.kept[s.ID] = append(a.kept[s.ID], answers...)
	}
	return nil
}

// self is the gateway's own account.
var self = rulestest.User(rulestest.C, "gateway", ledger.Operator)

func (h *house) Evaluate(ctx context.Context, function string, request any) ([]byte, error) {
	return h.client(self).Evaluate(ctx, fabric.Call{Function: function, Request: request, Endorsers: []string{rulestest.C}})
}

func (h *house) Submit(ctx context.Context, function string, request any) ([]byte, error) {
	committed, err := h.client(self).Submit(ctx, fabric.Call{Function: function, Request: request})
	if err != nil {
		return nil, err
	}
	return committed.Response, nil
}

func (h *house) Page(_ context.Context, _ claim.Claim, digest merkle.Hash) (payout.Page, error) {
	page, known := h.pages[digest]
	if !known {
		return page, ErrNoPage
	}
	return page, nil
}

func newHouse(t *testing.T) *house {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	chain := blocktest.New(fabrictest.Chaincode)
	records := &catching{chain: chain, blocks: chain.Blocks[:1:1]}
	records.Index, err = index.Open(t.Context(), db, fabrictest.Chaincode)
	require.NoError(t, err)
	h := &house{t: t, records: records, archive: &archive{kept: map[string][]meter.Answer{}}, parties: map[ledger.Account]*fabric.Client{},
		file: filepath.Join(t.TempDir(), "state.db"), pages: map[merkle.Hash]payout.Page{}}
	h.Market = rulestest.MarketOn(t, rulestest.Watched(t, records.committed, rulestest.A, rulestest.B, rulestest.C))
	h.network = fabrictest.Start(t, h.Network)
	for _, user := range []ledger.Caller{self, h.Host} {
		h.client(user)
	}
	h.open()
	t.Cleanup(func() { h.end() })
	return h
}

// open begins anew with what is on disk.
func (h *house) open() {
	db, err := database.Open(h.t.Context(), database.SQLiteURL(h.file))
	require.NoError(h.t, err)
	host := h.client(h.Host)
	box, err := outbox.Open(h.t.Context(), db, outbox.Options{Service: h.client(self),
		Signer: func(context.Context, ledger.Account) (outbox.Signer, error) { return host, nil }})
	require.NoError(h.t, err)
	h.meter, err = meter.Open(&h.medium, meter.Limits{Exposure: 1 << 40, Unsettled: 1000})
	require.NoError(h.t, err)
	h.archive.meter = h.meter
	h.worker = New(Options{Organisation: rulestest.C, Meter: h.meter, Archive: h.archive, Outbox: box, Functions: h, Index: h.records, Pages: h,
		Amount: 50_000, Age: time.Hour, Every: time.Hour, Refund: time.Hour, Courtesy: time.Minute, Now: func() time.Time { return h.Clock }})
	h.end = func() {
		box.Close()
		require.NoError(h.t, db.Close())
		require.NoError(h.t, h.meter.Close())
	}
}

func (h *house) restart() {
	h.end()
	h.open()
}

func (h *house) client(user ledger.Caller) *fabric.Client {
	if h.parties[user.Account()] == nil {
		h.parties[user.Account()] = h.network.Client(h.t, h.network.Enrol(h.t, user))
	}
	return h.parties[user.Account()]
}

// must calls a function as somebody, through the network.
func (h *house) must(user ledger.Caller, function string, request any) []byte {
	h.t.Helper()
	committed, err := h.client(user).Submit(h.t.Context(), fabric.Call{Function: function, Request: request})
	require.NoError(h.t, err)
	return committed.Response
}

// reader is a consumer of B with a session that the meter tracks.
type reader struct {
	session.Session
	house  *house
	user   ledger.Caller
	key    ed25519.PrivateKey
	tree   merkle.Frontier
	amount uint64
}

// reader opens a session with an escrow.
func (h *house) reader(escrow money.Amount) *reader {
	h.t.Helper()
	r := &reader{house: h, user: h.Consumer(h.t, rulestest.B, 10_000_000)}
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(h.t, err)
	r.key = key
	terms := h.Terms("", escrow)
	terms.Key, err = use.NewKey(public)
	require.NoError(h.t, err)
	require.NoError(h.t, ledger.DecodeAnswer(h.must(r.user, "session:Open", session.Open{Name: h.ID(), Terms: terms}), &r.Session))
	h.track(r)
	return r
}

func (h *house) track(r *reader) {
	signed := use.Terms{Account: string(r.Account), Host: string(r.Host), Card: r.Card, Key: r.Key, Window: uint16(r.Window),
		Expires: uint64(r.Expires.Unix()), Grace: uint16(r.Grace), Disclosure: r.Disclosure, Escrow: uint64(r.Escrow)}
	name, err := hex.DecodeString(r.Name)
	require.NoError(h.t, err)
	copy(signed.Name[:], name)
	card := meter.Card{Digest: h.Card.Digest, PriceIn: uint64(h.Card.PriceIn), PriceOut: uint64(h.Card.PriceOut), Data: uint64(h.Card.Parts.Data)}
	sid, err := h.meter.Track(fabrictest.Channel, signed, card)
	require.NoError(h.t, err)
	require.Equal(h.t, r.ID, sid)
}

// use has an answer of so many tokens made, at 5,000 micro-credits each, and signs for it.
func (r *reader) use(tokens uint64) {
	t := r.house.t
	t.Helper()
	ask := meter.Ask{Request: use.Request{Number: r.tree.Size(), Cap: 5_000 * tokens}}
	digest, err := ask.Request.Digest()
	require.NoError(t, err)
	ask.Voucher, ask.Signature = r.voucher(digest)
	_, err = r.house.meter.Admit(r.house.Clock, ask)
	require.NoError(t, err)
	a, err := r.house.meter.Commit(r.house.Clock, r.ID, ask.Request.Number, 0, tokens, merkle.Hash{1}, []byte("evidence"))
	require.NoError(t, err)
	hash, err := a.Leaf.Hash()
	require.NoError(t, err)
	r.tree.Append(hash)
	r.amount += a.Leaf.Fee
	require.NoError(t, r.house.meter.Vouch(r.voucher(merkle.Hash{})))
}

func (r *reader) voucher(request merkle.Hash) (use.Voucher, []byte) {
	v := use.Voucher{Session: r.ID, Card: r.Card, N: r.tree.Size(), Amount: r.amount, Root: r.tree.Root(), Request: request}
	signature, err := use.Sign(r.key, v)
	require.NoError(r.house.t, err)
	return v, signature
}

func (h *house) settle() ([]claim.Claim, error) {
	return h.worker.settle(h.t.Context(), h.worker.policy())
}

func (h *house) settled() []claim.Claim {
	h.t.Helper()
	done, err := h.settle()
	require.NoError(h.t, err)
	return done
}

// on is the session on the ledger.
func (h *house) on(r *reader) (d session.Detail) {
	answer, err := h.Evaluate(h.t.Context(), "session:Get", r.Named)
	require.NoError(h.t, err)
	require.NoError(h.t, ledger.DecodeAnswer(answer, &d))
	return d
}

// claims are the settlements on the ledger.
func (h *house) claims() (list []claim.Claim) {
	require.NoError(h.t, each(h.t.Context(), h.records, index.Filter{Kind: "claim"}, func(c claim.Claim, _ ledger.Key) error {
		list = append(list, c)
		return nil
	}))
	return list
}

func (h *house) conserved() {
	h.t.Helper()
	tally := h.Tally(h.t)
	require.NoError(h.t, tally.Check())
}

func TestSessionsAreSettledByAmountAgeAndExpiry(t *testing.T) {
	h := newHouse(t)
	much, little, idle := h.reader(1_000_000), h.reader(1_000_000), h.reader(1_000_000)
	much.use(10)
	little.use(2)
	done := h.settled()
	require.Len(t, done, 1)
	require.Equal(t, money.Amount(50_000), done[0].Fees, "what owes enough")
	require.Len(t, h.archive.kept[done[0].ID], 1)
	require.Equal(t, []byte("evidence"), h.archive.kept[done[0].ID][0].Evidence)
	require.Empty(t, h.settled())
	h.Clock = h.Clock.Add(time.Hour)
	require.Equal(t, money.Amount(10_000), h.settled()[0].Fees, "what is old enough")
	little.use(1)
	done, err := h.worker.SettleNow(t.Context())
	require.NoError(t, err)
	require.Equal(t, money.Amount(5_000), done[0].Fees, "what somebody wants settled")
	much.use(1)
	h.Clock = much.Expires
	done = h.settled()
	require.Len(t, done, 1)
	require.Equal(t, 3, done[0].Sessions)
	for _, r := range []*reader{much, little, idle} {
		require.Equal(t, session.Ended, h.on(r).State, "what has expired is closed")
	}
	require.Equal(t, money.Amount(1_000_000), h.on(idle).Tab.Funded-h.on(idle).Tab.Amount)
	require.Empty(t, h.settled())
	h.conserved()
}

func TestCrumbsWait(t *testing.T) {
	h := newHouse(t)
	r := h.reader(1_000_000)
	r.use(0) // costs nothing, so its data part is less than the ledger takes
	done, err := h.worker.SettleNow(t.Context())
	require.NoError(t, err)
	require.Empty(t, done)
	r.use(1)
	require.Len(t, h.settled(), 0, "less than what is settled unasked")
	done, err = h.worker.SettleNow(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, done[0].Uses)
}

func TestNearTheDeadlineEachSessionIsSettledAlone(t *testing.T) {
	h := newHouse(t)
	one, two := h.reader(100_000), h.reader(100_000)
	one.use(1)
	two.use(1)
	h.Clock = one.Ends().Add(-90 * time.Minute)
	require.Len(t, h.settled(), 2)
	require.Len(t, h.claims(), 2)
	h.conserved()
}

// crash is what a fail point answers.
var crash = errors.New("crash")

func TestACrashBetweenAnyTwoStepsLosesAndRepeatsNothing(t *testing.T) {
	for _, at := range []step{afterChoosing, afterArchiving, afterOutcome} {
		t.Run(string(at), func(t *testing.T) {
			h := newHouse(t)
			r := h.reader(1_000_000)
			r.use(10)
			h.worker.fail = func(s step) error {
				if s == at {
					return crash
				}
				return nil
			}
			_, err := h.settle()
			require.ErrorIs(t, err, crash)
			h.restart()
			pending := h.meter.Pending()
			require.Len(t, pending, 1)
			done := h.settled()
			require.Len(t, done, 1)
			require.Equal(t, pending[0].ID, done[0].ID)
			require.Len(t, h.claims(), 1)
			require.Equal(t, money.Amount(50_000), h.on(r).Tab.Amount)
			require.Len(t, h.archive.kept, 1)
			r.use(10)
			require.Len(t, h.settled(), 1)
			h.conserved()
		})
	}
}

func TestFailuresOfTheNetworkAreTriedAgainToOneEffect(t *testing.T) {
	h := newHouse(t)
	r := h.reader(1_000_000)
	r.use(10)
	h.archive.err = errors.New("the disk is full")
	_, err := h.settle()
	require.ErrorContains(t, err, "the disk is full")
	require.Empty(t, h.claims(), "nothing goes to the ledger whose evidence is not kept")
	h.archive.err = nil
	calls := 0
	h.network.Endorsing = func(string) error {
		if calls++; calls == 1 {
			return status.Error(codes.Unavailable, "peer is down")
		}
		return nil
	}
	h.network.Submitting = func(string) (bool, error) { return true, status.Error(codes.Unavailable, "connection lost") }
	require.Len(t, h.settled(), 1)
	require.Len(t, h.claims(), 1)
	require.Equal(t, money.Amount(50_000), h.on(r).Tab.Amount)
	h.conserved()
}

func TestASessionThatWasEndedKeepsNoOtherFromBeingSettled(t *testing.T) {
	h := newHouse(t)
	good, ended := h.reader(1_000_000), h.reader(1_000_000)
	good.use(10)
	ended.use(10)
	// As if the clocks of others were a day ahead.
	before := h.Clock
	h.Clock = ended.Ends()
	h.must(ended.user, "session:Expire", ended.Named)
	h.Clock = before
	done := h.settled()
	require.Len(t, done, 1)
	require.Equal(t, 1, done[0].Sessions)
	require.Equal(t, money.Amount(50_000), h.on(good).Tab.Amount)
	state, err := h.meter.Session(ended.ID)
	require.NoError(t, err)
	require.True(t, state.Ended, "the meter knows that it is lost")
	require.Empty(t, h.settled())
	h.conserved()
}

func TestASessionThatTheLedgerRefusesIsLeftOutForAWhile(t *testing.T) {
	h := newHouse(t)
	good, bad := h.reader(1_000_000), h.reader(20_000)
	topUp := session.TopUp{Name: bad.Name, ID: h.ID(), Amount: 100_000}
	require.NoError(t, h.meter.TopUp(bad.ID, topUp.ID, 100_000), "which the ledger does not know yet")
	good.use(10)
	bad.use(10)
	done := h.settled()
	require.Len(t, done, 1)
	require.Equal(t, 1, done[0].Sessions)
	require.Equal(t, money.Amount(50_000), h.on(good).Tab.Amount)
	h.must(bad.user, "session:TopUp", topUp)
	require.Empty(t, h.settled(), "it waits")
	h.Clock = h.Clock.Add(aside)
	require.Len(t, h.settled(), 1)
	require.Equal(t, money.Amount(50_000), h.on(bad).Tab.Amount)
	h.conserved()
}

func TestPagesAreReleasedOnceAQuorumAgrees(t *testing.T) {
	h := newHouse(t)
	r := h.reader(1_000_000)
	r.use(10)
	c := h.settled()[0]
	pages, err := payout.Pages([]payout.Payment{{Payee: string(h.Ann.Account()), Amount: 20_000}, {Payee: string(h.Bob.Account()), Amount: 10_000}})
	require.NoError(t, err)
	digest, err := pages[0].Digest()
	require.NoError(t, err)
	h.pages[digest] = pages[0]
	require.NoError(t, h.worker.release(t.Context()))
	require.Equal(t, claim.Open, h.claims()[0].State, "nobody has voted")
	v := claim.Vote{Scope: c.Scope, Revisions: []int{c.Revisions[0].Revision}, Table: digest, Rate: use.All}
	validator := rulestest.User(rulestest.B, "validator1", ledger.Validator)
	h.must(validator, "claim:Attest", claim.Attest{Named: c.Named, Vote: v})
	require.NoError(t, h.worker.release(t.Context()))
	require.Equal(t, claim.Released, h.claims()[0].State)
	require.NoError(t, h.worker.release(t.Context()))
	h.conserved()
}

func TestPagesOfOtherHostsAreLeftToThemForAWhile(t *testing.T) {
	h := newHouse(t)
	r := h.reader(1_000_000)
	r.use(10)
	c := h.settled()[0]
	h.worker.Organisation = rulestest.A
	pages, err := payout.Pages([]payout.Payment{{Payee: string(h.Ann.Account()), Amount: 30_000}})
	require.NoError(t, err)
	digest, err := pages[0].Digest()
	require.NoError(t, err)
	v := claim.Vote{Scope: c.Scope, Revisions: []int{c.Revisions[0].Revision}, Table: digest, Rate: use.All}
	h.must(rulestest.User(rulestest.B, "validator1", ledger.Validator), "claim:Attest", claim.Attest{Named: c.Named, Vote: v})
	h.pages[digest] = pages[0]
	require.NoError(t, h.worker.release(t.Context()))
	require.Equal(t, claim.Open, h.claims()[0].State)
	h.Clock = h.Clock.Add(time.Minute)
	require.NoError(t, h.worker.release(t.Context()))
	require.Equal(t, claim.Released, h.claims()[0].State)
}

func TestWhatSessionsOfOwnConsumersHoldComesBack(t *testing.T) {
	h := newHouse(t)
	r, other := h.reader(100_000), h.reader(100_000)
	r.use(2)
	h.settled()
	h.must(r.user, "session:TopUp", session.TopUp{Name: r.Name, ID: h.ID(), Amount: 7})
	h.worker.Organisation = rulestest.B
	require.NoError(t, h.worker.refund(t.Context()))
	require.Equal(t, session.Opened, h.on(r).State, "its host may still settle")
	h.Clock = r.Ends()
	require.NoError(t, h.worker.refund(t.Context()))
	for _, of := range []*reader{r, other} {
		d := h.on(of)
		require.Equal(t, session.Ended, d.State)
		require.True(t, d.Tab.Closed)
	}
	require.Zero(t, h.Tally(t).Sessions)
	blocks := h.Height()
	require.NoError(t, h.worker.refund(t.Context()))
	require.Equal(t, blocks, h.Height(), "and nothing comes back twice")
	h.conserved()
}

func TestWhatTheWorkerDoesItDoesByItself(t *testing.T) {
	h := newHouse(t)
	r := h.reader(1_000_000)
	r.use(10)
	h.worker.Every, h.worker.Refund = 5*time.Millisecond, 5*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.worker.Run(ctx); close(done) }()
	require.Eventually(t, func() bool { return len(h.claims()) == 1 }, time.Minute, 5*time.Millisecond)
	cancel()
	<-done
}
