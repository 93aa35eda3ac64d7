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

// updates are what the valid transactions of a block did so far, by key; nil is a deleted key.
type updates map[ledger.Key]*Entry

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
func (s *worldState) scan(r RangeRead, u updates) []Read {
	keys := slices.Clone(s.between(r.Start, r.End))
	for key := range u {
		if key >= r.Start && (r.End == "" || key < r.End) {
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
		entry, updated := u[key]
		if !updated {
			entry = s.entries[key]
		}
		if entry != nil {
			now = append(now, Read{Key: key, Version: &entry.Version})
		}
	}
	return now
}

func (s *worldState) apply(u updates) {
	for key, entry := range u {
		_, had := s.entries[key]
		switch {
		case entry == nil && had:
			s.removed = true
			delete(s.entries, key)
		case entry != nil:
			if !had {
				s.added = append(s.added, key)
			}
			s.entries[key] = entry
		}
	}
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
