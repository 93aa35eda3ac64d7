// Package fingerprint computes the value by which equal content is recognised without telling what it is.
//
// It is an HMAC-SHA-256 of a contribution's canonical tokens under a secret that the members' gateways share. So letter
// forms, capitals, punctuation and the division into records make no difference, and nobody without the secret can guess
// content from the ledger. Other order or an added word makes another fingerprint: near copies are for the validators to
// find.
package fingerprint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

// Secret is 32 random bytes, one for each epoch. It never reaches the ledger.
type Secret [32]byte

// Check is the value by which a gateway knows that it holds the right secret: SHA-256("FINGERPRINT/1" ‖ secret) in hex.
func (s Secret) Check() string {
	sum := sha256.Sum256(append([]byte("FINGERPRINT/1"), s[:]...))
	return hex.EncodeToString(sum[:])
}

// Of is the fingerprint of a contribution's records, in hex: the HMAC of all their canonical tokens in order, each token
// the UTF-8 of its runes and a line end, which is in no token.
func (s Secret) Of(records [][]byte) string {
	h := s.New()
	for _, record := range records {
		h.Add(record)
	}
	return h.Sum()
}

// A Hash computes the fingerprint of records that come one after another, in the memory of one.
type Hash struct {
	mac   hash.Hash
	token []byte
}

// New returns a Hash of no records yet.
func (s Secret) New() *Hash { return &Hash{mac: hmac.New(sha256.New, s[:])} }

// Add takes the next record.
func (h *Hash) Add(record []byte) {
	for scan := text1.NewScanner(record); scan.Next(); {
		h.token = h.token[:0]
		for _, r := range scan.Runes() {
			h.token = utf8.AppendRune(h.token, r)
		}
		h.token = append(h.token, '\n')
		h.mac.Write(h.token)
	}
}

// Sum is the fingerprint of the records so far, in hex.
func (h *Hash) Sum() string { return hex.EncodeToString(h.mac.Sum(nil)) }
