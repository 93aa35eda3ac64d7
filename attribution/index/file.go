package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution"
)

// A segment's file, all numbers little-endian:
//
//	magic      8 bytes, the last of which is the version of the format
//	spec       32 bytes, the specification whose tokens these are
//	sections   for each: offset u64, bytes u64
//	sums       CRC-32C of the list of sums u32; CRC-32C of all before this u32
//	…          the sections in order, each at a multiple of 64 bytes, between zeros
//	           the last one is the list of sums: CRC-32C of each MiB from the first section to the last but one
//
// A format that changes gets another version. There is no reading of older ones: an index can be built again.
const (
	magic     = "dnindex\x01"
	alignment = 64
	sumSize   = 1 << 20
)

type section int

const (
	sectionContributions section = iota
	sectionRecords
	sectionText
	sectionSuffixes
	sectionFirst
	sectionGrams
	sectionMinima
	sectionDerivations
	sectionSlots
	sectionOffsets
	sectionTokens
	sectionRunes
	sectionSums
	sections
)

const (
	headerSpec     = len(magic)
	headerSections = headerSpec + 32
	headerSums     = headerSections + 16*int(sections)
	headerSize     = headerSums + 8
)

// ErrDamaged is what a file fails with that is not a segment of this version, or no longer.
var ErrDamaged = errors.New("the index is damaged or of another version; build it again")

func damaged(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, arguments...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parts returns the content of the sections but the sums.
func (g *Segment) parts() [sections][]byte {
	var parts [sections][]byte
	for _, c := range g.contributions {
		b := parts[sectionContributions]
		b = binary.LittleEndian.AppendUint16(b, uint16(len(c.id)))
		b = append(b, c.id...)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(c.account)))
		b = append(b, c.account...)
		parts[sectionContributions] = binary.LittleEndian.AppendUint32(b, c.record)
	}
	var minima []uint32
	for _, level := range g.minima {
		minima = append(minima, level...)
	}
	parts[sectionRecords] = bytesOf(g.records)
	parts[sectionText] = bytesOf(g.text)
	parts[sectionSuffixes] = bytesOf(g.suffixes)
	parts[sectionFirst] = bytesOf(g.first)
	parts[sectionGrams] = bytesOf(g.grams)
	parts[sectionMinima] = bytesOf(minima)
	parts[sectionDerivations] = bytesOf(flat(g.derivations))
	parts[sectionSlots] = bytesOf(g.dictionary.slots)
	parts[sectionOffsets] = bytesOf(g.dictionary.offsets)
	parts[sectionTokens] = g.dictionary.text
	parts[sectionRunes] = g.dictionary.runes
	return parts
}

// write puts a segment into a file and returns the file's size and the sum in its header.
func (g *Segment) write(ctx context.Context, file *os.File) (size int64, sum uint32, err error) {
	parts := g.parts()
	header := append([]byte(magic), make([]byte, headerSize-len(magic))...)
	spec := attribution.Spec()
	copy(header[headerSpec:], spec[:])
	offset := int64(headerSize)
	summed := int64(0)
	for i, part := range parts {
		offset = (offset + alignment - 1) / alignment * alignment
		size := int64(len(part))
		if section(i) == sectionSums {
			size = 4 * ((offset - summed + sumSize - 1) / sumSize)
		}
		if i == 0 {
			summed = offset
		}
		binary.LittleEndian.PutUint64(header[headerSections+16*i:], uint64(offset))
		binary.LittleEndian.PutUint64(header[headerSections+16*i+8:], uint64(size))
		offset += size
	}
	w := &summer{to: file, at: int64(headerSize)}
	if _, err := file.Write(header); err != nil {
		return 0, 0, err
	}
	for i, part := range parts {
		if err := context.Cause(ctx); err != nil {
			return 0, 0, err
		}
		start := int64(binary.LittleEndian.Uint64(header[headerSections+16*i:]))
		if i == 0 {
			if err := w.fill(start); err != nil {
				return 0, 0, err
			}
			w.begin()
		}
		if err := w.fill(start); err != nil {
			return 0, 0, err
		}
		if section(i) == sectionSums {
			part = w.end()
			binary.LittleEndian.PutUint32(header[headerSums:], crc32.Checksum(part, castagnoli))
		}
		if _, err := w.Write(part); err != nil {
			return 0, 0, err
		}
	}
	sum = crc32.Checksum(header[:headerSums+4], castagnoli)
	binary.LittleEndian.PutUint32(header[headerSums+4:], sum)
	if _, err := file.WriteAt(header, 0); err != nil {
		return 0, 0, err
	}
	return offset, sum, file.Sync()
}

// A summer writes and keeps the sum of every MiB between begin and end.
type summer struct {
	to   io.Writer
	at   int64
	on   bool
	sum  uint32
	left int // of the MiB
	sums []byte
}

func (w *summer) begin() { w.on, w.left = true, sumSize }

