package attribution

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Salt hides the content of a contribution in its commitment: 32 random bytes, one salt for the records
// and another for the descriptor.
type Salt [32]byte

// Commit returns the salted commitment of section 2: SHA-256 of the salt ‖ the Merkle root over the
// records.
func Commit(salt Salt, records [][]byte) merkle.Hash {
	leaves := make([]merkle.Hash, len(records))
	for i, record := range records {
		leaves[i] = merkle.Leaf(record)
	}
	return CommitRoot(salt, merkle.Root(leaves))
}

// CommitRoot is Commit for who has the Merkle root over the records already.
func CommitRoot(salt Salt, root merkle.Hash) merkle.Hash {
	return sha256.Sum256(append(salt[:], root[:]...))
}

// CommitDescriptor returns the salted commitment to a contribution's descriptor, which is of the same
// form as Commit with the descriptor's bytes as the only record.
func CommitDescriptor(salt Salt, descriptor []byte) merkle.Hash {
	return CommitRoot(salt, merkle.Leaf(descriptor))
}

// SnapshotLeaf returns a contribution's leaf in a snapshot: SHA-256 of
// 0x00 ‖ id ‖ 0x00 ‖ account ‖ 0x00 ‖ commitment. It fails for an id or account that breaks the rules,
// since then two contributions could share a leaf.
func SnapshotLeaf(id, account string, commitment merkle.Hash) (merkle.Hash, error) {
	if err := CheckName(id); err != nil {
		return merkle.Hash{}, fmt.Errorf("snapshot leaf: contribution id %q %w", id, err)
	}
	if err := CheckAccount(account); err != nil {
		return merkle.Hash{}, fmt.Errorf("snapshot leaf of %q: account %q %w", id, account, err)
	}
	data := make([]byte, 0, len(id)+1+len(account)+1+len(commitment))
	data = append(data, id...)
	data = append(data, 0)
	data = append(data, account...)
	data = append(data, 0)
	data = append(data, commitment[:]...)
	return merkle.Leaf(data), nil
}

// ErasedLeaf returns the leaf that takes the place of an erased contribution in the next revision of a
// snapshot: SHA-256 of 0x00 ‖ "erased".
func ErasedLeaf() merkle.Hash { return merkle.Leaf([]byte("erased")) }

// SnapshotRoot returns the root of a snapshot revision over its leaves in the order of sealing.
func SnapshotRoot(leaves []merkle.Hash) merkle.Hash { return merkle.Root(leaves) }

// CommitOutput returns com("output", nonce, output) of section 6.
func CommitOutput(nonce Nonce, output []byte) merkle.Hash {
	d := sha256.New()
	io.WriteString(d, "output")
	d.Write(nonce[:])
	d.Write(output)
	return merkle.Hash(d.Sum(nil))
}

// CommitPrompt returns com("prompt", nonce, list) of section 6. It fails when a length does not fit in 32 bits.
func CommitPrompt(nonce Nonce, records [][]byte) (merkle.Hash, error) {
	return commitList("prompt", nonce, records)
}

// CommitContext returns com("context", nonce, list) of section 6. It fails when a length does not fit in 32 bits.
func CommitContext(nonce Nonce, records [][]byte) (merkle.Hash, error) {
	return commitList("context", nonce, records)
}

func commitList(label string, nonce Nonce, records [][]byte) (merkle.Hash, error) {
	d := sha256.New()
	io.WriteString(d, label)
	d.Write(nonce[:])
	var width [4]byte
	length := func(n int) error {
		if uint64(n) > math.MaxUint32 {
			return fmt.Errorf("commit to the %s: a length of %d does not fit in 32 bits", label, n)
		}
		binary.BigEndian.PutUint32(width[:], uint32(n))
		d.Write(width[:])
		return nil
	}
	if err := length(len(records)); err != nil {
		return merkle.Hash{}, err
	}
	for _, record := range records {
		if err := length(len(record)); err != nil {
			return merkle.Hash{}, err
		}
		d.Write(record)
	}
	return merkle.Hash(d.Sum(nil)), nil
}
