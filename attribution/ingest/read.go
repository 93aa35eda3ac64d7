package ingest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// read calls each with the records of a file in UTF-8, in order. No record is larger than max bytes: a larger
// one fails before it is read whole.
func read(in io.Reader, format Format, rules Rules, max int, each func([]byte) error) error {
	switch format {
	case Text, Markdown:
		if rules.Split {
			return readBlocks(in, max, each)
		}
		return readWhole(in, max, each)
	case Code:
		return readWhole(in, max, each)
	case JSONLines:
		return readJSONLines(in, rules.Field, max, each)
	case CSV:
		return readCSV(in, rules.Columns, max, each)
	default:
		return fmt.Errorf("format %q is not known", format)
	}
}

func readWhole(in io.Reader, max int, each func([]byte) error) error {
	text, err := io.ReadAll(io.LimitReader(in, int64(max)+1))
	if err != nil {
		return err
	}
	if len(text) > max {
		return errRecordSize
	}
	return each(text)
}

// readBlocks cuts a text at lines of nothing but spaces and tabs. A block is its lines with what ends them,
// but for the last, whose line feed or carriage return and line feed are left out.
func readBlocks(in io.Reader, max int, each func([]byte) error) error {
	lines := newLines(in, max+2)
	var block []byte
	end := func() error {
		if len(block) == 0 {
			return nil
		}
		record := trimEnd(block)
		block = block[:0]
		return each(record)
	}
	first := true
	for {
		line, err := lines.next()
		if err != nil && err != io.EOF {
			return err
		}
		if first {
			line, first = bytes.TrimPrefix(line, []byte(byteOrderMark)), false
		}
		if len(bytes.Trim(line, " \t\r\n")) > 0 {
			if block = append(block, line...); len(trimEnd(block)) > max {
				return errRecordSize
			}
		} else if endErr := end(); endErr != nil {
			return endErr
		}
		if err == io.EOF {
			return end()
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// lines reads lines of a bounded length, each with what ends it.
type lines struct {
	in   *bufio.Reader
	max  int
	line []byte
}

func newLines(in io.Reader, max int) *lines {
	return &lines{in: bufio.NewReaderSize(in, 64<<10), max: max}
}

// next returns the next line, valid until the next call; with io.EOF what follows the last line feed.
func (l *lines) next() ([]byte, error) {
	l.line = l.line[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if l.line = append(l.line, part...); len(l.line) > l.max {
			return nil, errRecordSize
		}
		if err != bufio.ErrBufferFull {
			return l.line, err
		}
	}
}

// readJSONLines takes the string in a field of each line's object. Blank lines are passed over.
func readJSONLines(in io.Reader, field string, max int, each func([]byte) error) error {
	if field == "" {
		return errors.New("is JSON Lines: name the field that holds the text")
	}
	// What else a line holds, and escapes of six bytes for one, may make it longer than its text.
	lines := newLines(in, 6*max+64<<10)
	for number := 1; ; number++ {
		line, err := lines.next()
		if err != nil && err != io.EOF {
			return err
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		if len(bytes.TrimSpace(line)) > 0 {
			text, fieldErr := stringField(line, field)
			if fieldErr != nil {
				return fmt.Errorf("line %d: %w", number, fieldErr)
			}
			if eachErr := each([]byte(text)); eachErr != nil {
				return eachErr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func stringField(line []byte, field string) (string, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(line, &members); err != nil {
		return "", fmt.Errorf("is no JSON object: %w", err)
	}
	value, there := members[field]
	if !there {
		return "", fmt.Errorf("has no field %q", field)
	}
	if value.Kind() != '"' {
		return "", fmt.Errorf("field %q is no string", field)
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", fmt.Errorf("field %q: %w", field, err)
	}
	return text, nil
}

// readCSV takes the named columns of each row (RFC 4180), joined by line feeds. The first row names the columns.
func readCSV(in io.Reader, columns []string, max int, each func([]byte) error) error {
	if len(columns) == 0 {
		return errors.New("is CSV: name the columns that hold the text")
	}
	bounded := &allowance{in: skipByteOrderMark(in), row: 6*max + 64<<10}
	rows := csv.NewReader(bounded)
	rows.ReuseRecord = true
	bounded.renew()
	head, err := rows.Read()
	if err == io.EOF {
		return errors.New("is empty: the first row of CSV names its columns")
	}
	if err != nil {
		return err
	}
	chosen := make([]int, len(columns))
	for i, column := range columns {
		if chosen[i] = slices.Index(head, column); chosen[i] < 0 {
			return fmt.Errorf("has no column %q: its columns are %s", column, strings.Join(head, ", "))
		}
		if slices.Index(head[chosen[i]+1:], column) >= 0 {
			return fmt.Errorf("has two columns %q", column)
		}
	}
	var record []byte
	for {
		bounded.renew()
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		record = record[:0]
		for i, column := range chosen {
			if i > 0 {
				record = append(record, '\n')
			}
			record = append(record, row[column]...)
		}
		if err := each(record); err != nil {
			return err
		}
	}
}

func skipByteOrderMark(in io.Reader) io.Reader {
	buffered := bufio.NewReader(in)
	if head, err := buffered.Peek(len(byteOrderMark)); err == nil && string(head) == byteOrderMark {
		// Peeked bytes can be discarded.
		_, _ = buffered.Discard(len(byteOrderMark))
	}
	return buffered
}

// An allowance lets no row of CSV read much more than its size, so that a quote without an end does not fill
// the memory.
type allowance struct {
	in        io.Reader
	row, left int
}

func (a *allowance) renew() { a.left = a.row }

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errRecordSize
	}
	n, err := a.in.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}
