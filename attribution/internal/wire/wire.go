// Package wire reads the fixed-width, big-endian encodings of receipts and of paid uses.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// ErrShort is an encoding that is cut off.
var ErrShort = errors.New("it ends too early")

// A Decoder takes values from the front of Left. After the first error, Err, it returns zeros.
type Decoder struct {
	Left []byte
	Err  error
}

// Bytes takes n bytes, which share the memory of Left, and returns nil where there are none.
func (d *Decoder) Bytes(n int) []byte {
	if d.Err == nil && n > len(d.Left) {
		d.Err = ErrShort
	}
	if d.Err != nil {
		return nil
	}
	b := d.Left[:n]
	d.Left = d.Left[n:]
	return b
}

// Fixed takes n bytes and returns zeros where there are none.
func (d *Decoder) Fixed(n int) []byte {
	if b := d.Bytes(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (d *Decoder) Uint8() uint8      { return d.Fixed(1)[0] }
func (d *Decoder) Uint16() uint16    { return binary.BigEndian.Uint16(d.Fixed(2)) }
func (d *Decoder) Uint32() uint32    { return binary.BigEndian.Uint32(d.Fixed(4)) }
func (d *Decoder) Uint64() uint64    { return binary.BigEndian.Uint64(d.Fixed(8)) }
func (d *Decoder) Hash() merkle.Hash { return merkle.Hash(d.Fixed(sha256.Size)) }

// String takes the bytes whose number comes before them as 16 bits.
func (d *Decoder) String() string { return string(d.Bytes(int(d.Uint16()))) }

// End tells what was wrong with the encoding of the named thing; bytes that are left are wrong too.
func (d *Decoder) End(what string) error {
	if d.Err == nil && len(d.Left) > 0 {
		d.Err = fmt.Errorf("%d bytes follow its end", len(d.Left))
	}
	if d.Err != nil {
		return fmt.Errorf("decode %s: %w", what, d.Err)
	}
	return nil
}
