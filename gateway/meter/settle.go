package meter

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
)

const (
	// alone is how long before its deadline a session is settled by itself: from then on, if clocks differ, somebody
	// may end it, and one that has ended would make a whole settlement fail.
	alone = 2 * time.Hour
	// margin is how long before the deadline a host must have settled.
	margin = time.Hour
	// minData is the least data part that the ledger takes, in micro-credits, unless all sessions close.
	minData = 1000
)

// Policy says when a session is worth settling: it owes an amount, its oldest unsettled use has an age, or it has expired.
type Policy struct {
	Amount   uint64
	Age      time.Duration
	Sessions int // at most, in one settlement; the ledger takes 1,000
	Funds    int // top-ups, at most, in one settlement; the ledger takes 1,000
	// Except tells which sessions are left out for now, as those are for which the ledger has just refused a settlement
	// of many; nil: none.
	Except func(session merkle.Hash) bool
}

// Settlement is what a host sends to the ledger, under its id as often as it takes to learn the outcome.
type Settlement struct {
	ID    string
	Card  merkle.Hash
	Items []Item
}

// Item is one session of a settlement.
type Item struct {
	Session   merkle.Hash
	Account   string
	Name      [16]byte
	Voucher   use.Voucher // its N is 0 when the session only closes
	Signature []byte      // empty when the session only closes
	Before    use.Mark    // as the ledger has the session before
	TopUps    []string    // to count
	Close     bool

	peaks []merkle.Hash // of the tree at the voucher
}

// Settle chooses what is to be settled next, under a new id, and returns once that is durable; nil when nothing is. Until
// its outcome is told by Settled or Refused, its sessions are in no other settlement.
func (m *Meter) Settle(now time.Time, id string, policy Policy) (chosen *Settlement, err error) {
	if policy.Sessions < 1 || policy.Funds < 1 || id == "" {
		return nil, errors.New("settle: a settlement has an id, and room for a session and a top-up")
	}
	err = m.durably(func() (uint64, error) {
		if m.pending[id] != nil {
			return 0, fmt.Errorf("settlement %s: %w", id, ErrOther)
		}
		s := m.choose(now, policy)
		if s == nil {
			return 0, nil
		}
		s.ID = id
		record, err := s.record()
		if err != nil {
			return 0, err
		}
		ticket, err := m.write(record)
		if err == nil {
			chosen = m.pending[id]
		}
		return ticket, err
	})
	if err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	return chosen, nil
}

// choose returns one settlement under one card: a session near its deadline by itself, else those that are due, by
// deadline. One whose data part the ledger would find too small waits, unless all its sessions close.
func (m *Meter) choose(now time.Time, policy Policy) *Settlement {
	var due []*session
	for _, s := range m.sessions {
		if s.due(now, policy) {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b *session) int {
		if c := a.deadline().Compare(b.deadline()); c != 0 {
			return c
		}
		return bytes.Compare(a.id[:], b.id[:])
	})
	tried := map[merkle.Hash]bool{}
	for _, first := range due {
		if first.near(now) {
			if s := settlement(now, policy, []*session{first}); s != nil {
				return s
			}
			continue
		}
		if tried[first.terms.Card] {
			continue
		}
		tried[first.terms.Card] = true
		var all, closing []*session
		for _, s := range due {
			if s.terms.Card != first.terms.Card || s.near(now) {
				continue
			}
			all = append(all, s)
			if s.closes(now) {
				closing = append(closing, s)
			}
		}
		for _, list := range [][]*session{all, closing} {
			if s := settlement(now, policy, list[:min(len(list), policy.Sessions)]); s != nil {
				return s
			}
		}
	}
	return nil
}

func (s *session) near(now time.Time) bool { return !now.Before(s.deadline().Add(-alone)) }

// closes tells whether nothing more is to come: the host answers no more and everything is vouched, or there is no time
// left to wait for vouchers.
func (s *session) closes(now time.Time) bool {
	if now.Before(s.expires()) {
		return false
	}
	return len(s.unfinished) == 0 && s.marks[0].N == s.tree.Size() || !now.Before(s.deadline().Add(-margin))
}

func (s *session) due(now time.Time, policy Policy) bool {
	if s.ended || s.settling != "" || policy.Except != nil && policy.Except(s.id) {
		return false
	}
	if s.closes(now) {
		return true
	}
	if s.marks[0].N == s.settled.N {
		return false
	}
	return s.marks[0].Amount-s.settled.Amount >= policy.Amount || !now.Before(s.expires()) ||
		now.Sub(time.Unix(int64(s.kept[0].at), 0)) >= policy.Age
}

