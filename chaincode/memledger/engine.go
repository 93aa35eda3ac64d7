package memledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// ErrPeersHalt is a block on which Fabric's peers do not answer at all, and which halts them again after a restart: a
// policy set without reading the key, where an earlier transaction of the block deleted it. The peer panics. Rules avoid
// it: a transaction that sets a policy reads the key or writes its value.
//
// Unmodified peers halt on more, which docs/fabric-limits.md lists. The engine judges as the peers do that this
// repository builds: a transaction that is dropped before its endorsements are looked at, as a duplicate of an earlier
// block is, sets no policy that a later one would have to wait for.
var ErrPeersHalt = errors.New("Fabric's peers halt on this block")

// Engine is the ledger of one chaincode. It is not safe for concurrent use.
type Engine struct {
	policy ledger.Policy
	state  worldState
	ids    map[string]bool
	height uint64
}

// NewEngine makes an empty ledger whose next block is block 0. The policy governs keys that have none of their own.
func NewEngine(policy ledger.Policy) *Engine {
	return &Engine{policy: policy, state: worldState{entries: map[ledger.Key]*Entry{}}, ids: map[string]bool{}}
}

// Resume makes a ledger that has a state and whose next block has the given number.
func Resume(height uint64, entries []*Entry, ids []string) *Engine {
	e := NewEngine(ledger.Policy{})
	e.height = height
	for _, entry := range entries {
		e.state.put(entry)
	}
	for _, id := range ids {
		e.ids[id] = true
	}
	return e
}

// IDs are those of all transactions so far, ascending.
func (e *Engine) IDs() []string { return slices.Sorted(maps.Keys(e.ids)) }

// Known tells whether a transaction of an earlier block has an id.
func (e *Engine) Known(id string) bool { return e.ids[id] }

// SetPolicy changes the chaincode's policy, from the next block on.
func (e *Engine) SetPolicy(p ledger.Policy) { e.policy = p }

// Height is the number of the next block.
func (e *Engine) Height() uint64 { return e.height }

// Get returns a committed entry, nil when the key is absent. The caller must not change it.
func (e *Engine) Get(key ledger.Key) *Entry { return e.state.entries[key] }

// GetIn is Get for a key that begins with the bytes of another string.
func (e *Engine) GetIn(prefix string, rest ledger.Key) *Entry {
	var room [256]byte
	return e.state.entries[ledger.Key(append(append(room[:0], prefix...), rest...))]
}

// State returns every committed entry, by key. The caller must not change them.
func (e *Engine) State() []*Entry { return e.between("", "") }

func (e *Engine) between(start, end ledger.Key) []*Entry {
	keys := e.state.between(start, end)
	entries := make([]*Entry, len(keys))
	for i, key := range keys {
		entries[i] = e.state.entries[key]
	}
	return entries
}

// Commit validates a block and applies its valid transactions. On an error, which is always [ErrPeersHalt], nothing
// was committed.
func (e *Engine) Commit(block []Transaction) ([]Flag, error) {
	flags, u, err := e.validate(block)
	if err != nil {
		return nil, err
	}
	e.commit(block, u)
	return flags, nil
}

// Follow validates a block, but commits it as if its verdicts were the given ones. It returns its own and what it did to
// which key, and changes the block where the verdicts differ.
func (e *Engine) Follow(block []Transaction, given []Flag) ([]Flag, []Update, error) {
	flags, u, err := e.validate(block)
	if err != nil {
		return nil, nil, err
	}
	differ := false
	for i := range block {
		if flags[i] != given[i] {
			differ, block[i].Settled = true, given[i]
		}
	}
	if differ {
		if _, u, err = e.validate(block); err != nil {
			return nil, nil, err
		}
	}
	e.commit(block, u)
	return flags, u.list, nil
}

func (e *Engine) commit(block []Transaction, u *updates) {
	e.state.apply(u)
	for _, tx := range block {
		if tx.ID != "" {
			e.ids[tx.ID] = true
		}
	}
	e.height++
}

func (e *Engine) validate(block []Transaction) ([]Flag, *updates, error) {
	flags := e.validateEndorsements(block)
	markDuplicates(block, flags)
	writes := 0
	for i := range block {
		writes += len(block[i].Writes)
	}
	u := newUpdates(writes)
	for i := range block {
		tx := &block[i]
		if flags[i] != Valid {
			continue
		}
		if tx.Settled == "" {
			flags[i] = e.validateReads(tx, u)
		}
		if flags[i] == Valid {
			if err := e.stage(tx, Version{Block: e.height, Tx: uint64(i)}, u); err != nil {
				return nil, nil, fmt.Errorf("block %d, transaction %d: %w", e.height, i, err)
			}
		}
	}
	return flags, u, nil
}

