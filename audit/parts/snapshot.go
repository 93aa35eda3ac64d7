package parts

import (
	"encoding/binary"
	"io"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

const snapshotTag = "LEAVES/1\x00\x00"

// Leaf is a leaf of a snapshot revision: a contribution, or a tombstone, which has no id.
type Leaf struct {
	ID, Account string
	Commitment  merkle.Hash
}

// Erased tells whether the leaf is a tombstone.
func (l Leaf) Erased() bool { return l.ID == "" }

// Hash is the leaf's hash in the snapshot.
func (l Leaf) Hash() (merkle.Hash, error) {
	if l.Erased() {
		return attribution.ErasedLeaf(), nil
	}
	return attribution.SnapshotLeaf(l.ID, l.Account, l.Commitment)
}

// Snapshot writes a snapshot's leaves in the order of sealing: tag, u32 revision, and for each leaf its id, account and
// commitment; names have a u16 length, and an empty id is all of a tombstone.
type Snapshot struct{ out io.Writer }

// NewSnapshot begins a revision of a snapshot.
func NewSnapshot(out io.Writer, revision uint32) (*Snapshot, error) {
	_, err := out.Write(binary.BigEndian.AppendUint32([]byte(snapshotTag), revision))
	return &Snapshot{out}, err
}

// Leaf writes the next leaf.
func (s *Snapshot) Leaf(l Leaf) error {
	if _, err := l.Hash(); err != nil {
		return err
	}
	b := appendName(nil, l.ID)
	if !l.Erased() {
		b = append(appendName(b, l.Account), l.Commitment[:]...)
	}
	_, err := s.out.Write(b)
	return err
}

// ReadSnapshot reads a snapshot to its end and gives each its leaves in order.
func ReadSnapshot(in io.Reader, each func(l Leaf) error) (revision uint32, err error) {
	r := read(in, snapshotTag)
	revision = r.uint32()
	for r.more() {
		l := Leaf{ID: r.name()}
		if !l.Erased() {
			l.Account, l.Commitment = r.name(), r.hash()
		}
		if r.err == nil {
			r.err = each(l)
		}
	}
	return revision, r.err
}