// settlement is that of these sessions, or of the first of them where they count too many top-ups together; nil when the
// ledger would find it too small.
func settlement(now time.Time, policy Policy, list []*session) *Settlement {
	if len(list) == 0 {
		return nil
	}
	chosen := &Settlement{Card: list[0].terms.Card}
	all, fees, named := true, uint64(0), 0
	for _, s := range list {
		item := Item{Session: s.id, Account: s.terms.Account, Name: s.terms.Name, Before: s.settled.Mark, Close: s.closes(now)}
		if s.marks[0].N > s.settled.N {
			counted := s.counted
			for _, t := range s.topUps {
				if counted >= s.marks[0].Amount || len(item.TopUps) == policy.Funds {
					break
				}
				if !t.counted {
					item.TopUps = append(item.TopUps, t.id)
					counted += t.amount
				}
			}
			if named += len(item.TopUps); named > policy.Funds {
				break
			}
			item.Voucher, item.Signature, item.peaks = s.vouched.Voucher, s.vouched.signature, s.marks[0].peaks
			fees += s.marks[0].Amount - s.settled.Amount
		}
		all = all && item.Close
		chosen.Items = append(chosen.Items, item)
	}
	if fees > use.MaxAmount {
		return settlement(now, policy, list[:len(list)/2])
	}
	hi, lo := bits.Mul64(fees, list[0].card.Data)
	if data, _ := bits.Div64(hi, lo, use.All); !all && list[0].card.Data > 0 && data < minData {
		return nil
	}
	return chosen
}

// Pending returns the settlements whose outcome is not known, by id: after a restart they are to be sent again.
func (m *Meter) Pending() []Settlement {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Settlement
	for _, id := range slices.Sorted(maps.Keys(m.pending)) {
		list = append(list, *m.pending[id])
	}
	return list
}

// Settled is told of a settlement that the ledger holds. Its answers are no longer kept.
func (m *Meter) Settled(id string) error { return m.outcome(recordSettled, id) }

// Refused is told of a settlement that the ledger has refused and will never take under this id. Its sessions are due
// again; of one that the ledger has ended, End has to be told.
func (m *Meter) Refused(id string) error { return m.outcome(recordRefused, id) }

func (m *Meter) outcome(kind byte, id string) error {
	return m.durably(func() (uint64, error) {
		if m.pending[id] == nil {
			return 0, fmt.Errorf("settlement %s does not wait for an outcome", id)
		}
		record := journal.NewWriter(kind)
		record.String(id)
		return m.write(record)
	})
}

func (s *Settlement) record() (*journal.Writer, error) {
	w := journal.NewWriter(recordSettle)
	w.String(s.ID)
	w.Hash(s.Card)
	w.Uint64(uint64(len(s.Items)))
	for _, item := range s.Items {
		encoded, err := item.Voucher.Encode()
		if err != nil {
			return nil, err
		}
		w.Hash(item.Session)
		w.Bytes(encoded)
		w.Bytes(item.Signature)
		w.Bool(item.Close)
		w.Hashes(item.peaks)
		w.Uint64(uint64(len(item.TopUps)))
		for _, id := range item.TopUps {
			w.String(id)
		}
	}
	return w, nil
}

func (m *Meter) applySettle(r *journal.Reader) error {
	chosen := &Settlement{ID: r.String(), Card: r.Hash()}
	for range r.Count(32 + 4 + 4 + 1 + 8 + 8) {
		item := Item{Session: r.Hash()}
		encoded := r.Bytes()
		item.Signature, item.Close, item.peaks = bytes.Clone(r.Bytes()), r.Bool(), r.Hashes()
		for range r.Count(4) {
			item.TopUps = append(item.TopUps, r.String())
		}
		s := m.sessions[item.Session]
		v, err := use.DecodeVoucher(encoded)
		if err != nil {
			return errors.Join(r.End(), err)
		}
		if s == nil || s.settling != "" || v.N > s.marks[0].N || v.N > 0 && v.N <= s.settled.N {
			return errRecord
		}
		item.Voucher, item.Account, item.Name, item.Before = v, s.terms.Account, s.terms.Name, s.settled.Mark
		chosen.Items = append(chosen.Items, item)
	}
	if err := r.End(); err != nil {
		return err
	}
	for _, item := range chosen.Items {
		m.sessions[item.Session].settling = chosen.ID
	}
	m.pending[chosen.ID] = chosen
	return nil
}

func (m *Meter) applyOutcome(id string, settled bool) error {
	chosen := m.pending[id]
	if chosen == nil {
		return errRecord
	}
	delete(m.pending, id)
	for _, item := range chosen.Items {
		s := m.sessions[item.Session]
		if s == nil { // forgotten
			continue
		}
		s.settling = ""
		if !settled {
			continue
		}
		for i := range s.topUps {
			if t := &s.topUps[i]; !t.counted && slices.Contains(item.TopUps, t.id) {
				t.counted = true
				s.counted += t.amount
			}
		}
		if item.Voucher.N > 0 {
			m.drop(s, int(item.Voucher.N-s.settled.N))
			s.settled = mark{use.Mark{N: item.Voucher.N, Amount: item.Voucher.Amount, Root: item.Voucher.Root}, item.peaks}
		}
		if item.Close {
			m.end(s)
		}
	}
	return nil
}
