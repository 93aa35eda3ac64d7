package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Write is what a transaction does to one key.
type Write struct {
	Key    Key
	Value  []byte  // the new value; nil when the value is untouched
	Delete bool    // the key and its policy go
	Policy *Policy // the new endorsement policy; nil when untouched
}

// Event is a transaction's one event. Name is "domain.past-participle/version", the payload canonical JSON.
type Event struct {
	Name    string
	Payload []byte
}

// Outcome is what a transaction answers and does.
type Outcome struct {
	Response []byte  // canonical JSON
	Writes   []Write // by key, each key once
	Event    *Event  // present exactly when there are writes
}

// buffer runs one transaction over a Store: it remembers what was read (committed state does not change during a
// simulation) and collects the writes.
type buffer struct {
	store  Store
	read   map[Key][]byte
	writes map[Key]*Write
	event  *Event
	defect error // the first violation of the rules of writing
	memory *Memory
}

var _ Tx = (*buffer)(nil)

func newBuffer(store Store, memory *Memory) *buffer {
	return &buffer{store: store, memory: memory, read: map[Key][]byte{}, writes: map[Key]*Write{}}
}

func (b *buffer) TxID() string    { return b.store.TxID() }
func (b *buffer) Channel() string { return b.store.Channel() }
func (b *buffer) Time() time.Time { return b.store.Time() }
func (b *buffer) Caller() Caller  { return b.store.Caller() }

// remembers is for [Load].
func (b *buffer) remembers() *Memory { return b.memory }

func (b *buffer) Get(key Key) ([]byte, error) {
	if w, written := b.writes[key]; written && (w.Delete || w.Value != nil) {
		return nil, fmt.Errorf("read of %s after this transaction wrote it", key)
	}
	if _, ok := b.read[key]; !ok {
		if err := b.Prefetch(key); err != nil {
			return nil, err
		}
	}
	return b.read[key], nil
}

func (b *buffer) Prefetch(keys ...Key) error {
	missing := make([]Key, 0, len(keys))
	for _, key := range keys {
		if _, ok := b.read[key]; !ok {
			b.read[key] = nil // named twice, it is asked for once
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	values, err := b.store.States(missing)
	if err == nil && len(values) != len(missing) {
		err = fmt.Errorf("the ledger answered %d of %d keys", len(values), len(missing))
	}
	for i, key := range missing {
		if err != nil {
			delete(b.read, key)
		} else {
			b.read[key] = values[i]
		}
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

func (b *buffer) KeyPolicy(key Key) (Policy, bool, error) { return b.store.KeyPolicy(key) }

func (b *buffer) Put(key Key, value []byte) {
	if len(value) == 0 {
		b.violate("empty value written to %s", key)
		return
	}
	w := b.write(key)
	if w.Value != nil || w.Delete {
		b.violate("%s written twice", key)
	}
	w.Value = value
}

func (b *buffer) Delete(key Key) {
	w := b.write(key)
	if w.Value != nil || w.Delete || w.Policy != nil {
		b.violate("%s deleted after it was written", key)
	}
	w.Delete = true
}

func (b *buffer) Guard(key Key, p Policy) {
	w := b.write(key)
	if w.Delete || w.Policy != nil {
		b.violate("%s guarded twice or after its deletion", key)
	}
	w.Policy = &p
}

func (b *buffer) Emit(name string, body any) {
	payload, err := Encode(body)
	if err != nil {
		b.violate("event %s: %v", name, err)
		return
	}
	if b.event != nil {
		b.violate("event %s after event %s", name, b.event.Name)
	}
	b.event = &Event{Name: name, Payload: payload}
}

func (b *buffer) write(key Key) *Write {
	w, ok := b.writes[key]
	if !ok {
		w = &Write{Key: key}
		b.writes[key] = w
	}
	return w
}

func (b *buffer) violate(format string, args ...any) {
	b.defect = errors.Join(b.defect, fmt.Errorf(format, args...))
}

func (b *buffer) outcome(response any) (*Outcome, error) {
	if b.defect != nil {
		return nil, b.defect
	}
	if (b.event != nil) != (len(b.writes) > 0) {
		return nil, errors.New("a transaction has an event exactly when it writes")
	}
	doc, err := Encode(response)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Response: doc, Event: b.event, Writes: slices.Grow([]Write(nil), len(b.writes))}
	for _, w := range b.writes {
		out.Writes = append(out.Writes, *w)
	}
	slices.SortFunc(out.Writes, func(a, b Write) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return out, nil
}

// lister gives a query the buffer without its write half.
type lister struct{ *buffer }

func (l lister) Range(prefix, from Key, limit int) ([]Entry, Key, error) {
	return l.store.Range(prefix, from, limit)
}
