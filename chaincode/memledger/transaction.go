package memledger

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// Flag is the verdict on a transaction, by the name of Fabric's validation code.
type Flag string

const (
	Valid                    Flag = "VALID"
	DuplicateTxID            Flag = "DUPLICATE_TXID"
	EndorsementPolicyFailure Flag = "ENDORSEMENT_POLICY_FAILURE"
	MVCCReadConflict         Flag = "MVCC_READ_CONFLICT"
	PhantomReadConflict      Flag = "PHANTOM_READ_CONFLICT"
)

// Version is the place of the transaction that last wrote a key.
type Version struct {
	Block uint64
	Tx    uint64
}

// Transaction is what ordering hands to a peer: what was read, what would be written, and who endorsed it.
type Transaction struct {
	ID        string // an empty id is never a duplicate
	Endorsers []string
	Reads     []Read
	Ranges    []RangeRead
	Writes    []Write
	Policies  []PolicyWrite
	// Settled, when not empty, is a verdict that the engine follows instead of its own, for transactions judged by
	// rules outside it (another chaincode's, a bad signature). The writes of a valid one are applied.
	Settled Flag
	// Endorsed says that its endorsements suffice by rules outside the engine, which judges the rest.
	Endorsed bool
	// Covered says that a policy which the engine does not know, as that of private data, was kept too. Then the chaincode's
	// own is not asked for a transaction that writes nothing else.
	Covered bool
	// Conflicts says that something it read that the engine does not know, as private data, has changed since.
	Conflicts bool
}

// Read is a key that the simulation read, and the version it saw: nil when the key was absent.
type Read struct {
	Key     ledger.Key
	Version *Version
}

// RangeRead is a range that the simulation read: the keys from Start up to, not including, End ("" is the last key).
// When the reader stopped early, Exhausted is false and End is the last key it saw, which then belongs to the range.
type RangeRead struct {
	Start, End ledger.Key
	Exhausted  bool
	Results    []Read
	// Same, when set, decides instead of Results whether the range as it is now is what was seen; Fabric records
	// long results as a digest.
	Same func(now []Read) bool `json:"-"`
}

// Write sets a key's value. Fabric takes an empty value for a deletion, and so does the engine.
type Write struct {
	Key    ledger.Key
	Value  []byte
	Delete bool
}

func (w Write) deletes() bool { return w.Delete || len(w.Value) == 0 }

// PolicyWrite sets a key's endorsement policy, or removes it when Policy is nil.
type PolicyWrite struct {
	Key    ledger.Key
	Policy *ledger.Policy
}

func sameVersion(a, b *Version) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func sameReads(a, b []Read) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || !sameVersion(a[i].Version, b[i].Version) {
			return false
		}
	}
	return true
}
