package meter

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// The kinds of record.
const (
	recordBase    = 1 // a session as it is settled; what follows of it builds on that
	recordTopUp   = 2
	recordEnd     = 3
	recordVoucher = 4
	recordAnswer  = 5
	recordSettle  = 6
	recordSettled = 7
	recordRefused = 8
	recordForget  = 9
)

// errRecord is a record that does not follow from the ones before.
var errRecord = errors.New("the record does not follow from the ones before")

// apply changes the state as a record says. Live and in replay it is the only code that does.
func (m *Meter) apply(offset int64, record []byte) (err error) {
	kind, r := journal.NewReader(record)
	switch kind {
	case recordBase:
		err = m.applyBase(r)
	case recordAnswer:
		err = m.applyAnswer(offset, record)
	case recordVoucher:
		err = m.applyVoucher(r)
	case recordSettle:
		err = m.applySettle(r)
	case recordSettled, recordRefused:
		id := r.String()
		if err = r.End(); err == nil {
			err = m.applyOutcome(id, kind == recordSettled)
		}
	case recordTopUp:
		sid, t := r.Hash(), topUp{id: r.String(), amount: r.Uint64()}
		s := m.sessions[sid]
		if err = r.End(); err == nil && s == nil {
			err = errRecord
		}
		if err == nil {
			s.topUps = append(s.topUps, t)
			s.funded += t.amount
		}
	case recordEnd, recordForget:
		sid := r.Hash()
		s := m.sessions[sid]
		if err = r.End(); err == nil && s == nil {
			err = errRecord
		}
		if err == nil {
			m.end(s)
			if kind == recordForget {
				m.drop(s, len(s.kept))
				delete(m.sessions, sid)
			}
		}
	default:
		err = fmt.Errorf("kind %d is unknown: was it written by a later version?", kind)
	}
	if err != nil {
		return fmt.Errorf("record at %d: %w", offset, err)
	}
	return nil
}

// drop forgets the oldest answers of a session.
func (m *Meter) drop(s *session, n int) {
	for _, k := range s.kept[:n] {
		delete(s.places, k.number)
		m.live -= int64(k.size)
	}
	s.kept = slices.Clone(s.kept[n:])
	m.kept -= n
}

// end stops a session: what it owes beyond its vouchers counts to nobody's exposure any more.
func (m *Meter) end(s *session) {
	if s.ended {
		return
	}
	for number := range s.unfinished {
		m.finish(s, number)
	}
	m.exposure[s.organisation()] -= s.owed()
	if m.exposure[s.organisation()] == 0 {
		delete(m.exposure, s.organisation())
	}
	s.ended = true
}

func newSession(sid merkle.Hash, channel string, terms use.Terms, card Card) *session {
	start := mark{Mark: use.Mark{Root: merkle.Root(nil)}}
	return &session{id: sid, channel: channel, terms: terms, card: card, tree: &merkle.Frontier{}, marks: []mark{start}, settled: start,
		places: map[uint64]uint64{}, unfinished: map[uint64]Ask{}, funded: terms.Escrow, counted: terms.Escrow}
}

// base is the record of a session as it is settled, without what is not.
func (s *session) base() (*journal.Writer, error) {
	terms, err := s.terms.Encode(s.channel)
	if err != nil {
		return nil, err
	}
	w := journal.NewWriter(recordBase)
	w.Bytes(terms)
	for _, n := range []uint64{s.card.PriceIn, s.card.PriceOut, s.card.Data} {
		w.Uint64(n)
	}
	w.Bool(s.ended)
	w.Uint64(s.settled.N)
	w.Uint64(s.settled.Amount)
	w.Hashes(s.settled.peaks)
	ranges := s.numbers.Ranges()
	w.Uint64(uint64(len(ranges)))
	for _, r := range ranges {
		w.Uint64(r.First)
		w.Uint64(r.Last)
	}
	w.Uint64(uint64(len(s.topUps)))
	for _, t := range s.topUps {
		w.String(t.id)
		w.Uint64(t.amount)
		w.Bool(t.counted)
	}
	return w, nil
}

