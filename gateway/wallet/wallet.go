// Package wallet is the consumer's side of the payment protocol (docs/usage.md, section 2) as a state machine over a
// durable journal: it numbers and signs requests, checks answers, and signs for exactly those that are right.
//
// Package paying sends the requests. This one knows no HTTP, no ledger and no clock; spending keys stay with the caller's
// signer.
//
// Life of a request: Ask takes the next number out of a block that is reserved on disk and signs the request together
// with a voucher for all answers accepted so far. Accept checks an answer; the places before it must have been accepted.
// Only then do later vouchers cover it, and only once its record is durable does one leave. A wrong answer stops the
// session for good: the wallet signs nothing more in it, requests included.
//
// After a crash the wallet goes on from its journal: answers that it does not have it fetches from the host, from
// [Standing].N on, and recognises each as its own by its own signature on the request.
//
// Budgets count, per API key, the fees of accepted answers and the caps of requests that wait. A crash of the machine may
// lose the last requests' records, though not their numbers: the fee of such an answer counts to no key.
package wallet

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// block is how many numbers are reserved on disk at once.
const block = 1024

// Errors by which callers decide.
var (
	ErrUnknown = errors.New("the wallet has no such session")
	ErrStopped = errors.New("the host gave a wrong answer: nothing more is signed in this session")
	ErrEnded   = errors.New("the session has ended: open another one")
	ErrWindow  = errors.New("as many requests as the session's window admits wait for their answers")
	ErrFunds   = errors.New("the session's funds do not cover the request's cap: top it up")
	ErrBudget  = errors.New("the API key's budget does not cover the request's cap")
	ErrLimit   = errors.New("the cap exceeds what the API key may spend on a request")
	ErrEarlier = errors.New("answers before this one are missing: fetch them first")
	ErrSigned  = errors.New("the place has been signed for")
	ErrWaiting = errors.New("no such request waits for its answer")
	ErrOther   = errors.New("it is known with other content")
)

// WrongError is an answer for which nothing is signed. It stops its session.
type WrongError struct {
	Place  uint64
	Reason string
}

func (e *WrongError) Error() string {
	return fmt.Sprintf("the answer at place %d is wrong: %s", e.Place, e.Reason)
}

// Prices of a rate card, in micro-credits for 1,000 canonical tokens.
type Prices struct{ In, Out uint64 }

// Ask is a signed request.
type Ask struct {
	Request   use.Request
	Voucher   use.Voucher
	Signature []byte
}

// Answer is what a host gives: the leaf at a place, the signed request that it answers, and what the leaf is about.
type Answer struct {
	Place    uint64
	Leaf     use.Leaf
	Ask      Ask
	Evidence []byte // receipt, texts and nonces, in the form of the [Checker]
}

// Checker verifies what a leaf says of an answer.
type Checker interface {
	// Check recounts the units of the answer, and verifies that the id of the receipt is the leaf's, that model and
	// artifact are those of the session, and that the commitments to prompt and output open to a body with the
	// request's digest and to the output that the caller has. An error means that the answer is wrong, for good.
	Check(request use.Request, leaf use.Leaf, evidence []byte) error
}

// CheckFunc is a function that checks.
type CheckFunc func(use.Request, use.Leaf, []byte) error

func (f CheckFunc) Check(r use.Request, l use.Leaf, e []byte) error { return f(r, l, e) }

// Budget limits what an API key may spend, in micro-credits.
type Budget struct {
	Total   uint64 // over all sessions, for good
	Request uint64 // the largest cap of a request
}

type request struct {
	use.Request
	key string
}

type session struct {
	id       merkle.Hash
	channel  string
	terms    use.Terms
	prices   Prices
	funded   uint64
	topUps   map[string]uint64
	tree     *merkle.Frontier
	amount   uint64
	last     merkle.Hash // of the latest leaf
	signed   numbers.Set // numbers of accepted answers
	waiting  map[uint64]request
	caps     uint64
	next     uint64
	reserved uint64 // numbers below may have been used
	ticket   uint64 // of the latest record that a signature rests on
	stopped  string
	ended    bool
	moved    chan struct{} // closed when an answer is accepted, or nothing more is signed; nil when nobody waits
}

