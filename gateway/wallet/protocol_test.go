package wallet_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// cheat is how a party of a world breaks the protocol.
type cheat string

const (
	honest   cheat = "honest"
	inflates cheat = "the host inflates units"
	swaps    cheat = "the host swaps receipts"
	raises   cheat = "the host raises a fee on the way"
	foreign  cheat = "the host gives an answer to another request"
	repeats  cheat = "the host gives two leaves for one place"
	twins    cheat = "the consumer uses one session from two gateways"
)

// crashing is how many bytes a party that is about to crash still writes, at most: more than two records.
const crashing = 1200

// party is a machine on a medium that crashes.
type party struct {
	medium *journaltest.Memory
	budget int
}

// world is a host and a consumer with one session on a real ledger, and what is on the way between them.
type world struct {
	*rulestest.Market
	t       *rapid.T
	cheat   cheat
	cheated bool
	name    ledgersession.Named
	terms   use.Terms
	card    meter.Card
	sid     merkle.Hash
	key     ed25519.PrivateKey

	host, consumer   party
	meter            *meter.Meter
	wallets          []*wallet.Wallet // one, or two that each believe to be alone
	asks, slow       []wallet.Ask
	answers          []wallet.Answer
	vouchers         []vouched
	bodies           map[merkle.Hash]uint64 // their output's tokens
	lies             map[uint64]bool        // places of wrong leaves in the host's log
	promised         uint64                 // leaves whose answers have left
	taken            uint64                 // uses for which a voucher was acknowledged
	signed           map[uint64]use.Voucher // what left the consumer, by n
	settlements, seq int
	states           [2]struct { // of the host, and of what replay makes of its journal
		funds   meter.Funds
		answers []meter.Answer
		pending []meter.Settlement
	}
}

type vouched struct {
	use.Voucher
	signature []byte
}

func (w *world) check(r use.Request, l use.Leaf, evidence []byte) error {
	out, ok := w.bodies[r.Body]
	switch {
	case !ok || !bytes.Equal(evidence, r.Body[:]):
		return errors.New("the texts are others")
	case l.In != 1 || l.Out != out:
		return errors.New("the units are others")
	case l.Receipt != merkle.Hash(sha256.Sum256(r.Body[:])):
		return errors.New("the receipt is another one")
	}
	return nil
}

func (w *world) fee(out uint64) uint64 { return 1_000 + 5_000*out }

func open(t *rapid.T, m *rulestest.Market, c cheat) *world {
	w := &world{Market: m, t: t, cheat: c, bodies: map[merkle.Hash]uint64{}, lies: map[uint64]bool{}, signed: map[uint64]use.Voucher{}}
	consumer := m.Consumer(t, rulestest.B, 300_000)
	seed := sha256.Sum256([]byte(m.ID()))
	w.key = ed25519.NewKeyFromSeed(seed[:])
	terms := m.Terms("", 200_000)
	key, err := use.NewKey(w.key.Public())
	require.NoError(t, err)
	terms.Key, terms.Window = key, rapid.IntRange(1, 5).Draw(t, "window")
	var s ledgersession.Session
	name := m.ID()
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, consumer, "session:Open", ledgersession.Open{Name: name, Terms: terms}), &s))
	w.name, w.sid = s.Named, s.ID
	w.terms = use.Terms{Account: string(s.Account), Host: string(s.Host), Card: s.Card, Key: key, Window: uint16(s.Window), Expires: uint64(s.Expires.Unix()),
		Grace: uint16(s.Grace), Disclosure: s.Disclosure, Escrow: uint64(s.Escrow)}
	_, err = hex.Decode(w.terms.Name[:], []byte(name))
	require.NoError(t, err)
	w.card = meter.Card{Digest: m.Card.Digest, PriceIn: uint64(m.Card.PriceIn), PriceOut: uint64(m.Card.PriceOut), Data: 600_000}
	w.host.medium, w.consumer.medium = &journaltest.Memory{}, &journaltest.Memory{}
	w.openMeter()
	sid, err := w.meter.Track(channel, w.terms, w.card)
	require.NoError(t, err)
	require.Equal(t, w.sid, sid, "both sides and the ledger name the session alike")
	w.openWallet()
	_, err = w.wallets[0].Track(channel, w.terms, wallet.Prices{In: w.card.PriceIn, Out: w.card.PriceOut})
	require.NoError(t, err)
	require.NoError(t, w.wallets[0].SetBudget("alice", wallet.Budget{Total: 1 << 40, Request: 1 << 30}))
	if c == twins {
		twin, err := wallet.Open(journaltest.Holding(w.consumer.medium.Bytes()))
		require.NoError(t, err)
		w.wallets = append(w.wallets, twin)
	}
	return w
}

