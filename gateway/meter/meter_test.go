package meter_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
)

const expires = 1_900_000_000

var (
	start = time.Unix(expires-3600, 0)
	card  = meter.Card{Digest: merkle.Hash{0xcc}, PriceIn: 1_000_000, PriceOut: 5_000_000, Data: 600_000}
	limit = meter.Limits{Exposure: 1_000_000, Unsettled: 100}
)

// payer signs for a session as its consumer, and counts for itself.
type payer struct {
	*testing.T
	meter  *meter.Meter
	sid    merkle.Hash
	key    ed25519.PrivateKey
	tree   merkle.Frontier
	amount uint64
}

// track begins a session named by a byte of a reader of the organisation AILabMSP: a window of 3 and an escrow of 100,000.
func track(t *testing.T, m *meter.Meter, name byte) *payer {
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), name))
	public, err := use.NewKey(key.Public())
	require.NoError(t, err)
	terms := use.Terms{Account: "AILabMSP:reader1", Name: [16]byte{name}, Host: "NationalLibraryMSP:host1", Card: card.Digest, Key: public, Window: 3,
		Expires: expires, Grace: 24, Escrow: 100_000}
	sid, err := m.Track("datanet", terms, card)
	require.NoError(t, err)
	return &payer{T: t, meter: m, sid: sid, key: key}
}

func open(t *testing.T, medium journal.Medium) *meter.Meter {
	m, err := meter.Open(medium, limit)
	require.NoError(t, err)
	return m
}

func (p *payer) ask(q, cap uint64, body byte) meter.Ask {
	r := use.Request{Number: q, Cap: cap, Body: merkle.Hash{body}}
	digest, err := r.Digest()
	require.NoError(p, err)
	v := use.Voucher{Session: p.sid, Card: card.Digest, N: p.tree.Size(), Amount: p.amount, Root: p.tree.Root(), Request: digest}
	return meter.Ask{Request: r, Voucher: v, Signature: p.sign(v)}
}

func (p *payer) sign(v use.Voucher) []byte {
	signature, err := use.Sign(p.key, v)
	require.NoError(p, err)
	return signature
}

func (p *payer) refused(a meter.Ask, now time.Time, want error) {
	p.Helper()
	stored, err := p.meter.Admit(now, a)
	require.Nil(p, stored)
	require.ErrorIs(p, err, want)
}

// use has a request answered with so many tokens, and counts it.
func (p *payer) use(q, out uint64) meter.Answer {
	p.Helper()
	stored, err := p.meter.Admit(start, p.ask(q, 50_000, byte(q)))
	require.NoError(p, err)
	require.Nil(p, stored)
	a, err := p.meter.Commit(start, p.sid, q, 0, out, merkle.Hash{byte(q)}, []byte("evidence"))
	require.NoError(p, err)
	hash, err := a.Leaf.Hash()
	require.NoError(p, err)
	p.tree.Append(hash)
	p.amount += a.Leaf.Fee
	return a
}

func (p *payer) vouch() {
	p.Helper()
	v := use.Voucher{Session: p.sid, Card: card.Digest, N: p.tree.Size(), Amount: p.amount, Root: p.tree.Root()}
	require.NoError(p, p.meter.Vouch(v, p.sign(v)))
}

func TestARequestIsTakenOnlyWithinItsSession(t *testing.T) {
	p := track(t, open(t, &journaltest.Memory{}), 1)
	good := p.ask(1, 30_000, 1)
	forged := good
	forged.Signature = append([]byte{good.Signature[0] ^ 1}, good.Signature[1:]...)
	p.refused(forged, start, use.ErrSignature)
	other := good
	other.Request.Cap++
	p.refused(other, start, meter.ErrMismatch)
	stranger := good
	stranger.Voucher.Session = merkle.Hash{1}
	p.refused(stranger, start, meter.ErrUnknown)
	p.refused(good, time.Unix(expires, 0), meter.ErrExpired)
	p.refused(p.ask(1, 100_001, 1), start, meter.ErrFunds)
	require.NoError(t, p.meter.TopUp(p.sid, "a", 1))
	require.NoError(t, p.meter.TopUp(p.sid, "a", 1))
	require.ErrorIs(t, p.meter.TopUp(p.sid, "a", 2), meter.ErrOther)
	p.refused(p.ask(1, 100_002, 1), start, meter.ErrFunds)
	_, err := p.meter.Admit(start, p.ask(1, 100_001, 1))
	require.NoError(t, err)
	p.refused(p.ask(1, 100_001, 1), start, meter.ErrInProgress)
	p.refused(p.ask(1, 100_001, 2), start, meter.ErrConflict)
	p.refused(p.ask(2, 1, 2), start, meter.ErrFunds)
	require.NoError(t, p.meter.Abort(p.sid, 1))
	require.NoError(t, p.meter.End(p.sid))
	p.refused(good, start, meter.ErrEnded)
	require.NoError(t, p.meter.Forget(p.sid))
	p.refused(good, start, meter.ErrUnknown)
}

