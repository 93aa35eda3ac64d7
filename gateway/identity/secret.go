package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// letters of keys and codes: no l, o, 0 or 1, which people mistake for each other.
var letters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// form is a kind of secret text: a public id by which its record is found, and the secret, of which only the hash is
// kept. Both in bytes before encoding.
type form struct{ id, secret int }

var (
	keyForm  = form{id: 10, secret: 32}
	codeForm = form{id: 5, secret: 16}
)

const keyPrefix = "dn_"

// new draws a secret. rand.Read never fails.
func (f form) new() (id, secret string, hash []byte) {
	raw := make([]byte, f.id+f.secret)
	rand.Read(raw)
	sum := sha256.Sum256(raw[f.id:])
	return letters.EncodeToString(raw[:f.id]), letters.EncodeToString(raw[f.id:]), sum[:]
}

// hash checks the form of both parts and gives the secret's hash. Every secret has exactly one text.
func (f form) hash(id, secret string) ([]byte, bool) {
	if _, ok := exactly(id, f.id); !ok {
		return nil, false
	}
	raw, ok := exactly(secret, f.secret)
	if !ok {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}

func exactly(text string, size int) ([]byte, bool) {
	if len(text) != letters.EncodedLen(size) {
		return nil, false
	}
	raw, err := letters.DecodeString(text)
	if err != nil || len(raw) != size || letters.EncodeToString(raw) != text {
		return nil, false
	}
	return raw, true
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// splitKey reads an API key, "dn_" id "_" secret.
func splitKey(token string) (id string, hash []byte, ok bool) {
	rest, ok := strings.CutPrefix(token, keyPrefix)
	if !ok {
		return "", nil, false
	}
	id, secret, ok := strings.Cut(rest, "_")
	if !ok {
		return "", nil, false
	}
	hash, ok = keyForm.hash(id, secret)
	return id, hash, ok
}

// printCode joins an invitation's parts in groups that people can read to each other.
func printCode(id, secret string) string {
	groups := []string{id[:4], id[4:]}
	for len(secret) > 5 {
		groups = append(groups, secret[:5])
		secret = secret[5:]
	}
	return strings.Join(append(groups, secret), "-")
}

// splitCode reads an invitation's code as people type it: hyphens, spaces and capitals do not matter.
func splitCode(code string) (id string, hash []byte, ok bool) {
	if len(code) > 100 {
		return "", nil, false
	}
	text := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
	size := letters.EncodedLen(codeForm.id)
	if len(text) < size {
		return "", nil, false
	}
	id = text[:size]
	hash, ok = codeForm.hash(id, text[size:])
	return id, hash, ok
}

// pseudonym is a fresh random enrolment id.
func pseudonym() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
