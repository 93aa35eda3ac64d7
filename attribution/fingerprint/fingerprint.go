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
	mac := hmac.New(sha256.New, s[:])
	var token []byte
	for _, record := range records {
		for scan := text1.NewScanner(record); scan.Next(); {
			token = token[:0]
			for _, r := range scan.Runes() {
				token = utf8.AppendRune(token, r)
			}
			mac.Write(append(token, '\n'))
		}
	}
	return hex.EncodeToString(mac.Sum(nil))
}