const channel = "datanet"

func (w *world) openMeter() (err error) {
	w.meter, err = meter.Open(w.host.medium, meter.Limits{Exposure: 1 << 40, Unsettled: 1 << 20})
	require.NoError(w.t, err)
	return err
}

func (w *world) openWallet() {
	first, err := wallet.Open(w.consumer.medium)
	require.NoError(w.t, err)
	w.wallets = append([]*wallet.Wallet{first}, w.wallets[min(1, len(w.wallets)):]...)
}

// restarted brings up again whoever has crashed, and tells whether err was a crash.
func (w *world) restarted(err error) bool {
	if !errors.Is(err, journaltest.ErrCrashed) {
		return false
	}
	for _, p := range []*party{&w.host, &w.consumer} {
		if p.medium.Crashed() {
			p.medium = p.medium.Restart(rapid.IntRange(0, p.medium.Unsynced()).Draw(w.t, "lost"))
			if p == &w.host {
				w.slow = nil // whatever the process was at has ended with it
				w.openMeter()
			} else {
				w.openWallet()
			}
		}
	}
	return true
}

func (w *world) arm(p *party) {
	p.budget = rapid.IntRange(0, crashing).Draw(w.t, "crashes after")
	p.medium.Budget = &p.budget
}

// pick takes one of what is on the way; it may stay there too.
func pick[M any](t *rapid.T, on *[]M) (m M, ok bool) {
	if len(*on) == 0 {
		return m, false
	}
	i := rapid.IntRange(0, len(*on)-1).Draw(t, "message")
	m = (*on)[i]
	if rapid.IntRange(0, 3).Draw(t, "fate") > 0 {
		*on = slices.Delete(*on, i, i+1)
	}
	return m, true
}

func (w *world) wallet() *wallet.Wallet {
	return w.wallets[rapid.IntRange(0, len(w.wallets)-1).Draw(w.t, "wallet")]
}

// leaves notes a voucher that leaves the consumer: it never contradicts an earlier one, and covers no wrong leaf.
func (w *world) leaves(v use.Voucher) {
	if w.cheat == twins {
		return
	}
	v.Request = merkle.Hash{}
	if earlier, ok := w.signed[v.N]; ok {
		require.Equal(w.t, earlier, v, "the consumer never signs two things for one place")
	}
	w.signed[v.N] = v
	for place := range w.lies {
		require.LessOrEqual(w.t, v.N, place, "nothing wrong is signed for")
	}
}

func (w *world) ask() {
	w.seq++
	body := merkle.Hash(sha256.Sum256([]byte{byte(w.seq), byte(w.seq >> 8), 7}))
	out := rapid.Uint64Range(0, 3).Draw(w.t, "out")
	cap := w.fee(out) + rapid.Uint64Range(0, 5_000).Draw(w.t, "room")
	w.bodies[body] = out
	a, err := w.wallet().Ask(w.Clock, w.sid, "alice", cap, body, w.key)
	if err == nil {
		w.leaves(a.Voucher)
		w.asks = append(w.asks, a)
		return
	}
	w.expected(err, wallet.ErrWindow, wallet.ErrFunds, wallet.ErrStopped)
}

// expected accepts a crash, and errors that the protocol has for the situation.
func (w *world) expected(err error, list ...error) {
	if w.restarted(err) {
		return
	}
	for _, e := range list {
		if errors.Is(err, e) {
			return
		}
	}
	require.NoError(w.t, err)
}

func (w *world) again() {
	c := w.wallet()
	st, err := c.Session(w.sid)
	require.NoError(w.t, err)
	for _, r := range st.Waiting {
		a, err := c.Again(w.sid, r.Number, w.key)
		if err != nil {
			w.expected(err, wallet.ErrStopped)
			return
		}
		w.leaves(a.Voucher)
		w.asks = append(w.asks, a)
	}
}

func (w *world) deliver() {
	a, ok := pick(w.t, &w.asks)
	if !ok {
		return
	}
	w.admit(a)
}

func (w *world) admit(a wallet.Ask) {
	stored, err := w.meter.Admit(w.Clock, meter.Ask(a))
	switch {
	case err != nil:
		list := []error{meter.ErrInProgress, meter.ErrWindow, meter.ErrSettled, meter.ErrFunds}
		if w.cheat == twins {
			list = append(list, meter.ErrConflict, meter.ErrVoucher)
		}
		w.expected(err, list...)
	case stored != nil:
		w.send(*stored)
	default:
		w.finish(a)
	}
}

