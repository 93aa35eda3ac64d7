package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"
)

// An EncodingError says that a file is not UTF-8, from which byte on, and what it may be instead.
type EncodingError struct {
	Offset int64 // of the first byte that is not UTF-8, or not text
	Line   int64 // from 1
	Guess  string
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("is not text in UTF-8 (line %d, byte %d): %s", e.Line, e.Offset, e.Guess)
}

// beginnings are how files begin that are something else.
var beginnings = []struct{ bytes, guess string }{
	{"\xff\xfe\x00\x00", "it is UTF-32; convert it with iconv -f UTF-32 -t UTF-8"},
	{"\x00\x00\xfe\xff", "it is UTF-32; convert it with iconv -f UTF-32 -t UTF-8"},
	{"\xff\xfe", "it is UTF-16; convert it with iconv -f UTF-16 -t UTF-8"},
	{"\xfe\xff", "it is UTF-16; convert it with iconv -f UTF-16 -t UTF-8"},
	{"%PDF-", "it is a PDF; extract its text first"},
	{"PK\x03\x04", "it is a ZIP archive or an office document; save its text as a file of its own"},
	{"\xd0\xcf\x11\xe0", "it is an office document; save its text as a file of its own"},
	{"\x1f\x8b", "it is compressed with gzip; unpack it first"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"},
	{"\x89PNG", "it is an image"},
	{"\xff\xd8\xff", "it is an image"},
	{"{\\rtf", "it is a document in RTF; save it as plain text"},
}

// escape begins the sequences of ISO 2022.
const escape = 0x1b

// byteOrderMark may begin a file in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// A utf8Reader passes UTF-8 on and fails with an *EncodingError at anything else. A byte order mark at the
// beginning is passed on as it is.
type utf8Reader struct {
	in     io.Reader
	buffer []byte // checked up to ready
	ready  int
	offset int64 // of buffer[0] in the file
	line   int64
	err    error
	begun  bool
}

func newUTF8Reader(in io.Reader) *utf8Reader {
	return &utf8Reader{in: in, buffer: make([]byte, 0, 64<<10), line: 1}
}

func (r *utf8Reader) Read(p []byte) (int, error) {
	for r.ready == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.buffer[:r.ready])
	r.line += int64(bytes.Count(r.buffer[:n], []byte{'\n'}))
	r.buffer = r.buffer[:copy(r.buffer, r.buffer[n:])]
	r.ready -= n
	r.offset += int64(n)
	return n, nil
}

// fill reads on and checks what it can. What is left unchecked is the beginning of a rune.
func (r *utf8Reader) fill() {
	n, err := io.ReadAtLeast(r.in, r.buffer[len(r.buffer):cap(r.buffer)], 1)
	if !r.begun {
		// So much is needed to know files by their beginnings.
		more, _ := io.ReadAtLeast(r.in, r.buffer[len(r.buffer)+n:cap(r.buffer)], max(0, 8-n))
		n += more
	}
	r.buffer = r.buffer[:len(r.buffer)+n]
	r.err = err
	if !r.begun {
		r.begun = true
		for _, b := range beginnings {
			if bytes.HasPrefix(r.buffer, []byte(b.bytes)) {
				r.refuse(0, b.guess)
				return
			}
		}
	}
	if bytes.IndexByte(r.buffer, 0) < 0 && bytes.IndexByte(r.buffer, escape) < 0 && utf8.Valid(r.buffer) {
		r.ready = len(r.buffer)
		return
	}
	for r.ready < len(r.buffer) {
		b := r.buffer[r.ready]
		if b == 0 {
			r.refuse(r.ready, r.guessZero())
			return
		}
		if b == escape && r.ready+1 < len(r.buffer) && (r.buffer[r.ready+1] == '$' || r.buffer[r.ready+1] == '(') {
			r.refuse(r.ready, "it looks like ISO 2022; convert it with iconv -f ISO-2022-JP -t UTF-8, or name the encoding it has")
			return
		}
		if b < utf8.RuneSelf {
			r.ready++
			continue
		}
		rest := r.buffer[r.ready:]
		if !utf8.FullRune(rest) && err == nil {
			return
		}
		if c, width := utf8.DecodeRune(rest); c != utf8.RuneError || width > 1 {
			r.ready += width
			continue
		}
		r.refuse(r.ready, guessLegacy(r.buffer))
		return
	}
}

func (r *utf8Reader) refuse(at int, guess string) {
	r.err = &EncodingError{Offset: r.offset + int64(at), Line: r.line + int64(bytes.Count(r.buffer[:at], []byte{'\n'})), Guess: guess}
	r.ready = 0
}

// guessZero tells text of two bytes a character from what is no text.
func (r *utf8Reader) guessZero() string {
	var zeros [2]int
	for i, b := range r.buffer {
		if b == 0 {
			zeros[i%2]++
		}
	}
	half := len(r.buffer) / 2
	if zeros[0]*2 > half && zeros[1]*10 < half || zeros[1]*2 > half && zeros[0]*10 < half {
		return "it looks like UTF-16; convert it with iconv -f UTF-16LE -t UTF-8 (or UTF-16BE)"
	}
	return "it has a NUL byte, which no text has; it is a file of another kind"
}

// guessLegacy tells damaged UTF-8 from another encoding.
func guessLegacy(piece []byte) string {
	good, bad := 0, 0
	for len(piece) > 0 {
		r, width := utf8.DecodeRune(piece)
		piece = piece[width:]
		switch {
		case r == utf8.RuneError && width == 1:
			bad++
		case width > 1:
			good++
		}
	}
	if good > 10*bad {
		return "a few of its bytes are damaged; repair them, or drop them with iconv -f UTF-8 -t UTF-8 -c"
	}
	return "it looks like an older encoding, such as Windows-1256 (Arabic, Persian), Windows-1252 (Western) or GB 18030 (Chinese); " +
		"convert it, for example with iconv -f WINDOWS-1256 -t UTF-8"
}

// A meter counts what is read from a file and stops at a limit or when its context ends.
type meter struct {
	ctx  context.Context
	in   io.Reader
	left int64
	read *int64
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.in.Read(p[:min(int64(len(p)), m.left+1)])
	*m.read += int64(n)
	if m.left -= int64(n); m.left < 0 {
		return 0, errFileSize
	}
	return n, err
}