type account struct {
	Budget
	spent, caps uint64
}

// Wallet is a consumer's wallet. All methods are safe for concurrent use.
type Wallet struct {
	mu       sync.Mutex
	log      *journal.Log
	sessions map[merkle.Hash]*session
	keys     map[string]*account
}

// Open replays a journal.
func Open(medium journal.Medium) (*Wallet, error) {
	w := &Wallet{sessions: map[merkle.Hash]*session{}, keys: map[string]*account{}}
	log, err := journal.Open(medium, func(_ int64, record []byte) error { return w.apply(record) })
	if err != nil {
		return nil, fmt.Errorf("open wallet: %w", err)
	}
	w.log = log
	for _, s := range w.sessions {
		s.next = s.reserved
	}
	return w, nil
}

// Close makes everything durable and closes the journal.
func (w *Wallet) Close() error { return w.log.Close() }

// Syncs counts how often the journal was synced.
func (w *Wallet) Syncs() uint64 { return w.log.Syncs() }

func (w *Wallet) write(record *journal.Writer) (ticket uint64, err error) {
	if _, ticket, err = w.log.Append(*record); err != nil {
		return 0, err
	}
	return ticket, w.apply(*record)
}

// durably runs a change with mu locked and waits for its ticket without.
func (w *Wallet) durably(change func() (ticket uint64, err error)) error {
	w.mu.Lock()
	ticket, err := change()
	w.mu.Unlock()
	if err != nil || ticket == 0 {
		return err
	}
	return w.log.Wait(ticket)
}

// Track begins a session that the account has opened on the ledger. The same again is done.
func (w *Wallet) Track(channel string, terms use.Terms, prices Prices) (sid merkle.Hash, err error) {
	if sid, err = terms.Session(channel); err != nil {
		return sid, fmt.Errorf("track session: %w", err)
	}
	return sid, w.durably(func() (uint64, error) {
		if known := w.sessions[sid]; known != nil {
			if known.prices != prices {
				return 0, fmt.Errorf("track session %s: its prices: %w", sid, ErrOther)
			}
			return 0, w.log.Flush()
		}
		record, err := newSession(sid, channel, terms, prices).record()
		if err != nil {
			return 0, err
		}
		return w.write(record)
	})
}

// TopUp adds a top-up that the ledger holds. The same again is done.
func (w *Wallet) TopUp(sid merkle.Hash, id string, amount uint64) error {
	return w.durably(func() (uint64, error) {
		s := w.sessions[sid]
		if s == nil {
			return 0, ErrUnknown
		}
		if known, ok := s.topUps[id]; ok {
			if known != amount {
				return 0, fmt.Errorf("top-up %s: %w", id, ErrOther)
			}
			return 0, w.log.Flush()
		}
		if amount > use.MaxAmount || s.funded+amount > use.MaxAmount {
			return 0, fmt.Errorf("top-up %s: the funds exceed every amount", id)
		}
		record := journal.NewWriter(recordTopUp)
		record.Hash(sid)
		record.String(id)
		record.Uint64(amount)
		return w.write(record)
	})
}

// SetBudget sets what an API key may spend. A key without a budget spends nothing. The same again is done.
func (w *Wallet) SetBudget(key string, b Budget) error {
	return w.durably(func() (uint64, error) {
		if known := w.keys[key]; known != nil && known.Budget == b {
			return 0, nil // even if it is not durable yet: what it allows is not either
		}
		record := journal.NewWriter(recordBudget)
		record.String(key)
		record.Uint64(b.Total)
		record.Uint64(b.Request)
		return w.write(record)
	})
}

// Spent is what an API key has paid and what its waiting requests may still cost.
func (w *Wallet) Spent(key string) (fees, caps uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.keys[key]; a != nil {
		return a.spent, a.caps
	}
	return 0, 0
}