// finish produces an answer at once or not at all, and lies when the host cheats.
func (w *world) finish(a wallet.Ask) {
	if rapid.IntRange(0, 5).Draw(w.t, "abort") == 0 {
		require.NoError(w.t, w.meter.Abort(w.sid, a.Request.Number))
		return
	}
	if rapid.IntRange(0, 5).Draw(w.t, "slow") == 0 {
		w.slow = append(w.slow, a)
		return
	}
	w.commit(a)
}

// late ends a request that took long.
func (w *world) late() {
	if len(w.slow) > 0 {
		a := w.slow[0]
		w.slow = w.slow[1:]
		w.commit(a)
	}
}

func (w *world) commit(a wallet.Ask) {
	in, out, receipt := uint64(1), w.bodies[a.Request.Body], merkle.Hash(sha256.Sum256(a.Request.Body[:]))
	evidence := a.Request.Body[:]
	lie := !w.cheated && (w.cheat == inflates || w.cheat == swaps || w.cheat == foreign) && rapid.Bool().Draw(w.t, "lie")
	if lie {
		switch w.cheat {
		case inflates:
			in++
			if fee, err := use.Fee(in, out, w.card.PriceIn, w.card.PriceOut); err != nil || fee > a.Request.Cap {
				lie, in = false, 1
			}
		case swaps:
			receipt[0]++
		case foreign:
			evidence = []byte("the answer to somebody else")
		}
	}
	st, err := w.meter.Session(w.sid)
	require.NoError(w.t, err)
	if lie {
		w.lies[st.Uses], w.cheated = true, true
	}
	answer, err := w.meter.Commit(w.Clock, w.sid, a.Request.Number, in, out, receipt, evidence)
	if err != nil {
		w.expected(err, meter.ErrNoRequest)
		if now, err := w.meter.Session(w.sid); lie && err == nil && now.Uses == st.Uses {
			delete(w.lies, st.Uses)
			w.cheated = false
		}
		return
	}
	w.promised = answer.Place + 1
	w.send(answer)
}

func (w *world) send(a meter.Answer) {
	sent := wallet.Answer{Place: a.Place, Leaf: a.Leaf, Ask: wallet.Ask(a.Ask), Evidence: a.Evidence}
	if !w.cheated && w.cheat == raises {
		sent.Leaf.Fee++
	}
	if w.cheat == repeats && rapid.Bool().Draw(w.t, "repeat") {
		other := sent
		other.Leaf.Receipt[0]++
		w.answers = append(w.answers, other)
	}
	w.answers = append(w.answers, sent)
}

func (w *world) receive() {
	a, ok := pick(w.t, &w.answers)
	if !ok {
		return
	}
	w.accept(w.wallet(), a)
}

func (w *world) accept(c *wallet.Wallet, a wallet.Answer) {
	err := c.Accept(a, wallet.CheckFunc(w.check))
	list := []error{wallet.ErrEarlier, wallet.ErrSigned, wallet.ErrStopped}
	if wrong := (*wallet.WrongError)(nil); errors.As(err, &wrong) {
		require.NotContains(w.t, []cheat{honest, twins}, w.cheat, "an honest host is never accused: %v", err)
		st, err := c.Session(w.sid)
		if w.restarted(err) {
			return
		}
		if !w.consumer.medium.Crashed() {
			require.NotEmpty(w.t, st.Stopped)
		}
		w.restarted(journaltest.ErrCrashed)
		return
	}
	if err == nil {
		require.False(w.t, w.lies[a.Place])
		return
	}
	w.expected(err, list...)
}

func (w *world) vouch() {
	v, signature, err := w.wallet().Voucher(w.sid, w.key)
	if err != nil {
		w.expected(err, wallet.ErrStopped)
		return
	}
	w.leaves(v)
	w.vouchers = append(w.vouchers, vouched{v, signature})
}

func (w *world) present() {
	v, ok := pick(w.t, &w.vouchers)
	if !ok {
		return
	}
	if err := w.meter.Vouch(v.Voucher, v.signature); err != nil {
		if w.cheat == honest {
			w.expected(err)
		} else {
			w.expected(err, meter.ErrVoucher)
		}
		return
	}
	if w.cheat != twins {
		w.taken = max(w.taken, v.N)
	}
}

