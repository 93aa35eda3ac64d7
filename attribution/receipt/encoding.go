package receipt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

const magic = "ATTR/1\x00\x00"

// Encode returns the receipt's bytes. It fails with what Check reports.
func (r *Receipt) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	spec := attribution.Spec()
	b := append([]byte(magic), spec[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Roots)))
	for _, root := range r.Roots {
		b = append(b, root[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, r.N)
	b = binary.BigEndian.AppendUint64(b, r.V)
	b = appendString(b, r.Model)
	b = append(b, r.Artifact[:]...)
	b = append(b, r.Prompt[:]...)
	b = append(b, r.Context[:]...)
	b = append(b, r.Output[:]...)
	b = binary.BigEndian.AppendUint32(b, r.OutputBytes)
	b = binary.BigEndian.AppendUint32(b, r.OutputTokens)
	b = append(b, r.Tau)
	b = binary.BigEndian.AppendUint32(b, r.CoveragePPM)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Spans)))
	for i := range r.Spans {
		b = r.Spans[i].append(b)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Shares)))
	for _, share := range r.Shares {
		b = appendString(b, share.Account)
		b = binary.BigEndian.AppendUint32(b, share.PPM)
	}
	return b, nil
}

func (s *Span) append(b []byte) []byte {
	for _, position := range []uint32{s.Start, s.End, s.ByteStart, s.ByteEnd} {
		b = binary.BigEndian.AppendUint32(b, position)
	}
	b = binary.BigEndian.AppendUint64(b, s.Information)
	b = binary.BigEndian.AppendUint64(b, s.Credit)
	b = binary.BigEndian.AppendUint64(b, s.Occurrences)
	b = appendString(b, s.Home.Contribution)
	b = binary.BigEndian.AppendUint32(b, s.Home.Record)
	b = binary.BigEndian.AppendUint32(b, s.Home.Token)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Payees)))
	for _, payee := range s.Payees {
		b = appendString(b, payee.Account)
		b = binary.BigEndian.AppendUint64(b, payee.Credit)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// ID returns the id of an encoded receipt: the SHA-256 of its bytes.
func ID(encoded []byte) merkle.Hash { return sha256.Sum256(encoded) }

// ID returns the receipt's id. It fails with what Check reports.
func (r *Receipt) ID() (merkle.Hash, error) {
	b, err := r.Encode()
	if err != nil {
		return merkle.Hash{}, err
	}
	return ID(b), nil
}

// Decode reads a receipt from exactly its bytes: it accepts only what Encode could have written. It
// allocates no more than in proportion to the bytes that are there, whatever counts they claim.
func Decode(encoded []byte) (*Receipt, error) {
	d := decoder{left: encoded}
	if string(d.bytes(len(magic))) != magic {
		return nil, errors.New("decode receipt: it does not begin as an ATTR/1 receipt")
	}
	if spec := d.hash(); d.err == nil && spec != attribution.Spec() {
		return nil, fmt.Errorf("decode receipt: its specification %s is not %s, which this program follows", spec, attribution.Spec())
	}
	r := new(Receipt)
	r.Roots = list(&d, uint32(d.uint16()), sha256.Size, d.hash)
	r.N = d.uint64()
	r.V = d.uint64()
	r.Model = d.string()
	r.Artifact = d.hash()
	r.Prompt = d.hash()
	r.Context = d.hash()
	r.Output = d.hash()
	r.OutputBytes = d.uint32()
	r.OutputTokens = d.uint32()
	r.Tau = d.uint8()
	r.CoveragePPM = d.uint32()
	r.Spans = list(&d, d.uint32(), 54, d.span)
	r.Shares = list(&d, d.uint32(), 6, d.share)
	if d.err == nil && len(d.left) > 0 {
		d.err = fmt.Errorf("%d bytes follow its end", len(d.left))
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode receipt: %w", d.err)
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("decode receipt: %w", err)
	}
	return r, nil
}

// A decoder takes fixed-width values from the front of left. After the first error it returns zeros.
type decoder struct {
	left []byte
	err  error
}

var errShort = errors.New("it ends too early")

func (d *decoder) bytes(n int) []byte {
	if d.err == nil && n > len(d.left) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.left[:n]
	d.left = d.left[n:]
	return b
}

// fixed takes n bytes and returns zeros where there are none.
func (d *decoder) fixed(n int) []byte {
	if b := d.bytes(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (d *decoder) uint8() uint8      { return d.fixed(1)[0] }
func (d *decoder) uint16() uint16    { return binary.BigEndian.Uint16(d.fixed(2)) }
func (d *decoder) uint32() uint32    { return binary.BigEndian.Uint32(d.fixed(4)) }
func (d *decoder) uint64() uint64    { return binary.BigEndian.Uint64(d.fixed(8)) }
func (d *decoder) hash() merkle.Hash { return merkle.Hash(d.fixed(sha256.Size)) }
func (d *decoder) string() string    { return string(d.bytes(int(d.uint16()))) }

func (d *decoder) span() Span {
	return Span{
		Start: d.uint32(), End: d.uint32(), ByteStart: d.uint32(), ByteEnd: d.uint32(),
		Information: d.uint64(), Credit: d.uint64(), Occurrences: d.uint64(),
		Home:   Home{Contribution: d.string(), Record: d.uint32(), Token: d.uint32()},
		Payees: list(d, d.uint32(), 10, d.payee),
	}
}

func (d *decoder) payee() Payee { return Payee{Account: d.string(), Credit: d.uint64()} }
func (d *decoder) share() Share { return Share{Account: d.string(), PPM: d.uint32()} }

// list takes count items of at least size bytes each, and none when so many cannot be there.
func list[T any](d *decoder, count uint32, size int, item func() T) []T {
	if d.err == nil && uint64(count) > uint64(len(d.left)/size) {
		d.err = errShort
	}
	if d.err != nil || count == 0 {
		return nil
	}
	items := make([]T, 0, count)
	for range count {
		items = append(items, item())
	}
	return items
}
