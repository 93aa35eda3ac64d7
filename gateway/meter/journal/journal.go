// Package journal is one ordered, durable log with group commit, in which a meter or a wallet keeps all that it knows.
//
// Life of a record: Append puts it into the batch in memory and gives it a place and a ticket. The first who waits for
// a ticket writes the whole batch as one frame and syncs it once, for all who wait. After a crash Open replays every
// record of every whole frame, in order, and cuts off a torn last frame. What was waited for is replayed; of what was
// not, the records of whole frames may be. Of a later record that is replayed, all earlier ones are.
//
//	medium: "DATANET-JOURNAL1" frame*
//	frame:  "FRAM" sequence(u64) length(u32) CRC-32C of the 12 bytes before and the body(u32) body
//	body:   (length(u32) CRC-32C(u32) record)*
//
// Integers are big-endian. A frame is written only once the one before is synced, so only the last one can be torn: a
// broken frame with a good one behind it is damage, and Open refuses. After a failed write or sync the log takes
// nothing more, since what the medium holds is then unknown: open it again.
package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"
)

const (
	header      = "DATANET-JOURNAL1"
	marker      = "FRAM"
	frameHeader = len(marker) + 8 + 4 + 4
	recordHead  = 4 + 4

	// MaxRecord bounds a record, in bytes.
	MaxRecord = 16 << 20
	// fullBatch is the size at which Append writes the batch instead of letting it grow.
	fullBatch = 4 << 20
	maxBody   = fullBatch + recordHead + MaxRecord
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is a medium that no crash of this program leaves behind: restore it from a backup.
var ErrDamaged = errors.New("the journal is damaged")

// Medium is where a journal lies: bytes that grow at the end. What Append has written is durable once Sync has
// returned without an error; after a crash any prefix of what was not may remain. Append keeps nothing of p.
type Medium interface {
	io.ReaderAt
	Size() (int64, error)
	Append(p []byte) error
	Sync() error
	// Truncate cuts the medium, durably.
	Truncate(size int64) error
	// Replace puts what write writes in place of all bytes, durably and as a whole: after a crash or an error the
	// medium holds the old bytes or the new ones. While write runs, ReadAt reads the old ones.
	Replace(write func(io.Writer) error) error
	Close() error
}

// Log is a journal. All methods are safe for concurrent use.
type Log struct {
	medium Medium

	mu       sync.Mutex
	flushed  *sync.Cond
	batch    []byte // a frame with its header still empty
	spare    []byte // room for the next one
	base     int64  // where the batch will lie
	sequence uint64 // of the batch
	appended uint64 // records
	durable  uint64 // the same
	flushing bool
	waiting  int  // who wait for a sync
	shared   bool // several waited for the last one
	syncs    uint64
	err      error
}

// Open reads a journal from the beginning, hands every record with its place to replay, and cuts off a torn end. An
// empty medium becomes an empty journal. The record is valid only during the call.
func Open(m Medium, replay func(offset int64, record []byte) error) (*Log, error) {
	l := &Log{medium: m, sequence: 1}
	l.flushed = sync.NewCond(&l.mu)
	size, err := m.Size()
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if size == 0 {
		if err := m.Replace(func(w io.Writer) error { _, err := io.WriteString(w, header); return err }); err != nil {
			return nil, fmt.Errorf("create journal: %w", err)
		}
		size = int64(len(header))
	}
	head := make([]byte, len(header))
	if _, err := m.ReadAt(head, 0); err != nil || string(head) != header {
		return nil, fmt.Errorf("open journal: it does not begin as one: %w", ErrDamaged)
	}
	l.base = int64(len(header))
	for l.base < size {
		body, err := readFrame(m, l.base, size, l.sequence)
		if errors.Is(err, errTorn) {
			if err := l.cut(size); err != nil {
				return nil, err
			}
			break
		}
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		if err := each(body, l.base+int64(frameHeader), replay); err != nil {
			return nil, fmt.Errorf("replay journal: %w", err)
		}
		l.base += int64(frameHeader + len(body))
		l.sequence++
	}
	// What a crash has left whole but perhaps not synced counts from now on.
	if err := m.Sync(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return l, nil
}

var errTorn = errors.New("torn frame")

// readFrame returns the body of the frame at an offset.
func readFrame(m io.ReaderAt, offset, size int64, sequence uint64) ([]byte, error) {
	if size-offset < int64(frameHeader) {
		return nil, errTorn
	}
	head := make([]byte, frameHeader)
	if _, err := m.ReadAt(head, offset); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	length := int64(binary.BigEndian.Uint32(head[12:]))
	if string(head[:4]) != marker || binary.BigEndian.Uint64(head[4:]) != sequence || length > maxBody || length > size-offset-int64(frameHeader) {
		return nil, errTorn
	}
	body := make([]byte, length)
	if _, err := m.ReadAt(body, offset+int64(frameHeader)); err != nil && length > 0 {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	if frameSum(head, body) != binary.BigEndian.Uint32(head[16:]) {
		return nil, errTorn
	}
	return body, nil
}

func frameSum(head, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[4:16], castagnoli), castagnoli, body)
}

// each hands out the records of a body.
func each(body []byte, offset int64, replay func(int64, []byte) error) error {
	for len(body) > 0 {
		if len(body) < recordHead {
			return fmt.Errorf("a record at %d ends early: %w", offset, ErrDamaged)
		}
		length := int64(binary.BigEndian.Uint32(body))
		if length > int64(len(body)-recordHead) {
			return fmt.Errorf("a record at %d ends early: %w", offset, ErrDamaged)
		}
		if err := replay(offset, body[recordHead:recordHead+length]); err != nil {
			return err
		}
		body = body[recordHead+length:]
		offset += recordHead + length
	}
	return nil
}

// cut removes the torn frame at the end. It refuses when more follows than one frame, or a good frame.
func (l *Log) cut(size int64) error {
	rest := size - l.base
	if rest > int64(frameHeader+maxBody) {
		return fmt.Errorf("open journal: %d bytes follow a broken frame at %d: %w", rest, l.base, ErrDamaged)
	}
	tail := make([]byte, rest)
	if _, err := l.medium.ReadAt(tail, l.base); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	for at := 1; at < len(tail); at++ {
		next := bytes.Index(tail[at:], []byte(marker))
		if next < 0 {
			break
		}
		at += next
		if len(tail)-at < frameHeader {
			break
		}
		if sequence := binary.BigEndian.Uint64(tail[at+4:]); sequence > l.sequence && sequence-l.sequence < 1<<20 {
			if _, err := readFrame(bytes.NewReader(tail), int64(at), rest, sequence); err == nil {
				return fmt.Errorf("open journal: a broken frame at %d is followed by a good one: %w", l.base, ErrDamaged)
			}
		}
	}
	if err := l.medium.Truncate(l.base); err != nil {
		return fmt.Errorf("cut the torn end of the journal: %w", err)
	}
	return nil
}

// Append puts a record at the end and returns its place, for Read, and its ticket, for Wait. The record is copied.
func (l *Log) Append(record []byte) (offset int64, ticket uint64, err error) {
	if len(record) > MaxRecord {
		return 0, 0, fmt.Errorf("append to journal: a record of %d bytes exceeds %d", len(record), MaxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.batch) >= fullBatch && l.err == nil {
		l.flush()
	}
	if l.err != nil {
		return 0, 0, l.err
	}
	if len(l.batch) == 0 {
		l.batch, l.spare = append(l.spare[:0], make([]byte, frameHeader)...), nil
	}
	offset = l.base + int64(len(l.batch))
	l.batch = appendRecord(l.batch, record)
	l.appended++
	return offset, l.appended, nil
}

func appendRecord(b, record []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(record)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(record, castagnoli))
	return append(b, record...)
}

const (
	// gather is how long a sync waits for more records while several wait for one at a time: so one serves many. Who
	// writes alone never waits.
	gather = time.Millisecond
	// maxSpare is the largest batch whose memory is used again, in bytes.
	maxSpare = 1 << 20
)

// Wait returns once the record with the ticket, and so every earlier one, is durable.
func (l *Log) Wait(ticket uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	for l.durable < ticket && l.err == nil {
		l.flush()
	}
	l.waiting--
	if l.durable >= ticket {
		return nil
	}
	return l.err
}

// Flush returns once everything appended so far is durable.
func (l *Log) Flush() error {
	l.mu.Lock()
	ticket := l.appended
	l.mu.Unlock()
	return l.Wait(ticket)
}

// flush writes and syncs the batch, or waits for whoever is doing that. It is called and returns with mu locked.
func (l *Log) flush() {
	if l.flushing {
		l.flushed.Wait()
		return
	}
	if len(l.batch) == 0 {
		return
	}
	l.flushing = true
	if l.shared && len(l.batch) < fullBatch {
		l.mu.Unlock()
		time.Sleep(gather)
		l.mu.Lock()
	}
	frame, ticket := seal(l.batch, l.sequence), l.appended
	l.shared = l.waiting > 1
	l.batch = nil
	l.base += int64(len(frame))
	l.sequence++
	l.mu.Unlock()
	err := l.medium.Append(frame)
	if err == nil {
		err = l.medium.Sync()
	}
	l.mu.Lock()
	if cap(frame) <= maxSpare {
		l.spare = frame
	}
	l.flushing = false
	l.syncs++
	if err != nil {
		l.err = fmt.Errorf("write journal: %w", err)
	} else {
		l.durable = ticket
	}
	l.flushed.Broadcast()
}

// seal fills in a frame's header.
func seal(frame []byte, sequence uint64) []byte {
	copy(frame, marker)
	binary.BigEndian.PutUint64(frame[4:], sequence)
	binary.BigEndian.PutUint32(frame[12:], uint32(len(frame)-frameHeader))
	binary.BigEndian.PutUint32(frame[16:], frameSum(frame[:frameHeader], frame[frameHeader:]))
	return frame
}

// Read returns the record at a place that Append or replay gave and Rewrite has not moved, once it is durable.
func (l *Log) Read(offset int64) ([]byte, error) {
	head := make([]byte, recordHead)
	if _, err := l.medium.ReadAt(head, offset); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	length := binary.BigEndian.Uint32(head)
	if length > MaxRecord {
		return nil, fmt.Errorf("read journal: no record is at %d: %w", offset, ErrDamaged)
	}
	record := make([]byte, length)
	if _, err := l.medium.ReadAt(record, offset+recordHead); err != nil && length > 0 {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if crc32.Checksum(record, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("read journal: the record at %d is not what was written: %w", offset, ErrDamaged)
	}
	return record, nil
}

// Rewrite replaces all records by those that write adds, as a whole; add returns the new place of each. It first makes
// durable what was appended. The caller keeps others from appending meanwhile. Inside, Read reads the old records.
func (l *Log) Rewrite(write func(add func(record []byte) (int64, error)) error) error {
	if err := l.Flush(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flushing || len(l.batch) > 0 {
		return errors.New("rewrite journal: somebody appends to it")
	}
	var base int64
	var sequence uint64
	err := l.medium.Replace(func(w io.Writer) error {
		if _, err := io.WriteString(w, header); err != nil {
			return err
		}
		base, sequence = int64(len(header)), 1
		batch := make([]byte, frameHeader)
		flush := func() error {
			if len(batch) == frameHeader {
				return nil
			}
			n, err := w.Write(seal(batch, sequence))
			base += int64(n)
			sequence++
			batch = make([]byte, frameHeader)
			return err
		}
		if err := write(func(record []byte) (int64, error) {
			if len(record) > MaxRecord {
				return 0, fmt.Errorf("a record of %d bytes exceeds %d", len(record), MaxRecord)
			}
			if len(batch) >= fullBatch {
				if err := flush(); err != nil {
					return 0, err
				}
			}
			offset := base + int64(len(batch))
			batch = appendRecord(batch, record)
			return offset, nil
		}); err != nil {
			return err
		}
		return flush()
	})
	if err != nil {
		// Whether the old bytes or the new ones are there is not known.
		l.err = fmt.Errorf("rewrite journal: %w", err)
		return l.err
	}
	l.base, l.sequence = base, sequence
	l.syncs++
	return nil
}

// Size is the length of the journal in bytes, what is not yet written included.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base + int64(len(l.batch))
}

// Syncs counts how often the journal has made the medium durable.
func (l *Log) Syncs() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.syncs
}

// Close makes everything durable and closes the medium.
func (l *Log) Close() error {
	return errors.Join(l.Flush(), l.medium.Close())
}