// validateEndorsements gives each transaction its first verdict: settled, duplicate of an earlier block, or what the
// policies say.
func (e *Engine) validateEndorsements(block []Transaction) []Flag {
	flags := make([]Flag, len(block))
	setters := map[ledger.Key][]int{} // transactions of this block that set the key's policy
	for i, tx := range block {
		switch {
		case tx.Settled != "":
			flags[i] = tx.Settled
		case tx.ID != "" && e.ids[tx.ID]:
			flags[i] = DuplicateTxID
		case tx.Endorsed:
			flags[i] = Valid
		default:
			flags[i] = e.validateEndorsement(tx, flags, setters)
		}
		for _, p := range tx.Policies {
			setters[p.Key] = append(setters[p.Key], i)
		}
	}
	return flags
}

func (e *Engine) validateEndorsement(tx Transaction, earlier []Flag, setters map[ledger.Key][]int) Flag {
	guarded, unguarded := false, false
	for i := range len(tx.Writes) + len(tx.Policies) {
		var key ledger.Key
		if i < len(tx.Writes) {
			key = tx.Writes[i].Key
		} else {
			key = tx.Policies[i-len(tx.Writes)].Key
		}
		for _, setter := range setters[key] {
			switch earlier[setter] {
			case EndorsementPolicyFailure:
			case Valid, MVCCReadConflict, PhantomReadConflict: // its endorsements were good; its reads make no difference
				return EndorsementPolicyFailure
			default: // dropped before its endorsements were looked at
			}
		}
		switch entry := e.state.entries[key]; {
		case entry != nil && entry.Policy != nil:
			if !satisfied(*entry.Policy, tx.Endorsers) {
				return EndorsementPolicyFailure
			}
			guarded = true
		case !unguarded:
			if !satisfied(e.policy, tx.Endorsers) {
				return EndorsementPolicyFailure
			}
			unguarded = true
		}
	}
	if !guarded && !unguarded && !tx.Covered && !satisfied(e.policy, tx.Endorsers) {
		return EndorsementPolicyFailure
	}
	return Valid
}

// markDuplicates keeps the first of equal ids among the transactions whose endorsements were good.
func markDuplicates(block []Transaction, flags []Flag) {
	seen := map[string]bool{}
	for i, tx := range block {
		if flags[i] != Valid || tx.ID == "" {
			continue
		}
		if seen[tx.ID] && tx.Settled == "" {
			flags[i] = DuplicateTxID
		}
		seen[tx.ID] = true
	}
}

func (e *Engine) validateReads(tx *Transaction, u *updates) Flag {
	for _, read := range tx.Reads {
		if u.of(read.Key) != nil || !sameVersion(read.Version, e.state.version(read.Key)) {
			return MVCCReadConflict
		}
	}
	for _, r := range tx.Ranges {
		now := e.state.scan(r, u)
		if r.Same != nil {
			if !r.Same(now) {
				return PhantomReadConflict
			}
		} else if !sameReads(r.Results, now) {
			return PhantomReadConflict
		}
	}
	if tx.Conflicts {
		return MVCCReadConflict
	}
	return Valid
}

// stage adds a valid transaction's writes to the block's updates. A value keeps the key's policy, a policy keeps its
// value, and either gives the key this transaction's version; a policy for an absent key does nothing.
func (e *Engine) stage(tx *Transaction, at Version, u *updates) error {
	for _, change := range tx.changes() {
		update := u.of(change.key)
		var before *Entry
		if update != nil {
			before = update.After
		} else {
			before = e.state.entries[change.key]
		}
		after := &Entry{Key: change.key, Version: at, Value: change.value, Policy: change.policy}
		switch {
		case change.deletes:
			after = nil
		case change.puts && !change.guards && before != nil:
			after.Policy = before.Policy
		case change.puts:
		case before != nil:
			after.Value = before.Value
		case update != nil:
			return fmt.Errorf("%s: policy set on a key that this block deleted: %w", change.key, ErrPeersHalt)
		default:
			continue
		}
		if update == nil {
			update = u.add(Update{Key: change.key, Before: before})
		}
		update.After, update.At = after, at
	}
	return nil
}

// keyChange is all that one transaction does to one key.
type keyChange struct {
	key                   ledger.Key
	puts, deletes, guards bool
	value                 []byte
	policy                *ledger.Policy
}

// changes lists them, each key once.
func (tx *Transaction) changes() []keyChange {
	const few = 8 // in so many a key is found without a map
	changes := make([]keyChange, 0, len(tx.Writes)+len(tx.Policies))
	var known map[ledger.Key]int
	if cap(changes) > few {
		known = make(map[ledger.Key]int, cap(changes))
	}
	of := func(key ledger.Key) *keyChange {
		i, ok := known[key]
		if known == nil {
			i = slices.IndexFunc(changes, func(c keyChange) bool { return c.key == key })
			ok = i >= 0
		}
		if ok {
			return &changes[i]
		}
		if known != nil {
			known[key] = len(changes)
		}
		changes = append(changes, keyChange{key: key})
		return &changes[len(changes)-1]
	}
	for _, w := range tx.Writes {
		change := of(w.Key)
		change.value, change.deletes, change.puts = w.Value, w.deletes(), !w.deletes()
	}
	for _, p := range tx.Policies {
		change := of(p.Key)
		change.guards, change.policy = true, p.Policy
	}
	return changes
}