func (w *world) fetch() {
	c := w.wallet()
	st, err := c.Session(w.sid)
	require.NoError(w.t, err)
	list, err := w.meter.Answers(w.sid, st.N, rapid.IntRange(1, 3).Draw(w.t, "most"))
	if err != nil {
		w.expected(err, meter.ErrSettled)
		return
	}
	for _, a := range list {
		w.send(a)
	}
}

func (w *world) compact() {
	if rapid.Bool().Draw(w.t, "host") {
		w.expected(w.meter.Compact())
	} else {
		w.expected(w.wallets[0].Compact())
	}
}

// settle lets the host choose, sends what waits to the ledger as often as it takes, and tells the outcome.
func (w *world) settle() {
	if _, err := w.meter.Settle(w.Clock, w.ID(), meter.Policy{Sessions: 10, Funds: 10}); err != nil {
		w.expected(err)
	}
	for _, s := range w.meter.Pending() {
		req := claim.Settle{ID: s.ID, Model: w.CardName(), Card: s.Card}
		for _, item := range s.Items {
			require.Equal(w.t, w.sid, item.Session)
			p := ledgersession.Presented{Named: w.name, Close: item.Close, Funds: item.TopUps}
			if item.Voucher.N > 0 {
				v := item.Voucher
				p.N, p.Amount, p.Root, p.Request, p.Signature = int64(v.N), money.Amount(v.Amount), v.Root, v.Request, hex.EncodeToString(item.Signature)
			}
			req.Sessions = append(req.Sessions, p)
		}
		w.Must(w.t, w.Host, "claim:Settle", req)
		w.settlements++
		if err := w.meter.Settled(s.ID); err != nil {
			w.expected(err)
		}
	}
}

func (w *world) tab() (tab ledgersession.Detail) {
	answer, err := w.Evaluate(rulestest.Proposal(w.t, w.Host, "session:Get", w.name), "")
	require.NoError(w.t, err)
	require.NoError(w.t, ledger.DecodeAnswer(answer, &tab))
	return tab
}

// invariants are the bounds of the page.
func (w *world) invariants() {
	st, err := w.meter.Session(w.sid)
	require.NoError(w.t, err)
	require.LessOrEqual(w.t, st.Uses+uint64(st.Unfinished)-st.Vouched.N, uint64(w.terms.Window), "the host risks no more than W uses")
	require.LessOrEqual(w.t, st.Fees+st.Caps, st.Funded, "and none that is not funded")
	require.GreaterOrEqual(w.t, st.Uses, w.promised, "an answer that has left is never lost")
	require.GreaterOrEqual(w.t, st.Vouched.N, w.taken, "nor a voucher that was acknowledged")
	require.LessOrEqual(w.t, st.Settled.N, st.Vouched.N)
	if w.cheat == twins {
		return
	}
	c, err := w.wallets[0].Session(w.sid)
	require.NoError(w.t, err)
	require.LessOrEqual(w.t, st.Vouched.N, c.N, "the consumer owes what it has accepted")
	require.LessOrEqual(w.t, c.Amount+c.Caps, c.Funded)
	for place := range w.lies {
		require.LessOrEqual(w.t, c.N, place)
	}
}

func (w *world) play(steps int) {
	moves := map[string]func(){"ask": w.ask, "ask 2": w.ask, "again": w.again, "deliver": w.deliver, "deliver 2": w.deliver, "deliver 3": w.deliver, "fetch 2": w.fetch, "receive 3": w.receive, "receive": w.receive,
		"receive 2": w.receive, "vouch": w.vouch, "present": w.present, "fetch": w.fetch, "compact": w.compact, "settle": w.settle, "late": w.late,
		"host crashes": func() { w.arm(&w.host) }, "consumer crashes": func() { w.arm(&w.consumer) }}
	names := slices.Sorted(maps.Keys(moves))
	for range steps {
		moves[rapid.SampledFrom(names).Draw(w.t, "move")]()
		w.invariants()
	}
}

