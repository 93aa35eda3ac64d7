package wallet

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
	recordSession = 1
	recordTopUp   = 2
	recordBudget  = 3
	recordReserve = 4
	recordAsk     = 5
	recordAccept  = 6
	recordDrop    = 7
	recordStop    = 8
	recordEnd     = 9
	recordSpent   = 10
)

// errRecord is a record that does not follow from the ones before.
var errRecord = errors.New("the record does not follow from the ones before")

func newSession(sid merkle.Hash, channel string, terms use.Terms, prices Prices) *session {
	return &session{id: sid, channel: channel, terms: terms, prices: prices, funded: terms.Escrow, topUps: map[string]uint64{},
		tree: &merkle.Frontier{}, waiting: map[uint64]request{}}
}

// record is the session as it is, without the requests that wait.
func (s *session) record() (*journal.Writer, error) {
	terms, err := s.terms.Encode(s.channel)
	if err != nil {
		return nil, err
	}
	w := journal.NewWriter(recordSession)
	w.Bytes(terms)
	for _, n := range []uint64{s.prices.In, s.prices.Out, s.tree.Size(), s.amount, s.reserved} {
		w.Uint64(n)
	}
	w.Hashes(s.tree.Peaks())
	w.Hash(s.last)
	w.String(s.stopped)
	w.Bool(s.ended)
	ranges := s.signed.Ranges()
	w.Uint64(uint64(len(ranges)))
	for _, r := range ranges {
		w.Uint64(r.First)
		w.Uint64(r.Last)
	}
	w.Uint64(uint64(len(s.topUps)))
	for _, id := range slices.Sorted(maps.Keys(s.topUps)) {
		w.String(id)
		w.Uint64(s.topUps[id])
	}
	return w, nil
}

func (w *Wallet) applySession(r *journal.Reader) error {
	channel, terms, err := use.DecodeTerms(r.Bytes())
	if err != nil {
		return err
	}
	sid, err := terms.Session(channel)
	if err != nil {
		return err
	}
	s := newSession(sid, channel, terms, Prices{r.Uint64(), r.Uint64()})
	size := r.Uint64()
	s.amount, s.reserved = r.Uint64(), r.Uint64()
	s.next = s.reserved
	peaks := r.Hashes()
	s.last, s.stopped, s.ended = r.Hash(), r.String(), r.Bool()
	var ranges []numbers.Range
	for range r.Count(16) {
		ranges = append(ranges, numbers.Range{First: r.Uint64(), Last: r.Uint64()})
	}
	for range r.Count(4 + 8) {
		id, amount := r.String(), r.Uint64()
		s.topUps[id] = amount
		s.funded += amount
	}
	if err := r.End(); err != nil {
		return err
	}
	if s.signed, err = numbers.Of(ranges); err != nil {
		return err
	}
	if s.tree, err = merkle.NewFrontier(size, peaks); err != nil {
		return err
	}
	if w.sessions[sid] != nil {
		return errRecord
	}
	w.sessions[sid] = s
	return nil
}

// apply changes the state as a record says. Live and in replay it is the only code that does, but for the next number.
func (w *Wallet) apply(record []byte) error {
	kind, r := journal.NewReader(record)
	if err := w.applyKind(kind, r); err != nil {
		return fmt.Errorf("record of kind %d: %w", kind, err)
	}
	return nil
}

func (w *Wallet) applyKind(kind byte, r *journal.Reader) error {
	switch kind {
	case recordSession:
		return w.applySession(r)
	case recordBudget:
		key, b := r.String(), Budget{r.Uint64(), r.Uint64()}
		if err := r.End(); err != nil {
			return err
		}
		if w.keys[key] == nil {
			w.keys[key] = &account{}
		}
		w.keys[key].Budget = b
		return nil
	case recordSpent:
		key, spent := r.String(), r.Uint64()
		if err := r.End(); err != nil {
			return err
		}
		if w.keys[key] == nil {
			return errRecord
		}
		w.keys[key].spent = spent
		return nil
	case recordAccept:
		leaf, err := use.DecodeLeaf(r.Bytes())
		if err = errors.Join(err, r.End()); err != nil {
			return err
		}
		hash, err := leaf.Hash()
		if err != nil {
			return err
		}
		s := w.sessions[leaf.Session]
		if s == nil || s.signed.Has(leaf.Number) || s.amount+leaf.Fee > use.MaxAmount {
			return errRecord
		}
		w.accept(s, leaf, hash)
		return nil
	}
	s := w.sessions[r.Hash()]
	var change func()
	switch kind {
	case recordTopUp:
		id, amount := r.String(), r.Uint64()
		change = func() { s.topUps[id] = amount; s.funded += amount }
	case recordReserve:
		to := r.Uint64()
		change = func() { s.reserved = to }
	case recordAsk:
		asked := request{use.Request{Number: r.Uint64(), Cap: r.Uint64(), Body: r.Hash()}, r.String()}
		change = func() {
			s.waiting[asked.Number] = asked
			s.caps += asked.Cap
			if a := w.keys[asked.key]; a != nil {
				a.caps += asked.Cap
			}
		}
	case recordDrop:
		number := r.Uint64()
		change = func() { w.drop(s, number, 0) }
	case recordStop:
		reason := r.String()
		change = func() { s.stopped = reason; s.move() }
	case recordEnd:
		change = func() {
			for number := range s.waiting {
				w.drop(s, number, 0)
			}
			s.ended = true
			s.move()
		}
	default:
		return errors.New("the kind is unknown: was it written by a later version?")
	}
	if err := r.End(); err != nil {
		return err
	}
	if s == nil {
		return errRecord
	}
	change()
	return nil
}

// Compact rewrites the journal as the state that it leads to. Of sessions that have ended nothing is kept but what their
// API keys have spent.
func (w *Wallet) Compact() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.log.Rewrite(func(add func([]byte) (int64, error)) error {
		return w.checkpoint(func(record *journal.Writer) error { _, err := add(*record); return err })
	}); err != nil {
		return fmt.Errorf("compact wallet: %w", err)
	}
	for sid, s := range w.sessions {
		s.ticket = 0
		if s.ended {
			delete(w.sessions, sid)
		}
	}
	return nil
}

func (w *Wallet) checkpoint(add func(*journal.Writer) error) error {
	for _, key := range slices.Sorted(maps.Keys(w.keys)) {
		a := w.keys[key]
		budget, spent := journal.NewWriter(recordBudget), journal.NewWriter(recordSpent)
		budget.String(key)
		budget.Uint64(a.Total)
		budget.Uint64(a.Request)
		spent.String(key)
		spent.Uint64(a.spent)
		if err := errors.Join(add(budget), add(spent)); err != nil {
			return err
		}
	}
	for _, sid := range slices.SortedFunc(maps.Keys(w.sessions), func(a, b merkle.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		s := w.sessions[sid]
		if s.ended {
			continue
		}
		record, err := s.record()
		if err != nil {
			return err
		}
		if err := add(record); err != nil {
			return err
		}
		for _, q := range slices.Sorted(maps.Keys(s.waiting)) {
			asked := s.waiting[q]
			if err := add(asked.record(sid)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r request) record(sid merkle.Hash) *journal.Writer {
	w := journal.NewWriter(recordAsk)
	w.Hash(sid)
	w.Uint64(r.Number)
	w.Uint64(r.Cap)
	w.Hash(r.Body)
	w.String(r.key)
	return w
}
