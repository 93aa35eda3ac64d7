// Package meter is the host's side of the payment protocol (docs/usage.md, section 2) as a state machine over a durable
// journal: which requests a host takes, which answers are owed, which vouchers prove it, what it settles next.
//
// It knows no HTTP, no ledger and no clock: sessions, top-ups, times and outcomes of settlements are told to it.
//
// Life of a use: Admit checks the request and takes the voucher that comes with it. The answer is produced, and Commit
// makes it the next leaf of its session; only once Commit has returned may the last event of the answer leave. A later
// voucher covers the leaf. Settle puts the vouchers of many sessions into one settlement, which the caller sends to the
// ledger; Settled moves the session's base there. What lies before the base is gone with the next Compact: whoever keeps
// the evidence for attestors takes it with Answers before.
//
// Every change is a record of the journal, applied in the journal's order, live and in replay by the same code. Methods
// that promise something (Commit, Vouch, Settle and what the ledger has said) return once it is durable; Admit does not
// wait, since its voucher precedes the leaf in the journal. Requests that are being answered are not in the journal: a
// crash ends them without a leaf and nothing is due.
//
// Memory is bounded: per session by its window, by [MaxRanges] and [MaxTopUps], and over all by [Limits].Unsettled, of
// which each takes less than 200 bytes.
package meter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// Bounds of a session.
const (
	// MaxRanges is how many gaps a consumer may leave in its numbers.
	MaxRanges = numbers.MaxRanges
	// MaxTopUps is how many top-ups of a session are counted: as many as one settlement can name, or a consumer could
	// spread its funds so far that no settlement covers what it has vouched for.
	MaxTopUps = 1000
)

// Errors by which callers decide. A signature that does not hold is a [use.ErrSignature].
var (
	ErrUnknown    = errors.New("this host has no such session")
	ErrExpired    = errors.New("the session has expired: open another one")
	ErrEnded      = errors.New("the session has ended: open another one")
	ErrMismatch   = errors.New("the voucher does not name this request")
	ErrVoucher    = errors.New("the voucher is not for what this session has used")
	ErrWindow     = errors.New("too many uses are unvouched: sign for the answers so far")
	ErrFunds      = errors.New("the session's funds do not cover the request's cap: top it up")
	ErrExposure   = errors.New("the organisation's sessions owe too much together: sign for the answers so far")
	ErrBusy       = errors.New("too many uses wait for settlement: try again later")
	ErrInProgress = errors.New("the request is being answered")
	ErrConflict   = errors.New("the number was used for another request")
	ErrSettled    = errors.New("the answer to this number has been paid and settled, and is no longer kept")
	ErrNumbers    = errors.New("the session's numbers have too many gaps: count upwards")
	ErrNoRequest  = errors.New("no such request is being answered")
	ErrCap        = errors.New("the fee exceeds the request's cap")
	ErrOther      = errors.New("it is known with other content")
)

// Card is what a host needs of a rate card.
type Card struct {
	Digest            merkle.Hash
	PriceIn, PriceOut uint64 // micro-credits for 1,000 canonical tokens
	Data              uint64 // the data part, in ppm
}

// Limits are a host's own.
type Limits struct {
	// Exposure is the most, in micro-credits, that the sessions of one organisation may owe unvouched together, caps
	// of requests being answered included. Sessions cost nothing to open, so the window alone bounds no loss.
	Exposure uint64
	// Unsettled is how many uses may wait for settlement.
	Unsettled int
}

// Ask is a request as a consumer signs it.
type Ask struct {
	Request   use.Request
	Voucher   use.Voucher // names the request
	Signature []byte
}

// Answer is a committed answer.
type Answer struct {
	Place    uint64 // in the session, from 0
	Leaf     use.Leaf
	Ask      Ask    // by its signature the consumer knows the request as its own, whatever it has lost
	At       uint64 // Unix seconds
	Evidence []byte // receipt, texts and nonces, in the caller's form: the journal does not encrypt them
}

// mark is a place to which a voucher may reach.
type mark struct {
	use.Mark
	peaks []merkle.Hash // of the tree there
}

// kept is an unsettled answer: where it lies in the journal.
type kept struct {
	offset int64
	at     uint64
	number uint64
	size   int
}

type voucher struct {
	use.Voucher
	signature []byte
}

type topUp struct {
	id      string
	amount  uint64
	counted bool // by a settlement
}

type session struct {
	id      merkle.Hash
	channel string
	terms   use.Terms
	card    Card
	ended   bool

	tree     *merkle.Frontier
	amount   uint64
	marks    []mark // from what is vouched up to the last leaf
	vouched  voucher
	settled  mark
	kept     []kept            // from what is settled up to the last leaf
	places   map[uint64]uint64 // of their numbers
	numbers  numbers.Set       // of all leaves
	topUps   []topUp
	funded   uint64 // escrow and top-ups
	counted  uint64 // escrow and counted top-ups
	settling string // id of the settlement that waits for its outcome

	unfinished map[uint64]Ask
	caps       uint64 // their sum
}

// Meter is a host's meter. All methods are safe for concurrent use.
type Meter struct {
	limits Limits

	mu       sync.Mutex
	log      *journal.Log
	sessions map[merkle.Hash]*session
	exposure map[string]uint64 // by organisation
	pending  map[string]*Settlement
	kept     int
	live     int64 // bytes of answers that Compact keeps
}

// Open replays a journal.
func Open(medium journal.Medium, limits Limits) (*Meter, error) {
	m := &Meter{limits: limits, sessions: map[merkle.Hash]*session{}, exposure: map[string]uint64{}, pending: map[string]*Settlement{}}
	log, err := journal.Open(medium, m.apply)
	if err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	m.log = log
	return m, nil
}