// replays opens both journals once more, as they are and compacted: the state is the same.
func (w *world) replays() {
	for range 2 {
		// What is known already is answered once all is durable, what did not wait included.
		_, err := w.meter.Track(channel, w.terms, w.card)
		require.NoError(w.t, err)
		_, err = w.wallets[0].Track(channel, w.terms, wallet.Prices{In: w.card.PriceIn, Out: w.card.PriceOut})
		require.NoError(w.t, err)
		again, err := meter.Open(journaltest.Holding(w.host.medium.Bytes()), meter.Limits{})
		require.NoError(w.t, err)
		for i, m := range []*meter.Meter{w.meter, again} {
			w.states[i].funds, err = m.Session(w.sid)
			require.NoError(w.t, err)
			w.states[i].answers, err = m.Answers(w.sid, w.states[i].funds.Settled.N, 1<<20)
			require.NoError(w.t, err)
			w.states[i].pending = m.Pending()
		}
		require.Equal(w.t, w.states[0], w.states[1])
		second, err := wallet.Open(journaltest.Holding(w.consumer.medium.Bytes()))
		require.NoError(w.t, err)
		a, err := w.wallets[0].Session(w.sid)
		require.NoError(w.t, err)
		b, err := second.Session(w.sid)
		require.NoError(w.t, err)
		require.Equal(w.t, a, b)
		spent, caps := w.wallets[0].Spent("alice")
		spentAgain, capsAgain := second.Spent("alice")
		require.Equal(w.t, []uint64{spent, caps}, []uint64{spentAgain, capsAgain})
		require.NoError(w.t, w.meter.Compact())
		require.NoError(w.t, w.wallets[0].Compact())
	}
}

// calm ends the crashes and brings everything home: what the host has, the consumer gets, signs for and pays.
func (w *world) calm() {
	for _, p := range []*party{&w.host, &w.consumer} {
		p.medium.Budget = nil
	}
	for len(w.slow) > 0 {
		w.late()
	}
	w.asks, w.answers, w.vouchers = nil, nil, nil
	w.replays()
	c := w.wallets[0]
	for {
		st, err := c.Session(w.sid)
		require.NoError(w.t, err)
		list, err := w.meter.Answers(w.sid, st.N, 4)
		require.NoError(w.t, err)
		if len(list) == 0 || st.Stopped != "" {
			break
		}
		for _, a := range list {
			err := c.Accept(wallet.Answer{Place: a.Place, Leaf: a.Leaf, Ask: wallet.Ask(a.Ask), Evidence: a.Evidence}, wallet.CheckFunc(w.check))
			if wrong := (*wallet.WrongError)(nil); errors.As(err, &wrong) {
				require.NotEqual(w.t, honest, w.cheat)
				break
			}
			require.NoError(w.t, err)
		}
	}
	v, signature, err := c.Voucher(w.sid, w.key)
	if err == nil {
		w.leaves(v)
		require.NoError(w.t, w.meter.Vouch(v, signature))
	} else {
		require.ErrorIs(w.t, err, wallet.ErrStopped)
	}
	w.Clock = time.Unix(int64(w.terms.Expires), 0).Add(time.Duration(w.terms.Grace)*time.Hour - 90*time.Minute)
	w.settle()
	w.Clock = w.Clock.Add(45 * time.Minute)
	w.settle()
}

// TestBothSidesKeepTheirBounds plays host and consumer against each other over a channel that loses, repeats and
// reorders, with crashes at any byte of any write, and settles on the ledger's rules.
func TestBothSidesKeepTheirBounds(t *testing.T) {
	market := rulestest.NewMarket(t)
	uses, settlements, lies := uint64(0), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]cheat{honest, honest, inflates, swaps, raises, foreign, repeats, twins}).Draw(t, "cheat")
		w := open(t, market, c)
		w.play(300)
		if c == twins {
			return
		}
		w.calm()
		w.invariants()
		st, err := w.meter.Session(w.sid)
		require.NoError(t, err)
		tab := w.tab()
		require.True(t, tab.Tab.Closed)
		require.True(t, st.Ended)
		consumer, err := w.wallets[0].Session(w.sid)
		require.NoError(t, err)
		require.EqualValues(t, st.Settled.Amount, tab.Tab.Amount, "host and ledger agree")
		require.LessOrEqual(t, uint64(tab.Tab.Amount), consumer.Amount, "the consumer pays for nothing that it does not hold")
		if c == honest {
			require.Equal(t, st.Fees, consumer.Amount)
			require.EqualValues(t, consumer.Amount, tab.Tab.Amount, "and honest parties lose nothing")
			require.Equal(t, consumer.Root, tab.Tab.Root)
			spent, _ := w.wallets[0].Spent("alice")
			require.LessOrEqual(t, spent, consumer.Amount)
		}
		require.LessOrEqual(t, st.Uses-st.Settled.N, uint64(w.terms.Window), "the host loses no more than W uses")
		tally := w.Tally(t)
		require.NoError(t, tally.Check())
		uses += st.Settled.N
		settlements += w.settlements
		lies += len(w.lies)
	})
	require.NotZero(t, uses)
	require.NotZero(t, settlements)
	require.NotZero(t, lies)
	t.Logf("%d uses settled in %d settlements, %d lies", uses, settlements, lies)
}
