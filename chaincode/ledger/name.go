package ledger

import (
	"encoding/hex"
	"regexp"
	"strings"
)

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$`)

// ValidID reports a malformed random id: 16 random bytes as 32 lower-case hex digits. Everything that a person makes
// has such a name, chosen by the client before it sends anything, so that a request can be repeated safely and no
// name tells who made it.
func ValidID(field, id string) error {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return Invalid(field, "%q is not an id: expected 16 random bytes as 32 lower-case hex digits", Clip(id))
	}
	return nil
}

// ValidName reports a malformed resource name: the MSP ID of the organisation that owns it, a slash, and up to 64
// lower-case letters, digits, dots or hyphens, as in "PoetrySocietyMSP/persian-poetry". Nobody can squat another
// organisation's names.
func ValidName(field, name string) error {
	msp, slug, ok := strings.Cut(name, "/")
	if !ok || ValidMSP(msp) != nil || !slugPattern.MatchString(slug) {
		return Invalid(field, "%q is not a name: expected MSPID/lower-case-name", Clip(name))
	}
	return nil
}

// Owner is the organisation that owns a resource name.
func Owner(name string) string {
	msp, _, _ := strings.Cut(name, "/")
	return msp
}

// ValidDigest reports what is not a SHA-256 as 64 lower-case hex digits.
func ValidDigest(field, digest string) error {
	var raw [32]byte
	if len(digest) != hex.EncodedLen(len(raw)) {
		return Invalid(field, "expected a SHA-256 as 64 lower-case hex digits")
	}
	if _, err := hex.Decode(raw[:], []byte(digest)); err != nil || strings.ToLower(digest) != digest {
		return Invalid(field, "expected a SHA-256 as 64 lower-case hex digits")
	}
	return nil
}