func (m *Meter) applyBase(r *journal.Reader) error {
	channel, terms, err := use.DecodeTerms(r.Bytes())
	if err != nil {
		return err
	}
	sid, err := terms.Session(channel)
	if err != nil {
		return err
	}
	s := newSession(sid, channel, terms, Card{Digest: terms.Card, PriceIn: r.Uint64(), PriceOut: r.Uint64(), Data: r.Uint64()})
	s.ended = r.Bool()
	s.settled.N, s.settled.Amount, s.settled.peaks = r.Uint64(), r.Uint64(), r.Hashes()
	var ranges []numbers.Range
	for range r.Count(16) {
		ranges = append(ranges, numbers.Range{First: r.Uint64(), Last: r.Uint64()})
	}
	for range r.Count(4 + 8 + 1) {
		t := topUp{id: r.String(), amount: r.Uint64(), counted: r.Bool()}
		s.topUps = append(s.topUps, t)
		s.funded += t.amount
		if t.counted {
			s.counted += t.amount
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	if s.numbers, err = numbers.Of(ranges); err != nil {
		return err
	}
	if s.tree, err = merkle.NewFrontier(s.settled.N, s.settled.peaks); err != nil {
		return err
	}
	s.settled.Root = s.tree.Root()
	s.amount = s.settled.Amount
	s.marks = []mark{s.settled}
	if m.sessions[sid] != nil {
		return errRecord
	}
	m.sessions[sid] = s
	return nil
}

func (a Answer) record() (*journal.Writer, error) {
	leaf, err := a.Leaf.Encode()
	if err != nil {
		return nil, err
	}
	vouched, err := a.Ask.Voucher.Encode()
	if err != nil {
		return nil, err
	}
	w := journal.NewWriter(recordAnswer)
	w.Bytes(leaf)
	w.Uint64(a.At)
	w.Uint64(a.Ask.Request.Cap)
	w.Hash(a.Ask.Request.Body)
	w.Bytes(vouched)
	w.Bytes(a.Ask.Signature)
	w.Bytes(a.Evidence)
	return w, nil
}

func decodeAnswer(record []byte) (a Answer, err error) {
	kind, r := journal.NewReader(record)
	if kind != recordAnswer {
		return a, errRecord
	}
	leaf := r.Bytes()
	a.At = r.Uint64()
	a.Ask.Request = use.Request{Cap: r.Uint64(), Body: r.Hash()}
	vouched := r.Bytes()
	a.Ask.Signature, a.Evidence = r.Bytes(), r.Bytes()
	if err := r.End(); err != nil {
		return a, err
	}
	if a.Leaf, err = use.DecodeLeaf(leaf); err != nil {
		return a, err
	}
	a.Ask.Request.Number = a.Leaf.Number
	a.Ask.Voucher, err = use.DecodeVoucher(vouched)
	return a, err
}

func (m *Meter) applyAnswer(offset int64, record []byte) error {
	a, err := decodeAnswer(record)
	if err != nil {
		return err
	}
	s := m.sessions[a.Leaf.Session]
	if s == nil {
		return errRecord
	}
	if _, twice := s.places[a.Leaf.Number]; twice || s.amount+a.Leaf.Fee > use.MaxAmount {
		return errRecord
	}
	hash, err := a.Leaf.Hash()
	if err != nil {
		return err
	}
	m.finish(s, a.Leaf.Number)
	place := s.tree.Size()
	s.tree.Append(hash)
	s.amount += a.Leaf.Fee
	s.marks = append(s.marks, mark{use.Mark{N: place + 1, Amount: s.amount, Root: s.tree.Root()}, s.tree.Peaks()})
	s.kept = append(s.kept, kept{offset, a.At, a.Leaf.Number, len(record)})
	s.places[a.Leaf.Number] = place
	s.numbers.Add(a.Leaf.Number)
	if !s.ended {
		m.exposure[s.organisation()] += a.Leaf.Fee
	}
	m.kept++
	m.live += int64(len(record))
	return nil
}

func (m *Meter) applyVoucher(r *journal.Reader) error {
	encoded, signature := r.Bytes(), bytes.Clone(r.Bytes())
	if err := r.End(); err != nil {
		return err
	}
	v, err := use.DecodeVoucher(encoded)
	if err != nil {
		return err
	}
	s := m.sessions[v.Session]
	if s == nil || v.N < s.marks[0].N || v.N-s.marks[0].N >= uint64(len(s.marks)) {
		return errRecord
	}
	i := v.N - s.marks[0].N
	if v.Amount != s.marks[i].Amount || v.Root != s.marks[i].Root {
		return errRecord
	}
	if !s.ended {
		m.exposure[s.organisation()] -= s.marks[i].Amount - s.marks[0].Amount
	}
	s.marks = slices.Clone(s.marks[i:])
	s.vouched = voucher{v, signature}
	return nil
}

// checkpoint adds the records from which replay reaches the state as it is: sessions ascending by id, each as it is
// settled, then its answers and the latest voucher; at last the settlements that wait. It returns where answers lie.
func (m *Meter) checkpoint(add func([]byte) (int64, error)) (offsets map[merkle.Hash][]int64, err error) {
	offsets = map[merkle.Hash][]int64{}
	for _, sid := range slices.SortedFunc(maps.Keys(m.sessions), func(a, b merkle.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		s := m.sessions[sid]
		base, err := s.base()
		if err != nil {
			return nil, err
		}
		if _, err := add(*base); err != nil {
			return nil, err
		}
		for _, k := range s.kept {
			record, err := m.log.Read(k.offset)
			if err != nil {
				return nil, err
			}
			offset, err := add(record)
			if err != nil {
				return nil, err
			}
			offsets[sid] = append(offsets[sid], offset)
		}
		if s.marks[0].N > s.settled.N {
			record, err := s.vouched.record()
			if err != nil {
				return nil, err
			}
			if _, err := add(*record); err != nil {
				return nil, err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.pending)) {
		record, err := m.pending[id].record()
		if err != nil {
			return nil, err
		}
		if _, err := add(*record); err != nil {
			return nil, err
		}
	}
	return offsets, nil
}

// Compact rewrites the journal without what is settled.
func (m *Meter) Compact() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.log.Flush(); err != nil {
		return err
	}
	var offsets map[merkle.Hash][]int64
	if err := m.log.Rewrite(func(add func([]byte) (int64, error)) (err error) {
		offsets, err = m.checkpoint(add)
		return err
	}); err != nil {
		return fmt.Errorf("compact meter: %w", err)
	}
	for sid, list := range offsets {
		for i, offset := range list {
			m.sessions[sid].kept[i].offset = offset
		}
	}
	return nil
}

// Garbage is about how many bytes Compact would free.
func (m *Meter) Garbage() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.log.Size()-m.live)
}