func TestAnAnswerThatWasGivenIsGivenAgain(t *testing.T) {
	medium := &journaltest.Memory{}
	p := track(t, open(t, medium), 1)
	first := p.ask(1, 50_000, 1)
	want := p.use(1, 2)
	require.EqualValues(t, 10_000, want.Leaf.Fee)
	for range 2 {
		stored, err := p.meter.Admit(time.Unix(expires+1, 0), first)
		require.NoError(t, err, "after expiry too")
		require.Equal(t, want, *stored)
		p.refused(p.ask(1, 50_000, 9), start, meter.ErrConflict)
		p.meter = open(t, journaltest.Holding(medium.Bytes()))
	}
}

func TestAFeeAboveTheCapIsNoLeaf(t *testing.T) {
	p := track(t, open(t, &journaltest.Memory{}), 1)
	_, err := p.meter.Admit(start, p.ask(1, 4_999, 1))
	require.NoError(t, err)
	_, err = p.meter.Commit(start, p.sid, 1, 0, 1, merkle.Hash{}, nil)
	require.ErrorIs(t, err, meter.ErrCap)
	require.NoError(t, p.meter.Abort(p.sid, 1))
	_, err = p.meter.Commit(start, p.sid, 1, 0, 0, merkle.Hash{}, nil)
	require.ErrorIs(t, err, meter.ErrNoRequest)
}

func TestWhoStopsPayingIsAnsweredNoMore(t *testing.T) {
	p := track(t, open(t, &journaltest.Memory{}), 1)
	never := p.ask(9, 1_000, 9) // names no uses
	for q := range uint64(3) {
		_, err := p.meter.Admit(start, p.ask(q, 20_000, byte(q)))
		require.NoError(t, err)
		_, err = p.meter.Commit(start, p.sid, q, 0, 1, merkle.Hash{}, nil)
		require.NoError(t, err)
	}
	p.refused(never, start, meter.ErrWindow)
}

func TestOrganisationsOweNoMoreThanTheirLimit(t *testing.T) {
	m, err := meter.Open(&journaltest.Memory{}, meter.Limits{Exposure: 60_000, Unsettled: 3})
	require.NoError(t, err)
	p, q := track(t, m, 1), track(t, m, 2)
	p.use(1, 8)
	q.refused(q.ask(1, 20_001, 1), start, meter.ErrExposure)
	p.vouch()
	q.use(1, 1)
	q.vouch()
	p.use(2, 1)
	p.refused(p.ask(3, 1, 1), start, meter.ErrBusy)
}

func TestAVoucherCountsOnlyForWhatTheHostsLogSays(t *testing.T) {
	p := track(t, open(t, &journaltest.Memory{}), 1)
	p.use(1, 2)
	v := use.Voucher{Session: p.sid, Card: card.Digest, N: 1, Amount: p.amount, Root: p.tree.Root()}
	for _, change := range []func(*use.Voucher){func(v *use.Voucher) { v.N++ }, func(v *use.Voucher) { v.Amount-- }, func(v *use.Voucher) { v.Root[0]++ },
		func(v *use.Voucher) { v.Card[0]++ }} {
		wrong := v
		change(&wrong)
		require.ErrorIs(t, p.meter.Vouch(wrong, p.sign(wrong)), meter.ErrVoucher)
	}
	require.ErrorIs(t, p.meter.Vouch(v, make([]byte, use.SignatureSize)), use.ErrSignature)
	p.vouch()
	p.vouch()
}

