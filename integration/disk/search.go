package disk

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Search looks for many things at once, each in the forms in which programs write bytes: raw, in hex, in base64 wherever
// it begins within what is encoded, escaped as JSON, and as a list of numbers.
type Search struct {
	long  map[uint64][]form // by their first 8 bytes
	short []form
}

// window is how many bytes of a form are looked up at once.
const window = 8

type form struct {
	what  string // the name of what was looked for
	as    string // how it is written
	bytes []byte
}

// minimum is the length of the shortest thing that is worth looking for: shorter ones stand somewhere by chance.
const minimum = 5

// Add adds something to look for. The name stands for it in findings, which so repeat no secret.
func (s *Search) Add(name string, value []byte) error {
	if len(value) < minimum {
		return fmt.Errorf("%s has %d bytes: what is shorter than %d stands somewhere by chance", name, len(value), minimum)
	}
	add := func(as string, written []byte) {
		f := form{name, as, written}
		if len(written) < window {
			s.short = append(s.short, f)
			return
		}
		if s.long == nil {
			s.long = map[uint64][]form{}
		}
		key := binary.LittleEndian.Uint64(written)
		s.long[key] = append(s.long[key], f)
	}
	add("raw", value)
	lower := hex.EncodeToString(value)
	add("hex", []byte(lower))
	add("hex in capitals", []byte(strings.ToUpper(lower)))
	for shift := range 3 {
		// Of the first and the last character some bits belong to the neighbours.
		for as, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), value...))
			from, to := (8*shift+5)/6, (8*(shift+len(value)))/6
			if to-from >= window {
				add(as, []byte(text[from:to]))
			}
		}
	}
	var numbers []string
	for _, b := range value {
		numbers = append(numbers, strconv.Itoa(int(b)))
	}
	add("a list of numbers", []byte(strings.Join(numbers, ",")))
	if escaped := strconv.QuoteToASCII(string(value)); len(escaped) > len(value)+2 {
		add("escaped", []byte(escaped[1:len(escaped)-1]))
	}
	quoted, err := json.Marshal(string(value))
	if err != nil {
		return fmt.Errorf("quote %s: %w", name, err)
	}
	if inner := quoted[1 : len(quoted)-1]; !bytes.Equal(inner, value) {
		add("JSON", inner)
	}
	return nil
}

// Finding is something that was looked for and is there.
type Finding struct {
	What string // its name
	As   string // how it is written
}

func (f Finding) String() string { return f.What + " as " + f.As }

// In returns what stands in a part, each finding once.
func (s *Search) In(part []byte) []Finding {
	var found []Finding
	seen := map[Finding]bool{}
	note := func(f form) {
		if finding := (Finding{f.what, f.as}); !seen[finding] {
			seen[finding] = true
			found = append(found, finding)
		}
	}
	for _, f := range s.short {
		if bytes.Contains(part, f.bytes) {
			note(f)
		}
	}
	for i := 0; i+window <= len(part); i++ {
		for _, f := range s.long[binary.LittleEndian.Uint64(part[i:])] {
			if bytes.HasPrefix(part[i:], f.bytes) {
				note(f)
			}
		}
	}
	return found
}
