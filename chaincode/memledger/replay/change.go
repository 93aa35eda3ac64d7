package replay

import (
	"strings"

	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
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

	full ledger.Key // of the engine
}

// before lists the keys that a block's valid transactions touch, with their state before it. A policy for a key that is
// absent does nothing.
func (r *Replayer) before(p *Prepared) []Change {
	writes := 0
	for i, tx := range p.transactions {
		if p.flags[i] == memledger.Valid {
			writes += len(tx.Writes)
		}
	}
	changes := make([]Change, 0, writes)
	at := make(map[ledger.Key]int, writes)
	touch := func(key ledger.Key, tx int) {
		version := memledger.Version{Block: p.number, Tx: uint64(tx)}
		if i, ok := at[key]; ok {
			changes[i].Version = version
			return
		}
		namespace, name, _ := strings.Cut(string(key), "\x00")
		at[key] = len(changes)
		changes = append(changes, Change{Namespace: namespace, Key: name, Version: version, Before: r.engine.Get(key), full: key})
	}
	for i, tx := range p.transactions {
		if p.flags[i] != memledger.Valid {
			continue
		}
		for _, w := range tx.Writes {
			touch(w.Key, i)
		}
		for _, w := range tx.Policies {
			if _, touched := at[w.Key]; touched || r.engine.Get(w.Key) != nil {
				touch(w.Key, i)
			}
		}
	}
	return changes
}

// after completes the changes when the block is committed.
func (r *Replayer) after(changes []Change) {
	for i := range changes {
		c := &changes[i]
		if c.After = r.engine.Get(c.full); c.After != nil {
			c.Value = c.After.Value
		}
	}
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
