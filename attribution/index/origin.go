package index

import (
	"sort"

	"github.com/datanet-consortium/datanet/attribution"
)

// A derivation says that the tokens at [start, end) of a segment's text lie in passages of which the earliest
// home is in an earlier contribution of the segment.
type derivation struct {
	start, end   uint32
	contribution uint32
}

// passages walks over the passages of a text from left to right, one for each start.
type passages struct {
	text   []int32
	length []uint8 // runes of each id

	end   int // of the current passage
	runes int // in it
	hash  uint64
}

// passageBase is odd, so that a product with its power loses nothing.
const passageBase = 0x9E3779B97F4A7C15

var passagePowers = func() (powers [attribution.LongestPassage + 1]uint64) {
	powers[0] = 1
	for i := range powers[1:] {
		powers[i+1] = powers[i] * passageBase
	}
	return powers
}()

func tokenHash(id int32) uint64 {
	h := (uint64(id) + 1) * 0xD6E8FEB86659FD93
	return h ^ h>>32
}

// at moves to the passage that starts at i, where the one before started at i−1, and reports whether there is
// one before the record ends.
func (p *passages) at(i int) bool {
	if p.end <= i {
		p.end, p.runes, p.hash = i, 0, 0
	} else {
		// What started at i−1 ends at the same place or earlier.
		before := p.text[i-1]
		p.runes -= int(p.length[before])
		p.hash -= tokenHash(before) * passagePowers[p.end-i]
	}
	for p.end-i < attribution.PassageTokens || p.runes < attribution.PassageRunes {
		id := p.text[p.end]
		if id == separator {
			return false
		}
		p.runes += int(p.length[id])
		p.hash = p.hash*passageBase + tokenHash(id)
		p.end++
	}
	return true
}

func (p *passages) spread() uint64 {
	h := (p.hash ^ p.hash>>32) * 0xD6E8FEB86659FD93
	return h ^ h>>32
}

// eachPassage calls visit for every passage of the stream, in order.
func (s *stream) eachPassage(proceed func() error, visit func(start, end int, hash uint64)) error {
	for r, start := range s.records {
		if r%1024 == 0 {
			if err := proceed(); err != nil {
				return err
			}
		}
		p := passages{text: s.text, length: s.dictionary.runes}
		for i := int(start); p.at(i); i++ {
			visit(i, p.end, p.spread())
		}
	}
	return nil
}

// starts returns where each contribution begins in the text, and the text's length.
func (s *stream) starts() []uint32 {
	starts := make([]uint32, 0, len(s.contributions)+1)
	for _, c := range s.contributions {
		if int(c.record) < len(s.records) {
			starts = append(starts, s.records[c.record])
		} else {
			starts = append(starts, uint32(len(s.text)))
		}
	}
	return append(starts, uint32(len(s.text)))
}

// derivations finds the tokens of a stream whose origin is an earlier contribution of it.
//
// Most passages stand in a corpus once. A filter tells which may stand there twice, and only these go into the
// table of homes, which compares tokens and not hashes.
func (s *stream) derivations(proceed func() error) ([]derivation, error) {
	if len(s.contributions) < 2 {
		return nil, nil // nothing is earlier than the only one
	}
	const bitsPerPassage = 10
	once, again := newFilter(len(s.text), bitsPerPassage), newFilter(len(s.text), bitsPerPassage)
	repeated := 0
	err := s.eachPassage(proceed, func(start, end int, hash uint64) {
		word, mask := once.at(hash)
		if once[word]&mask == 0 {
			once[word] |= mask
		} else if again[word]&mask == 0 {
			again[word] |= mask
			repeated++
		}
	})
	if err != nil {
		return nil, err
	}
	once = nil

	homes := newHomes(s, repeated)
	d := deriver{starts: s.starts()}
	err = s.eachPassage(proceed, func(start, end int, hash uint64) {
		if again.has(hash) {
			home := homes.first(uint32(start), uint32(end), hash)
			d.passage(uint32(start), uint32(end), home)
		}
	})
	if err != nil {
		return nil, err
	}
	d.flush(uint32(len(s.text)))
	return d.done, nil
}

