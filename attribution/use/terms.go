package use

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Disclosure says which texts of a session its host may show to attestors.
type Disclosure uint8

const (
	// DiscloseNone: no text. Nobody can recompute the session's receipts, so they count as coverage 0.
	DiscloseNone Disclosure = 0
	// DiscloseSample: the texts of the uses that an attestor's secret draws.
	DiscloseSample Disclosure = 1
	// DiscloseAll: the texts of every use.
	DiscloseAll Disclosure = 2
)

var disclosures = []string{"none", "sample", "all"}

func (d Disclosure) String() string {
	if int(d) < len(disclosures) {
		return disclosures[d]
	}
	return fmt.Sprintf("disclosure %d", uint8(d))
}

// MarshalText writes none, sample or all.
func (d Disclosure) MarshalText() ([]byte, error) {
	if int(d) >= len(disclosures) {
		return nil, fmt.Errorf("%v is not one of %v", d, disclosures)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Disclosure) UnmarshalText(text []byte) error {
	for i, name := range disclosures {
		if name == string(text) {
			*d = Disclosure(i)
			return nil
		}
	}
	return fmt.Errorf("disclosure is one of %v", disclosures)
}

// MinGrace is the least grace of a session, in hours.
const MinGrace = 24

// Terms are what a session's account agrees to when it opens the session. They never change.
type Terms struct {
	Account    string
	Name       [16]byte // random
	Host       string   // account
	Card       merkle.Hash
	Key        Key
	Window     uint16 // W: how many uses may be unvouched, at least 1
	Expires    uint64 // E, Unix seconds: the host answers nothing after it
	Grace      uint16 // G, in hours: so long after E the host may settle
	Disclosure Disclosure
	Escrow     uint64 // with which it is opened
}

// Check reports terms that no session can have.
func (t Terms) Check() error {
	if err := attribution.CheckAccount(t.Account); err != nil {
		return fmt.Errorf("terms: the account %w", err)
	}
	if err := attribution.CheckAccount(t.Host); err != nil {
		return fmt.Errorf("terms: the host %w", err)
	}
	if err := t.Key.Check(); err != nil {
		return err
	}
	switch {
	case t.Window == 0:
		return fmt.Errorf("terms: a window of 0 admits no use")
	case t.Grace < MinGrace:
		return fmt.Errorf("terms: a grace of %d hours is less than %d", t.Grace, MinGrace)
	case int(t.Disclosure) >= len(disclosures):
		return fmt.Errorf("terms: %v is unknown", t.Disclosure)
	case t.Escrow > MaxAmount:
		return fmt.Errorf("terms: an escrow of %d is no amount", t.Escrow)
	case t.Expires > MaxAmount:
		return fmt.Errorf("terms: %d is no time", t.Expires)
	}
	return nil
}

// Encode returns the terms' bytes on a channel. It fails with what Check reports.
func (t Terms) Encode(channel string) ([]byte, error) {
	if err := attribution.CheckName(channel); err != nil {
		return nil, fmt.Errorf("terms: the channel %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	b := appendString([]byte(sessionTag), channel)
	b = appendString(b, t.Account)
	b = append(b, t.Name[:]...)
	b = appendString(b, t.Host)
	b = append(b, t.Card[:]...)
	b = append(b, byte(t.Key.Algorithm))
	b = appendString(b, string(t.Key.Public))
	b = binary.BigEndian.AppendUint16(b, t.Window)
	b = binary.BigEndian.AppendUint64(b, t.Expires)
	b = binary.BigEndian.AppendUint16(b, t.Grace)
	b = append(b, byte(t.Disclosure))
	return binary.BigEndian.AppendUint64(b, t.Escrow), nil
}

// Session is the session's id, sid: the SHA-256 of the terms' bytes.
func (t Terms) Session(channel string) (merkle.Hash, error) {
	b, err := t.Encode(channel)
	return sha256.Sum256(b), err
}

// DecodeTerms reads terms and their channel from exactly their bytes.
func DecodeTerms(encoded []byte) (channel string, t Terms, err error) {
	d := newDecoder(encoded, sessionTag)
	channel = d.String()
	t.Account = d.String()
	copy(t.Name[:], d.Fixed(len(t.Name)))
	t.Host, t.Card = d.String(), d.Hash()
	t.Key.Algorithm = Algorithm(d.Uint8())
	t.Key.Public = []byte(d.String())
	t.Window, t.Expires, t.Grace = d.Uint16(), d.Uint64(), d.Uint16()
	t.Disclosure, t.Escrow = Disclosure(d.Uint8()), d.Uint64()
	if err := d.End("terms"); err != nil {
		return "", Terms{}, err
	}
	if _, err := t.Encode(channel); err != nil {
		return "", Terms{}, fmt.Errorf("decode terms: %w", err)
	}
	return channel, t, nil
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}
