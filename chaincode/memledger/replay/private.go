package replay

import (
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

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

// private are the versions of private data: each organisation approves a chaincode definition in a collection of its own.
type private struct {
	versions map[privateKey]changed
	whole    bool // all blocks went by: a key that is not there is absent
}

// changed is the last change of a key.
type changed struct {
	block   uint64
	version *memledger.Version // nil when it was deleted
}

// judge marks the transactions that conflict over what they read of private data, which the engine does not know, and takes
// what the block wrote. The engine must know of them: what they would have written conflicts with nothing.
func (s *private) judge(p *Prepared) {
	for i := range p.transactions {
		tx := &p.transactions[i]
		tx.Conflicts = tx.Endorsed && s.conflict(p.number, tx.private, p.flags[i])
		if p.flags[i] != memledger.Valid {
			continue
		}
		for _, c := range tx.hashes {
			key := privateKey{c.Namespace, c.Collection, c.Key}
			last := changed{block: p.number}
			if c.Value != nil {
				last.version = &memledger.Version{Block: p.number, Tx: uint64(i)}
			}
			s.versions[key] = last
		}
	}
}

// conflict tells whether a transaction of a block read what is another by now: also what an earlier one of the block changed.
// Where that rests on blocks that did not go by, the peers are believed.
func (s *private) conflict(block uint64, reads []privateRead, peers memledger.Flag) bool {
	for _, r := range reads {
		last, known := s.versions[r.key]
		switch {
		case known && last.block == block, (known || s.whole) && !same(last.version, r.version):
			return true
		case !known && !s.whole && peers == memledger.MVCCReadConflict:
			return true
		}
	}
	return false
}

func same(a, b *memledger.Version) bool { return a == b || a != nil && b != nil && *a == *b }