func TestWhatIsSettledNext(t *testing.T) {
	medium := &journaltest.Memory{}
	m := open(t, medium)
	policy := meter.Policy{Amount: 20_000, Age: time.Minute, Sessions: 10, Funds: 10}
	next := func(now time.Time, id string) *meter.Settlement {
		t.Helper()
		s, err := m.Settle(now, id, policy)
		require.NoError(t, err)
		return s
	}
	p, q, unused := track(t, m, 1), track(t, m, 2), track(t, m, 3)
	require.Nil(t, next(start, "s0"), "nothing is used")
	p.use(1, 4)
	require.Nil(t, next(start, "s0"), "nothing is vouched")
	p.vouch()
	s := next(start, "s1")
	require.Len(t, s.Items, 1, "enough is owed")
	require.Equal(t, p.sid, s.Items[0].Session)
	require.False(t, s.Items[0].Close)
	p.use(2, 4)
	p.vouch()
	require.Nil(t, next(start, "s2"), "the session waits for an outcome")
	m = open(t, journaltest.Holding(medium.Bytes()))
	p.meter, q.meter, unused.meter = m, m, m
	require.Equal(t, []meter.Settlement{*s}, m.Pending(), "and is known after a restart")
	require.NoError(t, m.Refused("s1"))
	s = next(start, "s3")
	require.EqualValues(t, 2, s.Items[0].Voucher.N)
	require.NoError(t, m.Settled("s3"))
	require.Error(t, m.Settled("s3"))
	p.refused(p.ask(1, 50_000, 1), start, meter.ErrSettled)
	_, err := m.Answers(p.sid, 1, 1)
	require.ErrorIs(t, err, meter.ErrSettled)
	require.NoError(t, m.Compact())

	require.Zero(t, q.use(1, 0).Leaf.Fee)
	q.vouch()
	require.Nil(t, next(start.Add(time.Hour-time.Second), "s4"), "a data part too small for the ledger waits")
	q.use(2, 1)
	q.vouch()
	require.Nil(t, next(start, "s5"), "and so does what is neither much nor old")
	s = next(start.Add(time.Minute), "s6")
	require.Len(t, s.Items, 1)
	require.Equal(t, q.sid, s.Items[0].Session)
	require.NoError(t, m.Settled("s6"))
	s = next(time.Unix(expires, 0), "s7")
	require.Len(t, s.Items, 3, "what is paid up closes when it expires, so that the rest goes back")
	for _, item := range s.Items {
		require.True(t, item.Close)
		require.Zero(t, item.Voucher.N)
	}
	require.NoError(t, m.Refused("s7"))
	deadline := time.Unix(expires, 0).Add(24 * time.Hour)
	for _, id := range []string{"s8", "s9", "s10"} {
		require.Len(t, next(deadline.Add(-2*time.Hour), id).Items, 1, "near its deadline a session is settled alone")
	}
}

// FuzzReplay opens a journal that holds a session and an arbitrary record: it is applied or refused.
func FuzzReplay(f *testing.F) {
	medium := &journaltest.Memory{}
	m, err := meter.Open(medium, limit)
	require.NoError(f, err)
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public, err := use.NewKey(key.Public())
	require.NoError(f, err)
	terms := use.Terms{Account: "AILabMSP:reader1", Host: "NationalLibraryMSP:host1", Card: card.Digest, Key: public, Window: 3, Expires: expires, Grace: 24}
	sid, err := m.Track("datanet", terms, card)
	require.NoError(f, err)
	require.NoError(f, m.TopUp(sid, "a", 100_000))
	ask := meter.Ask{Request: use.Request{Number: 1, Cap: 9_000}}
	digest, err := ask.Request.Digest()
	require.NoError(f, err)
	ask.Voucher = use.Voucher{Session: sid, Card: card.Digest, Root: merkle.Root(nil), Request: digest}
	ask.Signature, err = use.Sign(key, ask.Voucher)
	require.NoError(f, err)
	_, err = m.Admit(start, ask)
	require.NoError(f, err)
	a, err := m.Commit(start, sid, 1, 0, 1, merkle.Hash{}, []byte("evidence"))
	require.NoError(f, err)
	v := use.Voucher{Session: sid, Card: card.Digest, N: 1, Amount: a.Leaf.Fee}
	v.Root, err = a.Leaf.Hash()
	require.NoError(f, err)
	signature, err := use.Sign(key, v)
	require.NoError(f, err)
	require.NoError(f, m.Vouch(v, signature))
	_, err = m.Settle(start, "s", meter.Policy{Sessions: 1, Funds: 1})
	require.NoError(f, err)
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
		if m, err := meter.Open(medium, limit); err == nil {
			_, err := m.Session(sid)
			require.True(t, err == nil || err == meter.ErrUnknown)
		}
	})
}
