package replay

import (
	"slices"
	"strings"

	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// implicitCollection, and an MSP ID, is the name of the collection that each organisation has in every chaincode. It endorses
// alone what is written there.
const implicitCollection = "_implicit_org_"

// ImplicitOwner is the organisation whose implicit collection it is; false for any other collection.
func ImplicitOwner(collection string) (msp string, ok bool) {
	return strings.CutPrefix(collection, implicitCollection)
}

// privateKey is a key of private data as blocks have it.
type privateKey struct{ namespace, collection, hash string }

// privateRead is what a transaction read of private data: nil when the key was absent.
type privateRead struct {
	key     privateKey
	version *memledger.Version
}

func privateReads(set *rwsetutil.TxRwSet) []privateRead {
	var reads []privateRead
	for _, ns := range set.NsRwSets {
		for _, collection := range ns.CollHashedRwSets {
			for _, read := range collection.HashedRwSet.GetHashedReads() {
				r := privateRead{key: privateKey{ns.NameSpace, collection.CollectionName, string(read.GetKeyHash())}}
				if v := read.GetVersion(); v != nil {
					r.version = &memledger.Version{Block: v.GetBlockNum(), Tx: v.GetTxNum()}
				}
				reads = append(reads, r)
			}
		}
	}
	return reads
}

// privateWrite is all that a transaction does to one key of private data.
type privateWrite struct {
	key   privateKey
	value []byte // hash of the value
	does  uint8  // the sum of what each of its entries does, as Fabric adds it up
}

// What an entry does to a key.
const (
	puts = 1 << iota
	guards
	unguards
	deletes
)

func privateWrites(set *rwsetutil.TxRwSet) []privateWrite {
	var writes []privateWrite
	at := map[privateKey]int{}
	of := func(key privateKey) *privateWrite {
		i, known := at[key]
		if !known {
			i, at[key] = len(writes), len(writes)
			writes = append(writes, privateWrite{key: key})
		}
		return &writes[i]
	}
	for _, ns := range set.NsRwSets {
		for _, collection := range ns.CollHashedRwSets {
			if collection.CollectionName == "" {
				continue // public writes, for peers
			}
			for _, w := range collection.HashedRwSet.GetHashedWrites() {
				one := of(privateKey{ns.NameSpace, collection.CollectionName, string(w.GetKeyHash())})
				if rwsetutil.IsKVWriteHashDelete(w) {
					one.does += deletes
				} else {
					one.does, one.value = one.does+puts, w.GetValueHash()
				}
			}
			for _, w := range collection.HashedRwSet.GetMetadataWrites() {
				one := of(privateKey{ns.NameSpace, collection.CollectionName, string(w.GetKeyHash())})
				if w.GetEntries() == nil {
					one.does += unguards
				} else {
					one.does += guards
				}
			}
		}
	}
	return writes
}

// private is what blocks show of private data: each organisation approves a chaincode definition in a collection of its own,
// and may write there what it likes.
type private struct {
	keys  map[privateKey]changed
	whole bool // all blocks went by: a key that is not there is absent
}

// changed is a key after its last change.
type changed struct {
	at      memledger.Version
	value   []byte // its hash; nil when it was deleted
	before  []byte // that before the block of the change
	guarded bool   // a policy of its own was set once: what it says is not judged
}

// judge marks the transactions that conflict over what they read of private data, which the engine does not know, and tells
// what the block changed. The engine must know of them: what they would have written conflicts with nothing.
func (s *private) judge(p *Prepared) []Change {
	var touched []privateKey
	for i := range p.transactions {
		tx := &p.transactions[i]
		if tx.Settled == "" && s.guards(tx.hashes) {
			tx.Settled = p.flags[i]
		}
		tx.Conflicts = s.conflict(p.number, tx.private, p.flags[i])
		if p.flags[i] != memledger.Valid {
			continue
		}
		for _, w := range tx.hashes {
			if s.write(w, memledger.Version{Block: p.number, Tx: uint64(i)}) {
				touched = append(touched, w.key)
			}
		}
	}
	var changes []Change
	told := make(map[privateKey]bool, len(touched))
	for _, key := range touched {
		if !told[key] {
			told[key] = true
			last := s.keys[key]
			changes = append(changes, Change{Namespace: key.namespace, Collection: key.collection, Key: key.hash, Value: last.value, Version: last.at})
		}
	}
	return changes
}

// write does what a valid transaction does to a key, as Fabric's peers do it, also where a transaction names the key twice;
// false when that is nothing.
func (s *private) write(w privateWrite, at memledger.Version) bool {
	last := s.keys[w.key]
	next := changed{at: at, value: w.value, before: last.before, guarded: last.guarded || w.does&(guards|unguards) != 0}
	if last.at.Block != at.Block {
		next.before = last.value
	}
	switch {
	case w.does&deletes != 0:
		next.value = nil
	case w.does == puts, w.does&puts != 0 && w.does&(guards|unguards) != 0:
	case last.value != nil: // a policy alone leaves the value, and gives it the version
		next.value = last.value
	case next.before != nil: // which peers look up as it was before the block
		next.value = next.before
	default:
		return false
	}
	s.keys[w.key] = next
	return true
}

// guards tells whether some key has had a policy of its own.
func (s *private) guards(writes []privateWrite) bool {
	return slices.ContainsFunc(writes, func(w privateWrite) bool { return s.keys[w.key].guarded })
}

// conflict tells whether a transaction of a block read what is another by now: also what an earlier one of the block changed.
// Where that rests on blocks that did not go by, the peers are believed.
func (s *private) conflict(block uint64, reads []privateRead, peers memledger.Flag) bool {
	for _, r := range reads {
		last, known := s.keys[r.key]
		switch {
		case known && last.at.Block == block, (known || s.whole) && !last.is(r.version):
			return true
		case !known && !s.whole && peers == memledger.MVCCReadConflict:
			return true
		}
	}
	return false
}

// is tells whether a version that was read, nil for none, is the key's.
func (c changed) is(version *memledger.Version) bool {
	if c.value == nil || version == nil {
		return c.value == nil && version == nil
	}
	return *version == c.at
}
