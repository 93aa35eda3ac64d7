package replay

import (
	"strings"

	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

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

// hashed is what the block's valid transactions did to private data; of several writes to a key the last one counts.
func (p *Prepared) hashed() []Change {
	var changes []Change
	at := map[[3]string]int{}
	for i, tx := range p.transactions {
		if p.flags[i] != memledger.Valid {
			continue
		}
		for _, change := range tx.hashes {
			change.Version = memledger.Version{Block: p.number, Tx: uint64(i)}
			key := [3]string{change.Namespace, change.Collection, change.Key}
			if j, ok := at[key]; ok {
				changes[j] = change
				continue
			}
			at[key] = len(changes)
			changes = append(changes, change)
		}
	}
	return changes
}

func hashedWrites(set *rwsetutil.TxRwSet) []Change {
	var changes []Change
	for _, ns := range set.NsRwSets {
		for _, collection := range ns.CollHashedRwSets {
			for _, w := range collection.HashedRwSet.GetHashedWrites() {
				c := Change{Namespace: ns.NameSpace, Collection: collection.CollectionName, Key: string(w.GetKeyHash())}
				if !w.GetIsDelete() && !w.GetIsPurge() {
					c.Value = w.GetValueHash()
				}
				changes = append(changes, c)
			}
		}
	}
	return changes
}