// End is told of a session that has ended on the ledger. Nothing more is signed in it.
func (w *Wallet) End(sid merkle.Hash) error {
	return w.durably(func() (uint64, error) {
		if w.sessions[sid] == nil {
			return 0, ErrUnknown
		}
		record := journal.NewWriter(recordEnd)
		record.Hash(sid)
		return w.write(record)
	})
}

// Standing is where a session stands.
type Standing struct {
	use.Mark                   // accepted: what vouchers are for
	Funded, Caps uint64        // micro-credits
	Waiting      []use.Request // without an accepted answer, ascending
	Stopped      string        // why nothing more is signed, if so
	Ended        bool
}

// Session tells where a session stands.
func (w *Wallet) Session(sid merkle.Hash) (Standing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[sid]
	if s == nil {
		return Standing{}, ErrUnknown
	}
	st := Standing{Mark: s.mark(), Funded: s.funded, Caps: s.caps, Stopped: s.stopped, Ended: s.ended}
	for _, q := range slices.Sorted(maps.Keys(s.waiting)) {
		st.Waiting = append(st.Waiting, s.waiting[q].Request)
	}
	return st, nil
}

// Sessions lists the sessions that the journal has, in no order.
func (w *Wallet) Sessions() []merkle.Hash {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.sessions))
}

// Flush returns once everything so far is durable, numbers that were given too.
func (w *Wallet) Flush() error { return w.log.Flush() }

// Size is the length of the journal in bytes.
func (w *Wallet) Size() int64 { return w.log.Size() }

// Await returns once all answers before a place are accepted: then Accept takes the one there. It fails when nothing more
// is signed in the session, and when the context ends.
func (w *Wallet) Await(ctx context.Context, sid merkle.Hash, place uint64) error {
	for {
		w.mu.Lock()
		s := w.sessions[sid]
		if err := s.usable(); err != nil {
			w.mu.Unlock()
			return err
		}
		if s.tree.Size() >= place {
			w.mu.Unlock()
			return nil
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		w.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrEarlier, ctx.Err())
		}
	}
}

// move wakes those who wait for a change of the session.
func (s *session) move() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// Stop ends a session for good because of an answer that somebody else has found wrong.
func (w *Wallet) Stop(sid merkle.Hash, place uint64, reason string) error {
	w.mu.Lock()
	s := w.sessions[sid]
	w.mu.Unlock()
	if s == nil {
		return ErrUnknown
	}
	return w.halt(s, place, reason)
}

func (s *session) mark() use.Mark {
	return use.Mark{N: s.tree.Size(), Amount: s.amount, Root: s.tree.Root()}
}

// usable reports why nothing may be signed.
func (s *session) usable() error {
	switch {
	case s == nil:
		return ErrUnknown
	case s.stopped != "":
		return fmt.Errorf("%w (%s)", ErrStopped, s.stopped)
	case s.ended:
		return ErrEnded
	}
	return nil
}

// Ask numbers and signs a request of an API key: body is the SHA-256 of its body, cap the most that its answer may cost.
func (w *Wallet) Ask(now time.Time, sid merkle.Hash, key string, cap uint64, body merkle.Hash, signer crypto.Signer) (Ask, error) {
	var r use.Request
	var v use.Voucher
	err := w.durably(func() (ticket uint64, err error) {
		s := w.sessions[sid]
		if err := s.usable(); err != nil {
			return 0, err
		}
		a := w.keys[key]
		switch {
		case now.Unix() >= int64(s.terms.Expires):
			return 0, ErrEnded
		case len(s.waiting) >= int(s.terms.Window):
			return 0, ErrWindow
		case s.amount+s.caps > s.funded || cap > s.funded-s.amount-s.caps:
			return 0, ErrFunds
		case a == nil || a.spent+a.caps > a.Total || cap > a.Total-a.spent-a.caps:
			return 0, ErrBudget
		case cap > a.Request:
			return 0, ErrLimit
		}
		if s.next == s.reserved {
			record := journal.NewWriter(recordReserve)
			record.Hash(sid)
			record.Uint64(s.reserved + block)
			if s.ticket, err = w.write(record); err != nil {
				return 0, err
			}
		}
		r = use.Request{Number: s.next, Cap: cap, Body: body}
		if _, err := w.write(request{r, key}.record(sid)); err != nil {
			return 0, err
		}
		s.next++
		v, err = s.voucher(r)
		return s.ticket, err
	})
	if err != nil {
		return Ask{}, fmt.Errorf("ask: %w", err)
	}
	return sign(r, v, signer)
}