// Close makes everything durable and closes the journal.
func (m *Meter) Close() error { return m.log.Close() }

// Syncs counts how often the journal was synced.
func (m *Meter) Syncs() uint64 { return m.log.Syncs() }

// write appends a record and applies it, with mu locked.
func (m *Meter) write(record *journal.Writer) (ticket uint64, err error) {
	offset, ticket, err := m.log.Append(*record)
	if err != nil {
		return 0, err
	}
	return ticket, m.apply(offset, *record)
}

// Track begins a session that the ledger holds, with its escrow as funds. The same again is done; other terms are another
// session.
func (m *Meter) Track(channel string, terms use.Terms, card Card) (sid merkle.Hash, err error) {
	if sid, err = terms.Session(channel); err != nil {
		return sid, fmt.Errorf("track session: %w", err)
	}
	if terms.Card != card.Digest {
		return sid, fmt.Errorf("track session %s: it is under the rate card %s, not %s", sid, terms.Card, card.Digest)
	}
	if card.Data > use.All {
		return sid, fmt.Errorf("track session %s: a data part of %d ppm exceeds the whole", sid, card.Data)
	}
	s := newSession(sid, channel, terms, card)
	return sid, m.durably(func() (uint64, error) {
		if known := m.sessions[sid]; known != nil {
			if known.card != card {
				return 0, fmt.Errorf("track session %s: its rate card: %w", sid, ErrOther)
			}
			return 0, m.log.Flush()
		}
		record, err := s.base()
		if err != nil {
			return 0, err
		}
		return m.write(record)
	})
}

// durably runs a change with mu locked and waits for its ticket without.
func (m *Meter) durably(change func() (ticket uint64, err error)) error {
	m.mu.Lock()
	ticket, err := change()
	m.mu.Unlock()
	if err != nil || ticket == 0 {
		return err
	}
	return m.log.Wait(ticket)
}

// TopUp adds a top-up that the ledger holds. The same again is done.
func (m *Meter) TopUp(sid merkle.Hash, id string, amount uint64) error {
	return m.durably(func() (uint64, error) {
		s := m.sessions[sid]
		if s == nil {
			return 0, ErrUnknown
		}
		for _, t := range s.topUps {
			if t.id == id {
				if t.amount != amount {
					return 0, fmt.Errorf("top-up %s: %w", id, ErrOther)
				}
				return 0, m.log.Flush()
			}
		}
		if len(s.topUps) >= MaxTopUps {
			return 0, fmt.Errorf("session %s has %d top-ups: no more are counted", sid, MaxTopUps)
		}
		if amount > use.MaxAmount || s.funded+amount > use.MaxAmount {
			return 0, fmt.Errorf("top-up %s: the funds exceed every amount", id)
		}
		record := journal.NewWriter(recordTopUp)
		record.Hash(sid)
		record.String(id)
		record.Uint64(amount)
		return m.write(record)
	})
}

// End is told of a session that the ledger has ended otherwise than by this host's settlement. What it owed is lost.
func (m *Meter) End(sid merkle.Hash) error { return m.sessionRecord(recordEnd, sid, nil) }

// Forget drops a session that has ended. Nothing about it may be asked again.
func (m *Meter) Forget(sid merkle.Hash) error {
	return m.sessionRecord(recordForget, sid, func(s *session) error {
		if !s.ended || s.settling != "" {
			return fmt.Errorf("forget session %s: it has not ended", sid)
		}
		return nil
	})
}

func (m *Meter) sessionRecord(kind byte, sid merkle.Hash, check func(*session) error) error {
	return m.durably(func() (uint64, error) {
		s := m.sessions[sid]
		if s == nil {
			return 0, ErrUnknown
		}
		if check != nil {
			if err := check(s); err != nil {
				return 0, err
			}
		}
		record := journal.NewWriter(kind)
		record.Hash(sid)
		return m.write(record)
	})
}

// Funds is what a session has and owes, in micro-credits and uses.
type Funds struct {
	Funded            uint64
	Settled, Vouched  use.Mark
	Uses, Fees        uint64 // of all leaves
	Unfinished        int
	Caps              uint64 // of unfinished requests
	Ended             bool
	Expires, Deadline time.Time // until which the host answers; until which it can count on settling
}

// Session tells where a session stands.
func (m *Meter) Session(sid merkle.Hash) (Funds, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[sid]
	if s == nil {
		return Funds{}, ErrUnknown
	}
	return Funds{Funded: s.funded, Settled: s.settled.Mark, Vouched: s.marks[0].Mark, Uses: s.tree.Size(), Fees: s.amount,
		Unfinished: len(s.unfinished), Caps: s.caps, Ended: s.ended, Expires: s.expires(), Deadline: s.deadline()}, nil
}

// Tracked is a session that the meter knows.
type Tracked struct {
	ID    merkle.Hash
	Terms use.Terms
	Ended bool
}

// Sessions lists what Track has begun and Forget has not dropped, by id.
func (m *Meter) Sessions() []Tracked {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Tracked, 0, len(m.sessions))
	for sid, s := range m.sessions {
		list = append(list, Tracked{sid, s.terms, s.ended})
	}
	slices.SortFunc(list, func(a, b Tracked) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list
}

func (s *session) expires() time.Time { return time.Unix(int64(s.terms.Expires), 0).UTC() }

// deadline is when anyone may end the session.
func (s *session) deadline() time.Time {
	return s.expires().Add(time.Duration(s.terms.Grace) * time.Hour)
}

// organisation is whose exposure the session counts to.
func (s *session) organisation() string {
	msp, _, _ := strings.Cut(s.terms.Account, ":")
	return msp
}

// owed is what is neither vouched nor certain.
func (s *session) owed() uint64 { return s.amount - s.marks[0].Amount + s.caps }
