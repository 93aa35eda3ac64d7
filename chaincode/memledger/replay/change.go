package replay

import (
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// Change is what a block did to one key, of whatever chaincode.
type Change struct {
	Namespace string
	// Collection is that of private data, of which a block holds only hashes: Key and Value are then those hashes.
	Collection string
	Key        string
	Value      []byte // nil when the key was deleted
	// Version is the place of the transaction that did it last.
	Version memledger.Version
	// Before and After are the committed entry around the block, nil for an absent one and for private data.
	Before, After *memledger.Entry
}

// changesOf are the keys that a block's valid transactions touched. A policy for a key that is absent does nothing.
func changesOf(updates []memledger.Update) []Change {
	changes := make([]Change, len(updates))
	for i, u := range updates {
		namespace, name, _ := strings.Cut(string(u.Key), "\x00")
		changes[i] = Change{Namespace: namespace, Key: name, Version: u.At, Before: u.Before, After: u.After}
		if u.After != nil {
			changes[i].Value = u.After.Value
		}
	}
	return changes
}
