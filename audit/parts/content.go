package parts

import (
	"encoding/binary"
	"io"

	"github.com/datanet-consortium/datanet/attribution"
)

const contentTag = "OPENED/1\x00\x00"

// MaxRecord bounds a record of a contribution, in bytes.
const MaxRecord = 64 << 20

// Content writes what opens the commitment of a contribution: tag, salt, and each record with a u32 length before it.
// Descriptors stay out: no receipt rests on them, and they may name people.
type Content struct{ out io.Writer }

// NewContent begins a content.
func NewContent(out io.Writer, salt attribution.Salt) (*Content, error) {
	_, err := out.Write(append([]byte(contentTag), salt[:]...))
	return &Content{out}, err
}

// Record writes the next record.
func (c *Content) Record(record []byte) error {
	if len(record) > MaxRecord {
		return malformed("a record of %d bytes, at most %d are accepted", len(record), MaxRecord)
	}
	if _, err := c.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(record)))); err != nil {
		return err
	}
	_, err := c.out.Write(record)
	return err
}

// ReadContent reads a content to its end and gives each its records in order.
func ReadContent(in io.Reader, each func(record []byte) error) (salt attribution.Salt, err error) {
	r := read(in, contentTag)
	r.fill(salt[:])
	for r.more() {
		record := r.bytes(MaxRecord)
		if r.err == nil {
			r.err = each(record)
		}
	}
	return salt, r.err
}
