package use

import (
	"encoding/binary"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Voucher says what a consumer owes for the first N answers of a session. Each replaces the one before it.
type Voucher struct {
	Session merkle.Hash // sid
	Card    merkle.Hash // digest of the rate card
	N       uint64      // leaves
	Amount  uint64      // the sum of their fees
	Root    merkle.Hash // of the tree over them
	Request merkle.Hash // digest of the request that it accompanies; zeros when it comes alone
}

// VoucherSize is the length of an encoded voucher.
const VoucherSize = len(voucherTag) + 32 + 32 + 8 + 8 + 32 + 32

// Encode returns the bytes that are signed.
func (v Voucher) Encode() ([]byte, error) {
	if v.Amount > MaxAmount {
		return nil, fmt.Errorf("encode voucher: %d is no amount", v.Amount)
	}
	b := make([]byte, 0, VoucherSize)
	b = append(b, voucherTag...)
	b = append(b, v.Session[:]...)
	b = append(b, v.Card[:]...)
	b = binary.BigEndian.AppendUint64(b, v.N)
	b = binary.BigEndian.AppendUint64(b, v.Amount)
	b = append(b, v.Root[:]...)
	return append(b, v.Request[:]...), nil
}

// DecodeVoucher reads a voucher from exactly its bytes.
func DecodeVoucher(encoded []byte) (Voucher, error) {
	d := newDecoder(encoded, voucherTag)
	v := Voucher{Session: d.Hash(), Card: d.Hash(), N: d.Uint64(), Amount: d.amount(), Root: d.Hash(), Request: d.Hash()}
	return v, d.End("voucher")
}
