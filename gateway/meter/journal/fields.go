package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Writer builds a record of fields: integers as u64, bytes and strings with a u32 length.
type Writer []byte

// NewWriter begins a record of a kind.
func NewWriter(kind byte) *Writer { return &Writer{kind} }

func (w *Writer) Uint64(n uint64)    { *w = binary.BigEndian.AppendUint64(*w, n) }
func (w *Writer) Hash(h merkle.Hash) { *w = append(*w, h[:]...) }
func (w *Writer) String(s string)    { w.Bytes([]byte(s)) }
func (w *Writer) Bytes(b []byte) {
	*w = binary.BigEndian.AppendUint32(*w, uint32(len(b)))
	*w = append(*w, b...)
}

func (w *Writer) Bool(b bool) {
	if b {
		*w = append(*w, 1)
	} else {
		*w = append(*w, 0)
	}
}

func (w *Writer) Hashes(list []merkle.Hash) {
	w.Uint64(uint64(len(list)))
	for _, h := range list {
		w.Hash(h)
	}
}

// Reader reads what a Writer has written. After the first error it gives zeros. Bytes share memory with the record.
type Reader struct {
	left []byte
	err  error
}

// NewReader returns a record's kind and its fields.
func NewReader(record []byte) (kind byte, r *Reader) {
	r = &Reader{left: record}
	if b := r.take(1); b != nil {
		kind = b[0]
	}
	return kind, r
}

var errShort = errors.New("it ends too early")

func (r *Reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.left)) {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *Reader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *Reader) Hash() (h merkle.Hash) {
	copy(h[:], r.take(uint64(len(h))))
	return h
}

func (r *Reader) Bytes() []byte {
	if b := r.take(4); b != nil {
		return r.take(uint64(binary.BigEndian.Uint32(b)))
	}
	return nil
}

func (r *Reader) String() string { return string(r.Bytes()) }

func (r *Reader) Bool() bool {
	b := r.take(1)
	if b != nil && b[0] > 1 {
		r.err = fmt.Errorf("%d is neither 0 nor 1", b[0])
	}
	return b != nil && b[0] == 1
}

// Count reads how many elements of at least so many bytes follow.
func (r *Reader) Count(least uint64) int {
	n := r.Uint64()
	if r.err == nil && n > uint64(len(r.left))/least {
		r.err = errShort
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *Reader) Hashes() []merkle.Hash {
	var list []merkle.Hash
	for range r.Count(32) {
		list = append(list, r.Hash())
	}
	return list
}

// End reports what was wrong with the record, or that something follows its last field.
func (r *Reader) End() error {
	if r.err == nil && len(r.left) > 0 {
		return fmt.Errorf("%d bytes follow its end", len(r.left))
	}
	return r.err
}
