// Package parts has the forms of what a bundle holds beside blocks: the leaves of a snapshot, the content of a
// contribution, the uses of a settlement with their receipts. Each is written and read as a stream, in the memory of its
// largest piece. docs/audit-bundle.md describes them for other implementations.
//
// Life of a part: a gateway writes it to an auditor who may have it, the export stores it in the bundle, and package verify
// holds it against the ledger. Nothing here knows the ledger, so nothing that is read here is believed yet.
//
// Integers are big-endian. A form begins with its tag in ASCII, then a u16 0.
package parts

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// ErrForm is a part that is not of its form.
var ErrForm = errors.New("the part is not of its form")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForm, fmt.Sprintf(format, args...))
}

// reader takes fields from a stream. After the first error, err, it returns zeros.
type reader struct {
	in  *bufio.Reader
	err error
}

// read begins to read a form.
func read(in io.Reader, tag string) *reader {
	r := &reader{in: bufio.NewReaderSize(in, 64<<10)}
	if found := r.fixed(len(tag)); r.err == nil && string(found) != tag {
		r.err = malformed("it does not begin with the tag %s", tag[:len(tag)-2])
	}
	return r
}

// more tells whether anything follows.
func (r *reader) more() bool {
	if r.err != nil {
		return false
	}
	_, err := r.in.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return err == nil
}

func (r *reader) fill(b []byte) {
	if r.err != nil {
		return
	}
	if _, err := io.ReadFull(r.in, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.err = malformed("it ends too early")
	} else {
		r.err = err
	}
}

func (r *reader) fixed(n int) []byte {
	b := make([]byte, n)
	r.fill(b)
	return b
}

func (r *reader) hash() (h merkle.Hash) {
	r.fill(h[:])
	return h
}

func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.fixed(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.fixed(4)) }

func (r *reader) name() string { return string(r.fixed(int(r.uint16()))) }

// bytes takes the bytes whose number comes before them as 32 bits. They are read as they come, so that a number alone
// takes no memory.
func (r *reader) bytes(most uint32) []byte {
	n := r.uint32()
	if r.err == nil && n > most {
		r.err = malformed("a field of %d bytes, at most %d are accepted", n, most)
	}
	if r.err != nil || n == 0 {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(r.in, int64(n)))
	if err == nil && len(b) < int(n) {
		err = malformed("it ends too early")
	}
	r.err = err
	return b
}

func appendName(b []byte, name string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
}

func appendBytes(b, field []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
}
