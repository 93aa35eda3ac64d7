// Package use is what consumer, host, attestors and ledger sign, hash and recompute of paid uses (docs/usage.md): the
// leaf of one answer, the voucher over all answers of a session so far, the session's terms, the request, what a
// settlement moves, and which leaves an attestor draws. Each has one binary form.
//
//	request ──► answer ──► leaf USE/1 ──► tree of the session ──► voucher ──► settlement: scope ──► attestation
//
// Integers are big-endian. A form begins with its tag in ASCII, then a u16 0, so nothing signed or hashed as one can be
// read as another. Amounts are in micro-credits, from 0 to 2⁶³−1.
package use

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/datanet-consortium/datanet/attribution/internal/wire"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// The tags of the forms.
const (
	leafTag      = "USE/1\x00\x00"
	voucherTag   = "VOUCHER/1\x00\x00"
	requestTag   = "REQUEST/1\x00\x00"
	sessionTag   = "SESSION/1\x00\x00"
	cardTag      = "CARD/1\x00\x00"
	scopeTag     = "SCOPE/1\x00\x00"
	samplingTag  = "SAMPLING/1\x00\x00"
	samplingLeaf = "SAMPLE/1\x00\x00"
)

// MaxAmount is the largest amount.
const MaxAmount = math.MaxInt64

// Leaf is one paid answer, a leaf of its session's tree.
type Leaf struct {
	Session merkle.Hash // sid
	Number  uint64      // q, the consumer's number of the request
	Card    merkle.Hash // digest of the rate card
	In, Out uint64      // canonical tokens of the prompt and of the output
	Fee     uint64      // see [Fee]
	Receipt merkle.Hash // id of the answer's receipt
}

// Encode returns the leaf's bytes. It fails for a fee that is no amount.
func (l Leaf) Encode() ([]byte, error) {
	if l.Fee > MaxAmount {
		return nil, fmt.Errorf("encode use: a fee of %d is no amount", l.Fee)
	}
	b := append([]byte(leafTag), l.Session[:]...)
	b = binary.BigEndian.AppendUint64(b, l.Number)
	b = append(b, l.Card[:]...)
	for _, n := range []uint64{l.In, l.Out, l.Fee} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, l.Receipt[:]...), nil
}

// Hash returns the leaf's hash in the session's tree.
func (l Leaf) Hash() (merkle.Hash, error) {
	b, err := l.Encode()
	return merkle.Leaf(b), err
}

// DecodeLeaf reads a leaf from exactly its bytes.
func DecodeLeaf(encoded []byte) (Leaf, error) {
	d := newDecoder(encoded, leafTag)
	l := Leaf{Session: d.Hash(), Number: d.Uint64(), Card: d.Hash(), In: d.Uint64(), Out: d.Uint64(), Fee: d.amount(), Receipt: d.Hash()}
	return l, d.End("use")
}

// Request is what a voucher that accompanies a request says of it.
type Request struct {
	Number uint64      // q
	Cap    uint64      // the most that the answer may cost
	Body   merkle.Hash // SHA-256 of the request's body
}

// Encode returns the request's bytes.
func (r Request) Encode() ([]byte, error) {
	if r.Cap > MaxAmount {
		return nil, fmt.Errorf("encode request: a cap of %d is no amount", r.Cap)
	}
	b := binary.BigEndian.AppendUint64([]byte(requestTag), r.Number)
	b = binary.BigEndian.AppendUint64(b, r.Cap)
	return append(b, r.Body[:]...), nil
}

// Digest is what the voucher names.
func (r Request) Digest() (merkle.Hash, error) {
	b, err := r.Encode()
	return sha256.Sum256(b), err
}

// DecodeRequest reads a request from exactly its bytes.
func DecodeRequest(encoded []byte) (Request, error) {
	d := newDecoder(encoded, requestTag)
	r := Request{Number: d.Uint64(), Cap: d.amount(), Body: d.Hash()}
	return r, d.End("request")
}

// CardDigest is the digest of a rate card: document is the card as the ledger keeps it, without its digest.
func CardDigest(document []byte) merkle.Hash {
	return sha256.Sum256(append([]byte(cardTag), document...))
}

type decoder struct{ wire.Decoder }

func newDecoder(encoded []byte, tag string) *decoder {
	d := &decoder{wire.Decoder{Left: encoded}}
	if b := d.Bytes(len(tag)); d.Err == nil && string(b) != tag {
		d.Err = fmt.Errorf("it does not begin with the tag %s", tag[:len(tag)-2])
	}
	return d
}

func (d *decoder) amount() uint64 {
	n := d.Uint64()
	if d.Err == nil && n > MaxAmount {
		d.Err = fmt.Errorf("%d is no amount", n)
	}
	return n
}
