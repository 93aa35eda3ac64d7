package meter

import (
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
)

// Admit decides on a request. Of a request that was answered before it returns the stored answer. With neither an answer
// nor an error the request is the caller's to answer, within its cap; it ends with Commit or Abort.
//
// A voucher for more than the ones before is taken whatever becomes of the request. One for less proves only whose the
// request is: requests may overtake each other.
func (m *Meter) Admit(now time.Time, ask Ask) (*Answer, error) {
	digest, err := ask.Request.Digest()
	if err != nil {
		return nil, fmt.Errorf("admit request: %w", err)
	}
	if ask.Voucher.Request != digest {
		return nil, fmt.Errorf("admit request %d: %w", ask.Request.Number, ErrMismatch)
	}
	if err := m.verify(ask.Voucher, ask.Signature); err != nil {
		return nil, fmt.Errorf("admit request %d: %w", ask.Request.Number, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[ask.Voucher.Session]
	if s == nil {
		return nil, ErrUnknown
	}
	if s.numbers.Has(ask.Request.Number) {
		return m.stored(s, ask)
	}
	if err := m.admit(s, now, ask); err != nil {
		return nil, fmt.Errorf("admit request %d: %w", ask.Request.Number, err)
	}
	return nil, nil
}

// verify checks a voucher's signature without holding mu.
func (m *Meter) verify(v use.Voucher, signature []byte) error {
	m.mu.Lock()
	s := m.sessions[v.Session]
	m.mu.Unlock()
	if s == nil {
		return ErrUnknown
	}
	if v.Card != s.terms.Card {
		return fmt.Errorf("its rate card is %s: %w", v.Card, ErrVoucher)
	}
	return s.terms.Key.Verify(v, signature)
}

func (m *Meter) admit(s *session, now time.Time, ask Ask) error {
	if s.ended {
		return ErrEnded
	}
	if _, err := m.take(s, voucher{ask.Voucher, ask.Signature}); err != nil {
		return err
	}
	if open, ok := s.unfinished[ask.Request.Number]; ok {
		if open.Request != ask.Request {
			return ErrConflict
		}
		return ErrInProgress
	}
	exposure := m.exposure[s.organisation()]
	switch cap := ask.Request.Cap; {
	case !now.Before(s.expires()):
		return ErrExpired
	case s.tree.Size()+uint64(len(s.unfinished))-s.marks[0].N >= uint64(s.terms.Window):
		return ErrWindow
	case s.amount+s.caps > s.funded || cap > s.funded-s.amount-s.caps:
		return ErrFunds
	case exposure > m.limits.Exposure || cap > m.limits.Exposure-exposure:
		return ErrExposure
	case m.kept >= m.limits.Unsettled:
		return ErrBusy
	case s.numbers.Len() >= MaxRanges:
		return ErrNumbers
	default:
		s.unfinished[ask.Request.Number] = ask
		s.caps += cap
		m.exposure[s.organisation()] += cap
	}
	return nil
}

// take records a voucher that reaches farther than what is vouched. It refuses one that is not for what the log says.
func (m *Meter) take(s *session, v voucher) (ticket uint64, err error) {
	if v.N < s.marks[0].N {
		return 0, nil
	}
	i := v.N - s.marks[0].N
	if i >= uint64(len(s.marks)) {
		return 0, fmt.Errorf("it is for %d uses of %d: %w", v.N, s.tree.Size(), ErrVoucher)
	}
	if at := s.marks[i].Mark; v.Amount != at.Amount || v.Root != at.Root {
		return 0, fmt.Errorf("%d uses come to %d and the root %s: %w", v.N, at.Amount, at.Root, ErrVoucher)
	}
	if i == 0 {
		return 0, nil
	}
	record, err := v.record()
	if err != nil {
		return 0, err
	}
	return m.write(record)
}

func (v voucher) record() (*journal.Writer, error) {
	encoded, err := v.Encode()
	if err != nil {
		return nil, err
	}
	record := journal.NewWriter(recordVoucher)
	record.Bytes(encoded)
	record.Bytes(v.signature)
	return record, nil
}

// Vouch takes a voucher that comes alone and returns once it is durable.
func (m *Meter) Vouch(v use.Voucher, signature []byte) error {
	if v.Request != (merkle.Hash{}) {
		return fmt.Errorf("take voucher: %w", ErrMismatch)
	}
	if err := m.verify(v, signature); err != nil {
		return fmt.Errorf("take voucher: %w", err)
	}
	return m.durably(func() (uint64, error) {
		s := m.sessions[v.Session]
		switch {
		case s == nil:
			return 0, ErrUnknown
		case s.ended:
			return 0, fmt.Errorf("take voucher: %w", ErrEnded)
		}
		ticket, err := m.take(s, voucher{v, signature})
		if err != nil {
			return 0, fmt.Errorf("take voucher: %w", err)
		}
		if ticket == 0 { // known, perhaps from a request, which does not wait
			return 0, m.log.Flush()
		}
		return ticket, nil
	})
}

// Commit makes an answer the next leaf of its session and returns once it is durable: then the last event may leave. The
// fee follows from the tokens, canonical ones of prompt and output. It fails with [ErrCap] when that exceeds the cap:
// the answer had to be stopped before, and can only be aborted.
func (m *Meter) Commit(now time.Time, sid merkle.Hash, number, in, out uint64, receipt merkle.Hash, evidence []byte) (a Answer, err error) {
	err = m.durably(func() (uint64, error) {
		s := m.sessions[sid]
		if s == nil {
			return 0, ErrUnknown
		}
		ask, ok := s.unfinished[number]
		switch {
		case !ok:
			return 0, ErrNoRequest
		case s.ended:
			return 0, ErrEnded
		}
		fee, err := use.Fee(in, out, s.card.PriceIn, s.card.PriceOut)
		if err != nil {
			return 0, err
		}
		if fee > ask.Request.Cap {
			return 0, fmt.Errorf("a fee of %d for a cap of %d: %w", fee, ask.Request.Cap, ErrCap)
		}
		a = Answer{Place: s.tree.Size(), At: uint64(now.Unix()), Ask: ask, Evidence: evidence,
			Leaf: use.Leaf{Session: sid, Number: number, Card: s.terms.Card, In: in, Out: out, Fee: fee, Receipt: receipt}}
		record, err := a.record()
		if err != nil {
			return 0, err
		}
		return m.write(record)
	})
	if err != nil {
		return Answer{}, fmt.Errorf("commit answer %d: %w", number, err)
	}
	return a, nil
}

// Abort ends a request without an answer: nothing is due. The consumer may send it again.
func (m *Meter) Abort(sid merkle.Hash, number uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[sid]
	if s == nil {
		return ErrUnknown
	}
	if _, ok := s.unfinished[number]; !ok {
		return ErrNoRequest
	}
	m.finish(s, number)
	return nil
}

// finish removes a request from those being answered.
func (m *Meter) finish(s *session, number uint64) {
	if ask, ok := s.unfinished[number]; ok {
		delete(s.unfinished, number)
		s.caps -= ask.Request.Cap
		m.exposure[s.organisation()] -= ask.Request.Cap
	}
}

// stored returns the answer to a request that has one.
func (m *Meter) stored(s *session, ask Ask) (*Answer, error) {
	if !s.ended {
		if _, err := m.take(s, voucher{ask.Voucher, ask.Signature}); err != nil {
			return nil, fmt.Errorf("admit request %d: %w", ask.Request.Number, err)
		}
	}
	place, ok := s.places[ask.Request.Number]
	if !ok {
		return nil, fmt.Errorf("request %d: %w", ask.Request.Number, ErrSettled)
	}
	a, err := m.read(s, place)
	if err != nil {
		return nil, err
	}
	if a.Ask.Request != ask.Request {
		return nil, fmt.Errorf("request %d: %w", ask.Request.Number, ErrConflict)
	}
	return &a, nil
}

// read returns a kept answer once it is durable.
func (m *Meter) read(s *session, place uint64) (Answer, error) {
	if err := m.log.Flush(); err != nil {
		return Answer{}, err
	}
	record, err := m.log.Read(s.kept[place-s.settled.N].offset)
	if err != nil {
		return Answer{}, err
	}
	a, err := decodeAnswer(record)
	a.Place = place
	return a, err
}

// Answers returns at most so many answers of a session from a place on, in order. Those that are settled are gone.
func (m *Meter) Answers(sid merkle.Hash, from uint64, most int) ([]Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[sid]
	if s == nil {
		return nil, ErrUnknown
	}
	if from < s.settled.N {
		return nil, fmt.Errorf("answer at place %d: %w", from, ErrSettled)
	}
	var list []Answer
	for place := from; place < s.tree.Size() && len(list) < most; place++ {
		a, err := m.read(s, place)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}
