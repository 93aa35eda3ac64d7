package memledger

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Entry is one key of the world state. Policy is nil when the chaincode's own policy governs it.
type Entry struct {
	Key     ledger.Key
	Value   []byte
	Version Version
	Policy  *ledger.Policy
}

// worldState is the committed state. Its keys are put in order only when a range is read: rules that write read none.
type worldState struct {
	entries map[ledger.Key]*Entry
	keys    []ledger.Key // in order, but for those added since; some may be gone
	added   []ledger.Key
	removed bool
}

// Update is what a block did to one key.
type Update struct {
	Key ledger.Key
	// Before and After are the entry around the block, nil for an absent one.
	Before, After *Entry
	// At is the place of the transaction that did it last.
	At Version
}

// updates are what the valid transactions of a block did so far, each key once, in the order of the first change.
type updates struct {
	list []Update
	at   map[ledger.Key]int
}

func newUpdates(size int) *updates {
	return &updates{list: make([]Update, 0, size), at: make(map[ledger.Key]int, size)}
}

// of is the update of a key, nil when there is none. It is good until the next one is added.
func (u *updates) of(key ledger.Key) *Update {
	if i, ok := u.at[key]; ok {
		return &u.list[i]
	}
	return nil
}

func (u *updates) add(update Update) *Update {
	u.at[update.Key] = len(u.list)
	u.list = append(u.list, update)
	return &u.list[len(u.list)-1]
}

func (s *worldState) version(key ledger.Key) *Version {
	if e, ok := s.entries[key]; ok {
		return &e.Version
	}
	return nil
}

// between returns the committed keys from start up to, not including, end.
func (s *worldState) between(start, end ledger.Key) []ledger.Key {
	s.order()
	lo, _ := slices.BinarySearch(s.keys, start)
	hi := len(s.keys)
	if end != "" {
		hi, _ = slices.BinarySearch(s.keys, end)
	}
	return s.keys[lo:max(lo, hi)]
}

// scan re-reads a range over committed state and the block's updates.
func (s *worldState) scan(r RangeRead, u *updates) []Read {
	keys := slices.Clone(s.between(r.Start, r.End))
	for _, update := range u.list {
		if key := update.Key; key >= r.Start && (r.End == "" || key < r.End) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if !r.Exhausted {
		keys = append(keys, r.End)
	}
	var now []Read
	for _, key := range keys {
		entry := s.entries[key]
		if update := u.of(key); update != nil {
			entry = update.After
		}
		if entry != nil {
			now = append(now, Read{Key: key, Version: &entry.Version})
		}
	}
	return now
}

func (s *worldState) apply(u *updates) {
	for i := range u.list {
		switch update := &u.list[i]; {
		case update.After != nil && update.Before != nil:
			s.entries[update.Key] = update.After
		case update.After != nil:
			s.put(update.After)
		case update.Before != nil:
			s.removed = true
			delete(s.entries, update.Key)
		}
	}
}

// put adds an entry that was not there.
func (s *worldState) put(entry *Entry) {
	s.added = append(s.added, entry.Key)
	s.entries[entry.Key] = entry
}

// order brings the keys up to date.
func (s *worldState) order() {
	if s.removed {
		gone := func(key ledger.Key) bool { return s.entries[key] == nil }
		s.keys, s.added = slices.DeleteFunc(s.keys, gone), slices.DeleteFunc(s.added, gone)
		s.removed = false
	}
	if len(s.added) > 0 {
		slices.Sort(s.added)
		s.keys = slices.Compact(merge(s.keys, slices.Compact(s.added))) // a key may have gone and come back
		s.added = nil
	}
}

// merge inserts sorted keys into sorted keys; one that is in both then stands twice.
func merge(keys, added []ledger.Key) []ledger.Key {
	keys = slices.Grow(keys, len(added))
	i, j := len(keys)-1, len(added)-1
	keys = keys[:len(keys)+len(added)]
	for at := len(keys) - 1; j >= 0; at-- {
		if i >= 0 && keys[i] > added[j] {
			keys[at] = keys[i]
			i--
		} else {
			keys[at] = added[j]
			j--
		}
	}
	return keys
}
