package ledger

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Key is a key of the world state in Fabric's composite form: U+0000, the kind, U+0000, and each part followed by
// U+0000. A key with fewer parts is thereby a prefix of those with more, which is how pages are listed. Each domain
// builds its own keys in one file, keys.go.
type Key string

const (
	keyBorder = "\x00"
	// MaxKeyPart bounds one part of a key, in bytes.
	MaxKeyPart = 512
)

// NewKey builds a key of the given kind. Parts must be non-empty UTF-8 without U+0000 and U+10FFFF, at most
// [MaxKeyPart] bytes each; requests are validated before they reach a key, so a violation is a defect and panics
// (the panic becomes an internal fault).
func NewKey(kind string, parts ...string) Key {
	size := 2*len(keyBorder) + len(kind)
	for _, part := range parts {
		size += len(part) + len(keyBorder)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(keyBorder)
	add := func(part string) {
		if err := checkKeyPart(part); err != nil {
			panic(fmt.Sprintf("ledger: key of kind %q: %v", kind, err))
		}
		b.WriteString(part)
		b.WriteString(keyBorder)
	}
	add(kind)
	for _, part := range parts {
		add(part)
	}
	return Key(b.String())
}

// Split returns the kind and the parts of a key; ok is false for a string that NewKey cannot have made.
func (k Key) Split() (kind string, parts []string, ok bool) {
	s := string(k)
	if len(s) < 3 || s[:1] != keyBorder || s[len(s)-1:] != keyBorder {
		return "", nil, false
	}
	fields := strings.Split(s[1:len(s)-1], keyBorder)
	for _, field := range fields {
		if checkKeyPart(field) != nil {
			return "", nil, false
		}
	}
	return fields[0], fields[1:], true
}

// Kind is the kind of a key, "" for a string that is none.
func (k Key) Kind() string {
	rest, found := strings.CutPrefix(string(k), keyBorder)
	kind, _, ended := strings.Cut(rest, keyBorder)
	if !found || !ended {
		return ""
	}
	return kind
}

// String shows the key readably, its parts separated by slashes.
func (k Key) String() string {
	return strings.Trim(strings.ReplaceAll(string(k), keyBorder, "/"), "/")
}

func checkKeyPart(part string) error {
	switch {
	case part == "":
		return fmt.Errorf("empty part")
	case len(part) > MaxKeyPart:
		return fmt.Errorf("part of %d bytes exceeds %d", len(part), MaxKeyPart)
	case plainText(part):
		return nil
	case !utf8.ValidString(part):
		return fmt.Errorf("part is not UTF-8")
	case strings.ContainsRune(part, 0) || strings.ContainsRune(part, utf8.MaxRune):
		return fmt.Errorf("part holds U+0000 or U+10FFFF")
	}
	return nil
}

// plainText tells whether a string is of ASCII without U+0000, as nearly all parts are.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