// Again signs a waiting request once more, with a voucher as of now: what a client that repeats itself, or a wallet that
// was restarted, sends.
func (w *Wallet) Again(sid merkle.Hash, number uint64, signer crypto.Signer) (Ask, error) {
	var r use.Request
	var v use.Voucher
	err := w.durably(func() (ticket uint64, err error) {
		s := w.sessions[sid]
		if err := s.usable(); err != nil {
			return 0, err
		}
		waiting, ok := s.waiting[number]
		if !ok {
			return 0, ErrWaiting
		}
		r = waiting.Request
		v, err = s.voucher(r)
		return s.ticket, err
	})
	if err != nil {
		return Ask{}, fmt.Errorf("ask again: %w", err)
	}
	return sign(r, v, signer)
}

// Repeat signs a request once more that does not wait: its host gives the stored answer if it was accepted, and may answer
// if it was given up. It fails with [ErrWaiting] when the number was never given.
func (w *Wallet) Repeat(sid merkle.Hash, r use.Request, signer crypto.Signer) (Ask, error) {
	var v use.Voucher
	err := w.durably(func() (ticket uint64, err error) {
		s := w.sessions[sid]
		if err := s.usable(); err != nil {
			return 0, err
		}
		if r.Number >= s.next {
			return 0, ErrWaiting
		}
		v, err = s.voucher(r)
		return s.ticket, err
	})
	if err != nil {
		return Ask{}, fmt.Errorf("ask again: %w", err)
	}
	return sign(r, v, signer)
}

func (s *session) voucher(r use.Request) (use.Voucher, error) {
	digest, err := r.Digest()
	m := s.mark()
	return use.Voucher{Session: s.id, Card: s.terms.Card, N: m.N, Amount: m.Amount, Root: m.Root, Request: digest}, err
}

func sign(r use.Request, v use.Voucher, signer crypto.Signer) (Ask, error) {
	signature, err := use.Sign(signer, v)
	if err != nil {
		return Ask{}, fmt.Errorf("sign voucher: %w", err)
	}
	return Ask{Request: r, Voucher: v, Signature: signature}, nil
}

// Drop gives up a request that the host has not answered, and frees its cap. Should the host answer it all the same, the
// answer is accepted, and its fee counts to no API key.
func (w *Wallet) Drop(sid merkle.Hash, number uint64) error {
	return w.durably(func() (uint64, error) {
		s := w.sessions[sid]
		if s == nil {
			return 0, ErrUnknown
		}
		if _, ok := s.waiting[number]; !ok {
			return 0, ErrWaiting
		}
		return w.giveUp(s, number)
	})
}

// giveUp drops a waiting request.
func (w *Wallet) giveUp(s *session, number uint64) (ticket uint64, err error) {
	record := journal.NewWriter(recordDrop)
	record.Hash(s.id)
	record.Uint64(number)
	return w.write(record)
}

// Voucher signs alone for all accepted answers.
func (w *Wallet) Voucher(sid merkle.Hash, signer crypto.Signer) (v use.Voucher, signature []byte, err error) {
	if err := w.durably(func() (uint64, error) {
		s := w.sessions[sid]
		if err := s.usable(); err != nil {
			return 0, err
		}
		m := s.mark()
		v = use.Voucher{Session: s.id, Card: s.terms.Card, N: m.N, Amount: m.Amount, Root: m.Root}
		return s.ticket, nil
	}); err != nil {
		return v, nil, fmt.Errorf("sign voucher: %w", err)
	}
	signature, err = use.Sign(signer, v)
	return v, signature, err
}