func (w *summer) end() []byte {
	if w.left < sumSize {
		w.sums = binary.LittleEndian.AppendUint32(w.sums, w.sum)
	}
	w.on = false
	return w.sums
}

func (w *summer) Write(b []byte) (int, error) {
	for rest := b; w.on && len(rest) > 0; {
		n := min(len(rest), w.left)
		w.sum = crc32.Update(w.sum, castagnoli, rest[:n])
		rest = rest[n:]
		if w.left -= n; w.left == 0 {
			w.sums = binary.LittleEndian.AppendUint32(w.sums, w.sum)
			w.sum, w.left = 0, sumSize
		}
	}
	w.at += int64(len(b))
	return w.to.Write(b)
}

func (w *summer) fill(to int64) error {
	_, err := w.Write(make([]byte, to-w.at))
	return err
}

// decode reads a segment from the bytes of its file. It keeps pointing into them where the machine's numbers are
// little-endian. What it returns can be asked anything without reading beyond them, whatever they are.
func decode(file []byte) (*Segment, error) {
	parts, err := split(file)
	if err != nil {
		return nil, err
	}
	if err := checkSums(file, parts); err != nil {
		return nil, err
	}
	g, err := assemble(parts)
	if err != nil {
		return nil, err
	}
	return g, g.check()
}

// decodeWritten is decode for a file that this process has just written. It does not read what it need not, so that
// a build does not take the memory of its file too.
func decodeWritten(file []byte) (*Segment, error) {
	parts, err := split(file)
	if err != nil {
		return nil, err
	}
	return assemble(parts)
}

// assemble makes a segment of its sections.
func assemble(parts [sections][]byte) (g *Segment, err error) {
	g = &Segment{
		records:  uint32s(parts[sectionRecords]),
		text:     uint32s(parts[sectionText]),
		suffixes: uint32s(parts[sectionSuffixes]),
		first:    uint32s(parts[sectionFirst]),
		grams:    uint64s(parts[sectionGrams]),
		dictionary: &dictionary{
			slots:   uint64s(parts[sectionSlots]),
			offsets: uint32s(parts[sectionOffsets]),
			text:    parts[sectionTokens],
			runes:   parts[sectionRunes],
		},
	}
	if g.contributions, err = decodeContributions(parts[sectionContributions]); err != nil {
		return nil, err
	}
	values := uint32s(parts[sectionMinima])
	for size := len(g.suffixes); size > minimaGroup; {
		size = (size + minimaGroup - 1) / minimaGroup
		if size > len(values) {
			return nil, damaged("levels of minima are missing")
		}
		g.minima = append(g.minima, values[:size:size])
		values = values[size:]
	}
	if len(values) > 0 {
		return nil, damaged("there are too many minima")
	}
	numbers := uint32s(parts[sectionDerivations])
	if len(numbers)%3 != 0 {
		return nil, damaged("a derivation is incomplete")
	}
	g.derivations = make([]derivation, len(numbers)/3)
	for i := range g.derivations {
		g.derivations[i] = derivation{numbers[3*i], numbers[3*i+1], numbers[3*i+2]}
	}
	return g, nil
}

// split returns the sections of a file, whose header it checks.
func split(file []byte) (parts [sections][]byte, err error) {
	if len(file) < headerSize || string(file[:len(magic)]) != magic {
		return parts, damaged("the file does not begin as a segment of version %d", magic[len(magic)-1])
	}
	if crc32.Checksum(file[:headerSums+4], castagnoli) != binary.LittleEndian.Uint32(file[headerSums+4:]) {
		return parts, damaged("the sum of its header is wrong")
	}
	if spec := attribution.Spec(); string(file[headerSpec:headerSections]) != string(spec[:]) {
		return parts, damaged("it has tokens of another specification, %x", file[headerSpec:headerSections])
	}
	end := uint64(headerSize)
	for i := range parts {
		offset := binary.LittleEndian.Uint64(file[headerSections+16*i:])
		size := binary.LittleEndian.Uint64(file[headerSections+16*i+8:])
		if offset != (end+alignment-1)/alignment*alignment || offset > uint64(len(file)) || size > uint64(len(file))-offset {
			return parts, damaged("section %d does not lie in the file", i)
		}
		parts[i] = file[offset : offset+size : offset+size]
		end = offset + size
	}
	if end != uint64(len(file)) {
		return parts, damaged("%d bytes follow its end", uint64(len(file))-end)
	}
	return parts, nil
}

