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

// worldState is the committed state, its keys in order.
type worldState struct {
	entries map[ledger.Key]*Entry
	keys    []ledger.Key
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
	var added []ledger.Key
	removed := false
	for key, entry := range u {
		_, had := s.entries[key]
		switch {
		case entry == nil:
			removed = removed || had
			delete(s.entries, key)
		default:
			if !had {
				added = append(added, key)
			}
			s.entries[key] = entry
		}
	}
	if removed {
		s.keys = slices.DeleteFunc(s.keys, func(key ledger.Key) bool { return s.entries[key] == nil })
	}
	if len(added) > 0 {
		slices.Sort(added)
		s.keys = merge(s.keys, added)
	}
}

// merge inserts sorted keys into sorted keys; none is in both.
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
