package receipt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/internal/wire"
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
	d := decoder{wire.Decoder{Left: encoded}}
	if string(d.Bytes(len(magic))) != magic {
		return nil, errors.New("decode receipt: it does not begin as an ATTR/1 receipt")
	}
	if spec := d.Hash(); d.Err == nil && spec != attribution.Spec() {
		return nil, fmt.Errorf("decode receipt: its specification %s is not %s, which this program follows", spec, attribution.Spec())
	}
	r := new(Receipt)
	r.Roots = list(&d, uint32(d.Uint16()), sha256.Size, d.Hash)
	r.N = d.Uint64()
	r.V = d.Uint64()
	r.Model = d.String()
	r.Artifact = d.Hash()
	r.Prompt = d.Hash()
	r.Context = d.Hash()
	r.Output = d.Hash()
	r.OutputBytes = d.Uint32()
	r.OutputTokens = d.Uint32()
	r.Tau = d.Uint8()
	r.CoveragePPM = d.Uint32()
	r.Spans = list(&d, d.Uint32(), 54, d.span)
	r.Shares = list(&d, d.Uint32(), 6, d.share)
	if err := d.End("receipt"); err != nil {
		return nil, err
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("decode receipt: %w", err)
	}
	return r, nil
}

type decoder struct{ wire.Decoder }

func (d *decoder) span() Span {
	return Span{
		Start: d.Uint32(), End: d.Uint32(), ByteStart: d.Uint32(), ByteEnd: d.Uint32(),
		Information: d.Uint64(), Credit: d.Uint64(), Occurrences: d.Uint64(),
		Home:   Home{Contribution: d.String(), Record: d.Uint32(), Token: d.Uint32()},
		Payees: list(d, d.Uint32(), 10, d.payee),
	}
}

func (d *decoder) payee() Payee { return Payee{Account: d.String(), Credit: d.Uint64()} }
func (d *decoder) share() Share { return Share{Account: d.String(), PPM: d.Uint32()} }

// list takes count items of at least size bytes each, and none when so many cannot be there.
func list[T any](d *decoder, count uint32, size int, item func() T) []T {
	if d.Err == nil && uint64(count) > uint64(len(d.Left)/size) {
		d.Err = wire.ErrShort
	}
	if d.Err != nil || count == 0 {
		return nil
	}
	items := make([]T, 0, count)
	for range count {
		items = append(items, item())
	}
	return items
}