// checkSums checks everything behind the header.
func checkSums(file []byte, parts [sections][]byte) error {
	sums := parts[sectionSums]
	if crc32.Checksum(sums, castagnoli) != binary.LittleEndian.Uint32(file[headerSums:]) {
		return damaged("the sum of its sums is wrong")
	}
	from := binary.LittleEndian.Uint64(file[headerSections:])
	to := binary.LittleEndian.Uint64(file[headerSections+16*int(sectionSums):])
	summed := file[from:to]
	if len(sums) != 4*((len(summed)+sumSize-1)/sumSize) {
		return damaged("there are %d bytes of sums for %d bytes", len(sums), len(summed))
	}
	var work errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		work.Go(func() error {
			for i := w; i*sumSize < len(summed); i += workers {
				chunk := summed[i*sumSize : min(len(summed), (i+1)*sumSize)]
				if crc32.Checksum(chunk, castagnoli) != binary.LittleEndian.Uint32(sums[4*i:]) {
					return damaged("the sum of MiB %d is wrong", i)
				}
			}
			return nil
		})
	}
	return work.Wait()
}

func decodeContributions(b []byte) ([]contribution, error) {
	var list []contribution
	text := func() string {
		if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
			b = nil
			return ""
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		s := string(b[2:n])
		b = b[n:]
		return s
	}
	for len(b) > 0 {
		c := contribution{id: text(), account: text()}
		if len(b) < 4 {
			return nil, damaged("contribution %d is incomplete", len(list))
		}
		c.record = binary.LittleEndian.Uint32(b)
		b = b[4:]
		if err := attribution.CheckName(c.id); err != nil {
			return nil, damaged("contribution %d: id %w", len(list), err)
		}
		if err := attribution.CheckName(c.account); err != nil {
			return nil, damaged("contribution %d: account %w", len(list), err)
		}
		list = append(list, c)
	}
	return list, nil
}

// check reports what could make a question to the segment read where nothing is: every number that is a place in
// a list must be one. The sums have caught what happened to the file; this catches what no build would write.
func (g *Segment) check() error {
	d, ids, symbols := g.dictionary, len(g.dictionary.runes), len(g.text)
	switch {
	case symbols > maxSymbols || ids > maxSymbols || ids == 0:
		return damaged("its size is impossible")
	case len(d.offsets) != ids+1 || len(g.first) != ids+1 || len(g.records) > symbols:
		return damaged("its lists are not of one size")
	case len(d.slots) == 0 || len(d.slots)&(len(d.slots)-1) != 0 || len(g.grams) == 0:
		return damaged("its tables have impossible sizes")
	case !ascending(d.offsets) || d.offsets[0] != 0 || int(d.offsets[ids]) != len(d.text):
		return damaged("the tokens of its dictionary do not lie in order")
	case !ascending(g.first) || g.first[0] != 0 || g.first[1] != 0 || int(g.first[ids]) != len(g.suffixes):
		return damaged("the groups of its suffixes do not lie in order")
	case len(g.suffixes) != symbols-len(g.records):
		return damaged("it has %d suffixes of %d tokens", len(g.suffixes), symbols-len(g.records))
	case !below(g.suffixes, uint32(symbols)):
		return damaged("a suffix lies outside of the text")
	case !below(g.text, uint32(ids)):
		return damaged("its text has a token that its dictionary lacks")
	}
	for _, level := range g.minima {
		if !below(level, uint32(symbols)) {
			return damaged("a smallest suffix lies outside of the text")
		}
	}
	for _, slot := range d.slots {
		if slot != 0 && (uint32(slot) == 0 || uint64(uint32(slot)) >= uint64(ids)) {
			return damaged("its dictionary names a token that it lacks")
		}
	}
	for _, runes := range d.runes[1:] {
		if runes == 0 {
			return damaged("a token is empty")
		}
	}
	return errors.Join(g.checkRecords(), g.checkContributions())
}

func (g *Segment) checkRecords() error {
	start := uint32(0)
	for r, record := range g.records {
		if record != start {
			return damaged("record %d does not begin where the one before ends", r)
		}
		for int(start) < len(g.text) && g.text[start] != separator {
			start++
		}
		if int(start) == len(g.text) {
			return damaged("record %d does not end", r)
		}
		start++
	}
	if int(start) != len(g.text) {
		return damaged("tokens follow the last record")
	}
	return nil
}

func (g *Segment) checkContributions() error {
	record := uint32(0)
	for i, c := range g.contributions {
		if c.record < record || uint64(c.record) > uint64(len(g.records)) || i == 0 && c.record != 0 {
			return damaged("the records of contribution %d do not follow those before", i)
		}
		record = c.record
	}
	if len(g.contributions) == 0 && len(g.records) > 0 {
		return damaged("its records belong to no contribution")
	}
	end := uint32(0)
	for i, d := range g.derivations {
		if d.start < end || d.end <= d.start || uint64(d.end) > uint64(len(g.text)) || int64(d.contribution) >= int64(len(g.contributions)) {
			return damaged("derivation %d is out of order", i)
		}
		end = d.end
	}
	return nil
}

func ascending(list []uint32) bool {
	before := uint32(0)
	for _, v := range list {
		if v < before {
			return false
		}
		before = v
	}
	return before <= math.MaxInt32
}

func below(list []uint32, limit uint32) bool {
	largest := uint32(0)
	for _, v := range list {
		largest = max(largest, v)
	}
	return len(list) == 0 || largest < limit
}
