package payout

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// PageSize is how many payments a page of a pay-out table has, the last one perhaps fewer: those of one transaction.
const PageSize = 3000

const pageTag = "PAYOUT/1\x00\x00"

// A Page is a page of a pay-out table. Its digest covers all later pages too, so the digest of the first is that of the
// table, and each page shows what the next one must be.
type Page struct {
	// Due is what the table has still to pay before this page, in micro-credits.
	Due int64
	// Payments are in bytewise order of the payees, each at least 1.
	Payments []Payment
	// Rest is the digest of the next page, zeros on the last one, which pays all that is due.
	Rest merkle.Hash
}

// Pages cuts payments as Split returns them into the pages of a table. It fails for payments that no table has.
func Pages(payments []Payment) ([]Page, error) {
	if len(payments) == 0 {
		return nil, errors.New("pay-out table: nothing to pay")
	}
	var pages []Page
	for from := 0; from < len(payments); from += PageSize {
		pages = append(pages, Page{Payments: payments[from:min(from+PageSize, len(payments))]})
	}
	due, rest := int64(0), merkle.Hash{}
	for i := len(pages) - 1; i >= 0; i-- {
		sum, err := pages[i].sum()
		if err != nil {
			return nil, err
		}
		if sum > math.MaxInt64-due {
			return nil, errors.New("pay-out table: the sum does not fit in 63 bits")
		}
		if i > 0 && pages[i-1].Payments[PageSize-1].Payee >= pages[i].Payments[0].Payee {
			return nil, errors.New("pay-out table: payees are ascending, each once")
		}
		due += sum
		pages[i].Due, pages[i].Rest = due, rest
		if rest, err = pages[i].Digest(); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// Table is the digest of the pay-out table of payments as Split returns them.
func Table(payments []Payment) (merkle.Hash, error) {
	pages, err := Pages(payments)
	if err != nil {
		return merkle.Hash{}, err
	}
	return pages[0].Digest()
}

// Encode returns the page's bytes. It fails for a page that no table has.
func (p Page) Encode() ([]byte, error) {
	sum, err := p.sum()
	switch {
	case err != nil:
		return nil, err
	case p.Rest == merkle.Hash{} && sum != p.Due:
		return nil, fmt.Errorf("pay-out table: the last page pays %d of the %d that are due", sum, p.Due)
	case p.Rest != merkle.Hash{} && (sum >= p.Due || len(p.Payments) != PageSize):
		return nil, fmt.Errorf("pay-out table: a page before the last has %d payments and leaves something due", PageSize)
	}
	b := binary.BigEndian.AppendUint64([]byte(pageTag), uint64(p.Due))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Payments)))
	for _, payment := range p.Payments {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payment.Payee)))
		b = append(b, payment.Payee...)
		b = binary.BigEndian.AppendUint64(b, uint64(payment.Amount))
	}
	return append(b, p.Rest[:]...), nil
}

// Digest is the SHA-256 of the page's bytes.
func (p Page) Digest() (merkle.Hash, error) {
	b, err := p.Encode()
	return sha256.Sum256(b), err
}

// sum checks the payments and adds them up.
func (p Page) sum() (int64, error) {
	if len(p.Payments) == 0 || len(p.Payments) > PageSize {
		return 0, fmt.Errorf("pay-out table: a page has 1 to %d payments", PageSize)
	}
	sum := int64(0)
	for i, payment := range p.Payments {
		switch err := attribution.CheckName(payment.Payee); {
		case err != nil:
			return 0, fmt.Errorf("pay-out table: payee %q %w", payment.Payee, err)
		case i > 0 && payment.Payee <= p.Payments[i-1].Payee:
			return 0, fmt.Errorf("pay-out table: payees are ascending, each once: %q", payment.Payee)
		case payment.Amount < 1 || payment.Amount > math.MaxInt64-sum:
			return 0, fmt.Errorf("pay-out table: %d to %q is no amount, or too much in sum", payment.Amount, payment.Payee)
		}
		sum += payment.Amount
	}
	return sum, nil
}

// DecodePage reads a page from exactly its bytes: it accepts only what Encode could have written, and allocates no more
// than in proportion to the bytes that are there.
func DecodePage(encoded []byte) (Page, error) {
	rest, ok := bytes.CutPrefix(encoded, []byte(pageTag))
	if !ok || len(rest) < 8+4+sha256.Size {
		return Page{}, errors.New("decode page: it does not begin with the tag PAYOUT/1 or ends too early")
	}
	p := Page{Due: int64(binary.BigEndian.Uint64(rest))}
	count, rest := binary.BigEndian.Uint32(rest[8:]), rest[12:]
	body := rest[:len(rest)-sha256.Size]
	copy(p.Rest[:], rest[len(body):])
	for range count {
		if len(body) < 2 {
			return Page{}, errors.New("decode page: it ends too early")
		}
		n := int(binary.BigEndian.Uint16(body))
		if len(body) < 2+n+8 {
			return Page{}, errors.New("decode page: it ends too early")
		}
		p.Payments = append(p.Payments, Payment{Payee: string(body[2 : 2+n]), Amount: int64(binary.BigEndian.Uint64(body[2+n:]))})
		body = body[2+n+8:]
	}
	if len(body) > 0 {
		return Page{}, fmt.Errorf("decode page: %d bytes too many", len(body))
	}
	if _, err := p.Encode(); err != nil {
		return Page{}, fmt.Errorf("decode page: %w", err)
	}
	return p, nil
}
