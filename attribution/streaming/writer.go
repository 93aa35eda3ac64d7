package streaming

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A token stream is one file: magic; the corpus' tokens as numbers (u32, from 1 in the order of their first
// occurrence) in the order of their places, with a 0 after each record; then the tail: the contributions,
// the position of each record's first token, the dictionary, and a CRC-32C for every piece of the numbers;
// then a footer of fixed width. Everything is little-endian.
const (
	magic      = "DTNTOKS1"
	footerSize = 8*6 + 4*2 + len(magic)

	// pieceTokens is how many numbers one checksum covers and a worker reads at once: 1 MiB.
	pieceTokens = 1 << 18
	maxPiece    = 1 << 24

	border = 0              // ends a record
	absent = math.MaxUint32 // a token of an output that the corpus does not have
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Writer tokenises a corpus into a token stream, contribution after contribution. It holds the distinct
// tokens in memory, about 100 bytes each, and 8 bytes for each record.
type Writer struct {
	out  *bufio.Writer
	size int // pieceTokens but in tests

	piece     []byte
	checksums []uint32
	positions uint64 // numbers written, borders included

	contributions []contribution
	ids           map[string]bool
	starts        []uint64
	tokens        uint64
	numbers       map[string]uint32
	counts        []uint64 // by number
	runes         []uint8  // by number
	buffer        []byte
	err           error
}

// contribution is what the stream knows of one, and how many records stand before its first.
type contribution struct {
	id, account string
	records     uint64
}

// NewWriter begins a token stream. Nothing can be read from it before Close.
func NewWriter(out io.Writer) *Writer { return newWriter(out, pieceTokens) }

func newWriter(out io.Writer, size int) *Writer {
	w := &Writer{
		out: bufio.NewWriterSize(out, 1<<16), size: size,
		ids: make(map[string]bool), numbers: make(map[string]uint32),
		counts: make([]uint64, 1), runes: make([]uint8, 1),
	}
	_, w.err = w.out.WriteString(magic)
	return w
}

// Contribution begins the next contribution of the corpus, in the order in which the ledger registered
// them. It fails when a name breaks the rules or the contribution is there already.
func (w *Writer) Contribution(id, account string) error {
	if err := attribution.CheckName(id); err != nil {
		return fmt.Errorf("tokenise corpus: contribution id %q %w", id, err)
	}
	if err := attribution.CheckName(account); err != nil {
		return fmt.Errorf("tokenise contribution %q: account %q %w", id, account, err)
	}
	if w.ids[id] {
		return fmt.Errorf("tokenise corpus: contribution %q stands twice in it", id)
	}
	w.ids[id] = true
	w.contributions = append(w.contributions, contribution{id: id, account: account, records: uint64(len(w.starts))})
	return nil
}

// Record adds the next record of the contribution that was begun last.
func (w *Writer) Record(text []byte) error {
	if len(w.contributions) == 0 {
		return errors.New("tokenise corpus: a record before the first contribution")
	}
	w.starts = append(w.starts, w.positions)
	for s := text1.NewScanner(text); s.Next(); {
		w.buffer = w.buffer[:0]
		for _, r := range s.Runes() {
			w.buffer = utf8.AppendRune(w.buffer, r)
		}
		number, known := w.numbers[string(w.buffer)]
		if !known {
			if uint64(len(w.counts)) == absent {
				return errors.New("tokenise corpus: it has more than 2³²−2 distinct tokens")
			}
			number = uint32(len(w.counts))
			w.numbers[string(w.buffer)] = number
			w.counts = append(w.counts, 0)
			w.runes = append(w.runes, uint8(len(s.Runes())))
		}
		w.counts[number]++
		w.tokens++
		w.put(number)
	}
	w.put(border)
	if w.err != nil {
		return fmt.Errorf("write token stream: %w", w.err)
	}
	return nil
}

func (w *Writer) put(number uint32) {
	w.piece = binary.LittleEndian.AppendUint32(w.piece, number)
	w.positions++
	if len(w.piece) == 4*w.size {
		w.flush()
	}
}

func (w *Writer) flush() {
	w.checksums = append(w.checksums, crc32.Checksum(w.piece, castagnoli))
	w.write(w.piece)
	w.piece = w.piece[:0]
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
	}
}

// Close completes the stream. It does not close what it writes to.
func (w *Writer) Close() error {
	if len(w.piece) > 0 {
		w.flush()
	}
	tail := w.tail()
	w.write(tail)
	var footer []byte
	for _, n := range []uint64{
		w.positions, w.tokens, uint64(len(w.contributions)), uint64(len(w.starts)), uint64(len(w.numbers)), uint64(len(tail)),
	} {
		footer = binary.LittleEndian.AppendUint64(footer, n)
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(w.size))
	footer = binary.LittleEndian.AppendUint32(footer, crc32.Update(crc32.Checksum(tail, castagnoli), castagnoli, footer))
	w.write(append(footer, magic...))
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err != nil {
		return fmt.Errorf("write token stream: %w", w.err)
	}
	return nil
}

func (w *Writer) tail() []byte {
	var b []byte
	for _, c := range w.contributions {
		b = binary.LittleEndian.AppendUint64(b, c.records)
		for _, name := range []string{c.id, c.account} {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(name)))
			b = append(b, name...)
		}
	}
	for _, start := range w.starts {
		b = binary.LittleEndian.AppendUint64(b, start)
	}
	type word struct {
		text   string
		number uint32
	}
	words := make([]word, 0, len(w.numbers))
	for text, number := range w.numbers {
		words = append(words, word{text, number})
	}
	slices.SortFunc(words, func(a, b word) int { return cmp.Compare(a.text, b.text) })
	for _, word := range words {
		b = binary.LittleEndian.AppendUint32(b, word.number)
		b = binary.LittleEndian.AppendUint64(b, w.counts[word.number])
		b = append(b, w.runes[word.number])
		b = binary.LittleEndian.AppendUint16(b, uint16(len(word.text)))
		b = append(b, word.text...)
	}
	for _, sum := range w.checksums {
		b = binary.LittleEndian.AppendUint32(b, sum)
	}
	return b
}
