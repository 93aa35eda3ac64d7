package streaming

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"github.com/datanet-consortium/datanet/attribution"
)

// A stream is a token stream that is read. All but the numbers themselves is in memory.
type stream struct {
	file      io.ReaderAt
	positions int64
	tokens    uint64
	piece     int64 // positions to a checksum
	checksums []uint32

	contributions []contribution
	starts        []int64 // position of each record's first token, ascending
	words         dictionary
}

// ErrDamaged says that a file is not a token stream as it was written. The corpus has to be tokenised again.
var ErrDamaged = errors.New("the token stream is damaged or no token stream: tokenise the corpus again")

func openStream(file io.ReaderAt, size int64) (*stream, error) {
	if size < int64(len(magic)+footerSize) {
		return nil, ErrDamaged
	}
	footer := make([]byte, footerSize)
	if _, err := file.ReadAt(footer, size-int64(footerSize)); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read token stream: %w", err)
	}
	head := make([]byte, len(magic))
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read token stream: %w", err)
	}
	if string(head) != magic || string(footer[footerSize-len(magic):]) != magic {
		return nil, ErrDamaged
	}
	var sizes [6]uint64
	for i := range sizes {
		if sizes[i] = binary.LittleEndian.Uint64(footer[8*i:]); sizes[i] > uint64(size) {
			return nil, ErrDamaged
		}
	}
	s := &stream{
		file: file, positions: int64(sizes[0]), tokens: sizes[1],
		piece: int64(binary.LittleEndian.Uint32(footer[48:])),
	}
	tailSize := int64(sizes[5])
	if s.piece == 0 || s.piece > maxPiece || int64(len(magic))+4*s.positions+tailSize+int64(footerSize) != size || s.tokens+sizes[3] != sizes[0] {
		return nil, ErrDamaged
	}
	if int64(int(tailSize)) != tailSize {
		return nil, errors.New("read token stream: its dictionary is too large for this machine")
	}
	tail := make([]byte, tailSize)
	if _, err := file.ReadAt(tail, size-int64(footerSize)-tailSize); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read token stream: %w", err)
	}
	if crc32.Update(crc32.Checksum(tail, castagnoli), castagnoli, footer[:52]) != binary.LittleEndian.Uint32(footer[52:]) {
		return nil, ErrDamaged
	}
	d := tailDecoder{left: tail}
	s.readContributions(&d, sizes[2], sizes[3])
	s.readStarts(&d, sizes[3])
	s.words.read(&d, sizes[4])
	s.readChecksums(&d)
	if d.bad || len(d.left) > 0 {
		return nil, ErrDamaged
	}
	return s, nil
}

func (s *stream) readContributions(d *tailDecoder, count, records uint64) {
	if count > uint64(len(d.left))/12 {
		d.bad = true
		return
	}
	s.contributions = make([]contribution, 0, count)
	before := uint64(0)
	for range count {
		c := contribution{records: d.uint64(), id: string(d.bytes(int(d.uint16()))), account: string(d.bytes(int(d.uint16())))}
		if c.records < before || c.records > records || attribution.CheckName(c.id) != nil || attribution.CheckName(c.account) != nil {
			d.bad = true
			return
		}
		before = c.records
		s.contributions = append(s.contributions, c)
	}
	if records > 0 && (count == 0 || s.contributions[0].records != 0) {
		d.bad = true
	}
}

func (s *stream) readStarts(d *tailDecoder, count uint64) {
	if count > uint64(len(d.left))/8 {
		d.bad = true
		return
	}
	s.starts = make([]int64, count)
	next := uint64(0)
	for i := range s.starts {
		start := d.uint64()
		if start < next || start >= uint64(s.positions) || i == 0 && start != 0 {
			d.bad = true
			return
		}
		s.starts[i] = int64(start)
		next = start + 1
	}
}

func (s *stream) readChecksums(d *tailDecoder) {
	count := (s.positions + s.piece - 1) / s.piece
	if count > int64(len(d.left))/4 {
		d.bad = true
		return
	}
	s.checksums = make([]uint32, count)
	for i := range s.checksums {
		s.checksums[i] = d.uint32()
	}
}

// place returns where in the corpus a position is.
func (s *stream) place(position int64) attribution.Place {
	record := s.record(position)
	c := s.contributionOf(record)
	return attribution.Place{
		Contribution: c,
		Record:       record - int(s.contributions[c].records),
		Token:        int(position - s.starts[record]),
	}
}

// record returns the number of the record at a position, counted over the whole corpus.
func (s *stream) record(position int64) int {
	return sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > position }) - 1
}

func (s *stream) contributionOf(record int) int {
	return sort.Search(len(s.contributions), func(i int) bool { return s.contributions[i].records > uint64(record) }) - 1
}

// bounds returns the positions from the first token of a record to its border.
func (s *stream) bounds(record int) (start, end int64) {
	if record+1 < len(s.starts) {
		return s.starts[record], s.starts[record+1] - 1
	}
	return s.starts[record], s.positions - 1
}

// read returns the numbers at positions [from, to) as they are in the file, in buffer if it is large enough.
func (s *stream) read(from, to int64, buffer []byte) ([]byte, error) {
	size := int(4 * (to - from))
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	if n, err := s.file.ReadAt(buffer, int64(len(magic))+4*from); n < size {
		return nil, fmt.Errorf("read token stream: %w", err)
	}
	return buffer, nil
}

// check compares the pieces that lie in data, which begins with the piece at position from, with their checksums.
func (s *stream) check(data []byte, from int64) error {
	for i := from / s.piece; len(data) > 0; i++ {
		n := min(len(data), int(4*s.piece))
		if crc32.Checksum(data[:n], castagnoli) != s.checksums[i] {
			return ErrDamaged
		}
		data = data[n:]
	}
	return nil
}

// A tailDecoder takes values from the front of left. Once bad, it returns zeros.
type tailDecoder struct {
	left []byte
	bad  bool
}

func (d *tailDecoder) bytes(n int) []byte {
	if d.bad || n > len(d.left) {
		d.bad = true
		return nil
	}
	b := d.left[:n]
	d.left = d.left[n:]
	return b
}

func (d *tailDecoder) fixed(n int) []byte {
	if b := d.bytes(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (d *tailDecoder) uint8() uint8   { return d.fixed(1)[0] }
func (d *tailDecoder) uint16() uint16 { return binary.LittleEndian.Uint16(d.fixed(2)) }
func (d *tailDecoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.fixed(4)) }
func (d *tailDecoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.fixed(8)) }
