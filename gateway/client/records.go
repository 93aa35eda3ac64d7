package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// maxLine bounds a line of records, in bytes: a record of 64 MiB, escaped.
const maxLine = 256 << 20

// Record is a record of a contribution.
type Record struct {
	Contribution string `json:"contribution"` // its id
	Record       int    `json:"record"`       // the record's number in the contribution, from 0
	Text         string `json:"text"`
}

// Records reads content as records, one at a time: of what [SnapshotContentPath] names, say. A stream that
// breaks ends with an error; see [Client.DownloadRecords] for one that goes on.
func (c *Client) Records(ctx context.Context, path string, query url.Values) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		response, err := c.send(ctx, &call{method: http.MethodGet, path: path, query: query, header: http.Header{}})
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var r Record
			if err := ledger.DecodeAnswer(lines.Bytes(), &r); err != nil {
				yield(r, fmt.Errorf("read %s: %w", path, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Record{}, fmt.Errorf("read %s: a record has more than %d bytes", path, maxLine))
		case err != nil && ctx.Err() != nil:
			yield(Record{}, ctx.Err())
		case err != nil:
			yield(Record{}, c.unreachable(err))
		}
	}
}

// DownloadRecords fetches the records of [SnapshotContentPath] into a file of JSON Lines. Whole lines that are there
// already in path + ".part" are not fetched again, and a broken connection is made again where it broke. When a
// contribution has been erased meanwhile of which records are there, all begins anew. The file appears under its own
// name only when it is complete, readable for its owner alone. done is told how many records are there; it may be nil.
func (c *Client) DownloadRecords(ctx context.Context, resource, path string, done func(records int64)) (records int64, err error) {
	if done == nil {
		done = func(int64) {}
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, fmt.Errorf("download %s: %w", path, err)
	}
	l := &lines{file: file, done: done}
	err = c.fillLines(ctx, resource, l)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return l.count, fmt.Errorf("download %s: %w", path, err)
	}
	if err := os.Rename(part, path); err != nil {
		return l.count, fmt.Errorf("download %s: %w", path, err)
	}
	return l.count, nil
}

// lines are the records that a file has, of which the last one is known.
type lines struct {
	file  *os.File
	done  func(int64)
	count int64
	size  int64 // of whole lines
	last  Record
}

func newLines(in io.Reader) *bufio.Scanner {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	// Without its newline a line is not whole: its end may be missing.
	scanner.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil
	})
	return scanner
}

// read finds out what the file has, and cuts off a line that is not whole.
func (l *lines) read() error {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	l.count, l.size, l.last = 0, 0, Record{}
	scanner := newLines(l.file)
	for scanner.Scan() {
		var r Record
		if ledger.DecodeAnswer(scanner.Bytes(), &r) != nil {
			break
		}
		l.count, l.size, l.last = l.count+1, l.size+int64(len(scanner.Bytes()))+1, r
	}
	return l.cut()
}

func (l *lines) cut() error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	_, err := l.file.Seek(l.size, io.SeekStart)
	return err
}

// add appends lines as they come. The file keeps whole ones only.
func (l *lines) add(in io.Reader) error {
	out := bufio.NewWriterSize(l.file, 64<<10)
	scanner := newLines(in)
	for scanner.Scan() {
		var r Record
		if err := ledger.DecodeAnswer(scanner.Bytes(), &r); err != nil {
			return errors.Join(fmt.Errorf("the gateway sends what is no record: %w", err), out.Flush(), l.cut())
		}
		if _, err := out.Write(append(scanner.Bytes(), '\n')); err != nil {
			return err
		}
		l.count, l.size, l.last = l.count+1, l.size+int64(len(scanner.Bytes()))+1, r
		l.done(l.count)
	}
	return errors.Join(scanner.Err(), out.Flush())
}

func (c *Client) fillLines(ctx context.Context, resource string, l *lines) error {
	if err := l.read(); err != nil {
		return err
	}
	for failures := 1; ; failures++ {
		before := l.count
		err := c.fetchLines(ctx, resource, l)
		if err == nil {
			return nil
		}
		if l.count > before {
			failures = 1
		}
		wait, again := pause(err, min(failures, 10))
		if IsCode(err, "gone") && l.count > 0 {
			l.size = 0
			if err := errors.Join(l.cut(), l.read()); err != nil {
				return err
			}
			again = true
		}
		if !again || failures == attempts || ctx.Err() != nil {
			return err
		}
		c.notice(fmt.Sprintf("go on with the download: %v", err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (c *Client) fetchLines(ctx context.Context, resource string, l *lines) error {
	query := url.Values{}
	if l.count > 0 {
		query = url.Values{"after": {l.last.Contribution}, "record": {strconv.Itoa(l.last.Record)}}
	}
	response, err := c.once(ctx, &call{method: http.MethodGet, path: resource, query: query, header: http.Header{}})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	l.done(l.count)
	err = l.add(response.Body)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("a record has more than %d bytes", maxLine)
	default:
		return c.unreachable(err)
	}
}

// ReadRecords reads a file that [Client.DownloadRecords] has made, one record at a time.
func ReadRecords(path string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer file.Close()
		scanner := newLines(file)
		for scanner.Scan() {
			var r Record
			err := ledger.DecodeAnswer(scanner.Bytes(), &r)
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(Record{}, err)
		}
	}
}
