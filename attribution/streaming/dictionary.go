package streaming

import (
	"sort"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A dictionary holds the corpus' distinct tokens, about 30 bytes each.
type dictionary struct {
	texts   []byte // in bytewise order, one after the other
	ends    []uint32
	numbers []uint32 // of the text of the same rank
	counts  []uint64 // by number
	runes   []uint8  // by number
}

func (d *dictionary) read(tail *tailDecoder, distinct uint64) {
	const smallest = 4 + 8 + 1 + 2
	if distinct > uint64(len(tail.left))/smallest || distinct >= absent {
		tail.bad = true
		return
	}
	d.ends = make([]uint32, 0, distinct)
	d.numbers = make([]uint32, 0, distinct)
	d.counts = make([]uint64, distinct+1)
	d.runes = make([]uint8, distinct+1)
	before := ""
	for rank := range distinct {
		number, count, runes := tail.uint32(), tail.uint64(), tail.uint8()
		text := string(tail.bytes(int(tail.uint16())))
		known := number == border || uint64(number) > distinct || d.counts[number] > 0
		if tail.bad || known || count == 0 || runes == 0 || runes > text1.MaxRunes || rank > 0 && text <= before ||
			uint64(len(d.texts))+uint64(len(text)) >= absent {
			tail.bad = true
			return
		}
		before = text
		d.texts = append(d.texts, text...)
		d.ends = append(d.ends, uint32(len(d.texts)))
		d.numbers = append(d.numbers, number)
		d.counts[number], d.runes[number] = count, runes
	}
}

func (d *dictionary) text(rank int) []byte {
	start := uint32(0)
	if rank > 0 {
		start = d.ends[rank-1]
	}
	return d.texts[start:d.ends[rank]]
}

// number returns the number of a token, absent when the corpus does not have it.
func (d *dictionary) number(text string) uint32 {
	rank := sort.Search(len(d.ends), func(i int) bool { return string(d.text(i)) >= text })
	if rank == len(d.ends) || string(d.text(rank)) != text {
		return absent
	}
	return d.numbers[rank]
}

// count returns how often a token with this number occurs.
func (d *dictionary) count(number uint32) uint64 {
	if number == absent {
		return 0
	}
	return d.counts[number]
}