// homes is an open-addressed table of passages by their tokens.
type homes struct {
	text   []int32
	length []uint8  // runes of each id
	slots  []uint32 // where the passage first starts, plus one; 0 is empty
	used   int
}

func newHomes(s *stream, expected int) *homes {
	size := 1 << 10
	for size < 2*expected {
		size *= 2
	}
	return &homes{text: s.text, length: s.dictionary.runes, slots: huge(make([]uint32, size))}
}

// first returns where a passage first started, which is start when it was not seen before.
func (h *homes) first(start, end uint32, hash uint64) uint32 {
	if 4*h.used > 3*len(h.slots) {
		h.grow()
	}
	tokens := h.text[start:end]
	mask := uint64(len(h.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := h.slots[i]
		if at == 0 {
			h.slots[i] = start + 1
			h.used++
			return start
		}
		// Where a passage ends follows from its tokens, so equal tokens up to the end are the same passage.
		if at--; startsWith(h.text[at:], tokens) {
			return at
		}
	}
}

func startsWith(text, tokens []int32) bool {
	if len(text) < len(tokens) {
		return false
	}
	for i, t := range tokens {
		if text[i] != t {
			return false
		}
	}
	return true
}

func (h *homes) grow() {
	old := h.slots
	h.slots = make([]uint32, 2*len(old))
	mask := uint64(len(h.slots) - 1)
	for _, at := range old {
		if at == 0 {
			continue
		}
		p := passages{text: h.text, length: h.length}
		p.at(int(at - 1))
		i := p.spread() & mask
		for h.slots[i] != 0 {
			i = (i + 1) & mask
		}
		h.slots[i] = at
	}
}

// A deriver turns passages and their homes, in the order of their starts, into derivations.
type deriver struct {
	starts    []uint32 // of the contributions in the text, and its length
	own, home interval

	// open holds for the tokens from base on, which later passages may cover too, the contribution of the
	// earliest home so far.
	base uint32
	open []uint32
	done []derivation
}

// none says that no passage with a home in an earlier contribution covers a token.
const none = ^uint32(0)

// An interval is the range of one contribution in the text.
type interval struct {
	start, end   uint32
	contribution uint32
}

// locate moves an interval to the contribution that holds a position.
func (d *deriver) locate(v *interval, position uint32) {
	if v.start <= position && position < v.end {
		return
	}
	// The last one that starts there or before; contributions without tokens start where the next one does.
	c := sort.Search(len(d.starts), func(i int) bool { return d.starts[i] > position }) - 1
	*v = interval{start: d.starts[c], end: d.starts[c+1], contribution: uint32(c)}
}

func (d *deriver) passage(start, end, home uint32) {
	d.locate(&d.own, start)
	if home >= d.own.start {
		return
	}
	d.locate(&d.home, home)
	d.flush(start)
	if len(d.open) == 0 {
		d.base = start
	}
	for uint32(len(d.open)) < end-d.base {
		d.open = append(d.open, none)
	}
	for i := start - d.base; i < end-d.base; i++ {
		d.open[i] = min(d.open[i], d.home.contribution)
	}
}

// flush moves what is known of the tokens before a position to done.
func (d *deriver) flush(position uint32) {
	passed := 0
	for passed < len(d.open) && d.base < position {
		if c := d.open[passed]; c != none {
			if last := len(d.done) - 1; last >= 0 && d.done[last].end == d.base && d.done[last].contribution == c {
				d.done[last].end++
			} else {
				d.done = append(d.done, derivation{start: d.base, end: d.base + 1, contribution: c})
			}
		}
		d.base++
		passed++
	}
	d.open = d.open[:copy(d.open, d.open[passed:])]
}
