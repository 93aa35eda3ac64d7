package ledger

import "time"

// Store is what a ledger offers to the rules: committed state as of the moment the proposal is simulated, and what
// the signed proposal says. Implementations need not be safe for concurrent use. Errors are failures of the ledger
// itself, never the caller's fault.
type Store interface {
	// TxID is the transaction's id: 64 hex digits, unique among valid transactions.
	TxID() string
	// Channel is the channel's name.
	Channel() string
	// Time is the proposal's timestamp. The client chose it; each endorser refuses one that is further from its own
	// clock than the channel's window (15 minutes), and nothing bounds how long an endorsed transaction is held back.
	Time() time.Time
	// Caller is who signed the proposal.
	Caller() Caller
	// States returns the committed values of keys, in their order, nil for an absent one. Every key asked for is part
	// of the read set, absent ones too.
	States(keys []Key) ([][]byte, error)
	// KeyPolicy returns the committed endorsement policy of a key; ok is false when it has none.
	KeyPolicy(key Key) (p Policy, ok bool, err error)
	// Range returns up to limit keys with the given prefix and their values, ascending, beginning with the first key
	// that is not below from (from "" begins with the prefix), and the key to go on from, "" at the end. It is never
	// used by a transaction that writes.
	Range(prefix Key, from Key, limit int) (entries []Entry, next Key, err error)
}

// Entry is a key and its value.
type Entry struct {
	Key   Key
	Value []byte
}

// Reader is the read half of a transaction. Queries get only this, so the compiler forbids them to write.
type Reader interface {
	TxID() string
	Channel() string
	Time() time.Time
	Caller() Caller
	// Get returns the committed value of a key, nil when it is absent. The caller must not change the bytes.
	Get(key Key) ([]byte, error)
	// Prefetch fetches keys in one round trip to the peer, so that the Gets that follow cost none.
	Prefetch(keys ...Key) error
	// KeyPolicy returns the committed endorsement policy of a key; ok is false when it has none.
	KeyPolicy(key Key) (p Policy, ok bool, err error)
}

// Lister is a Reader that can list. Only queries get it: a range read by a transaction that writes would be checked
// again at commit, and fail whenever a neighbour came or went.
type Lister interface {
	Reader
	Range(prefix Key, from Key, limit int) (entries []Entry, next Key, err error)
}

// Tx is a transaction: reads of committed state, and writes that take effect when it commits.
type Tx interface {
	Reader
	// Put writes a value, which must not be empty (Fabric takes an empty value for a deletion).
	Put(key Key, value []byte)
	// Delete removes a key and its policy.
	Delete(key Key)
	// Guard sets the key's endorsement policy, from the next block on.
	Guard(key Key, p Policy)
	// Emit sets the transaction's event. Each transaction that writes emits exactly one.
	Emit(name string, body any)
}
