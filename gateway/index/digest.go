package index

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/datanet-consortium/datanet/gateway/block"
)

// digestTag names the format of [chain].
const digestTag = "DATANET-INDEX/2"

// chain is the digest after a block: SHA-256 over
//
//	tag ‖ digest before ‖ block number ‖ number of valid transactions ‖ for each of them, in order:
//	    transaction id ‖ event's name ‖ event's payload ‖ number of writes ‖ for each of them, by key:
//	        key ‖ 1 if it deletes, else 0 ‖ value
//	    number of key policies set ‖ for each of them, by key:
//	        key ‖ policy, empty if it is removed
//
// where numbers are 8 bytes, big-endian, and each string of bytes follows its length. It depends on the blocks alone,
// so it is the same for every organisation, and says nothing about SQL.
func chain(before [32]byte, b block.Block) [32]byte {
	h := sha256.New()
	h.Write([]byte(digestTag))
	h.Write(before[:])
	number(h, b.Number)
	valid := 0
	for _, tx := range b.Transactions {
		if tx.Valid() {
			valid++
		}
	}
	number(h, uint64(valid))
	for _, tx := range b.Transactions {
		if tx.Valid() {
			digestTransaction(h, tx)
		}
	}
	return [32]byte(h.Sum(nil))
}

func digestTransaction(h hash.Hash, tx block.Transaction) {
	field(h, []byte(tx.ID))
	if tx.Event != nil {
		field(h, []byte(tx.Event.Name))
		field(h, tx.Event.Payload)
	} else {
		field(h, nil)
		field(h, nil)
	}
	number(h, uint64(len(tx.Writes)))
	for _, w := range tx.Writes {
		field(h, []byte(w.Key))
		if w.Delete {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
		field(h, w.Value)
	}
	number(h, uint64(len(tx.Guards)))
	for _, g := range tx.Guards {
		field(h, []byte(g.Key))
		field(h, g.Policy)
	}
}

func field(h hash.Hash, data []byte) {
	number(h, uint64(len(data)))
	h.Write(data)
}

func number(h hash.Hash, n uint64) {
	h.Write(binary.BigEndian.AppendUint64(nil, n))
}
