package wordchain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// An artifact is a text: after the header, one line for each context and follower, in their order.
//
//	word-chain/1
//	<up to two words> TAB <the word after them, or nothing> TAB <how often>
const header = "word-chain/1\n"

// Encode writes the chain as its artifact. Equal chains give equal bytes.
func (c *Chain) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	for _, context := range slices.Sorted(maps.Keys(c.next)) {
		for _, f := range c.next[context] {
			b.WriteString(context)
			b.WriteByte('\t')
			b.WriteString(f.word)
			b.WriteByte('\t')
			b.WriteString(strconv.FormatUint(f.count, 10))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// maxCount keeps sums of counts in 64 bits.
const maxCount = 1 << 32

// Decode reads what Encode wrote, and nothing else.
func Decode(artifact []byte) (*Chain, error) {
	body, ok := strings.CutPrefix(string(artifact), header)
	if !ok {
		return nil, fmt.Errorf("read word chain: the artifact does not begin with %q", strings.TrimSpace(header))
	}
	c := &Chain{next: map[string][]follower{}}
	number, before, beforeWord := 1, "", ""
	for line := range strings.Lines(body) {
		number++
		context, f, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("read word chain: line %d: %w", number, err)
		}
		if number > 2 && (context < before || context == before && f.word <= beforeWord) {
			return nil, fmt.Errorf("read word chain: line %d is not after the one before", number)
		}
		before, beforeWord = context, f.word
		c.next[context] = append(c.next[context], f)
	}
	return c, nil
}

func decodeLine(line string) (context string, f follower, err error) {
	line, ended := strings.CutSuffix(line, "\n")
	fields := strings.Split(line, "\t")
	if !ended || len(fields) != 3 {
		return "", f, fmt.Errorf("expected a context, a word and a count, separated by tabs")
	}
	context, f.word = fields[0], fields[1]
	words := strings.Fields(context)
	if len(words) > order || strings.Join(words, " ") != context {
		return "", f, fmt.Errorf("%q is not a context of up to %d words", context, order)
	}
	if strings.ContainsFunc(f.word, unicode.IsSpace) {
		return "", f, fmt.Errorf("%q is not a word", f.word)
	}
	if f.word == "" && context == "" {
		return "", f, fmt.Errorf("an empty line has no place in a chain")
	}
	f.count, err = strconv.ParseUint(fields[2], 10, 64)
	if err != nil || f.count == 0 || f.count > maxCount || strconv.FormatUint(f.count, 10) != fields[2] {
		return "", f, fmt.Errorf("%q is not a count", fields[2])
	}
	return context, f, nil
}
