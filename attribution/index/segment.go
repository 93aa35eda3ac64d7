package index

import (
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index/internal/suffix"
)

// A Segment is the index of a run of contributions. It never changes and may be read concurrently. Ids of tokens
// and positions mean something in one segment only: an id is 1 or more, a position counts the tokens of all
// records, with one place between records that no token has.
type Segment struct {
	base          int // contributions before it in the view
	contributions []contribution
	records       []uint32 // where each record begins in text
	dictionary    *dictionary
	text          []uint32 // ids; a separator ends each record
	suffixes      []uint32 // positions of tokens, ordered by the text that begins there
	first         []uint32 // where the suffixes that begin with an id begin in suffixes; one entry more for the end
	grams         filter   // of the text's 3-grams
	minima        minima   // over suffixes
	derivations   []derivation
}

// build makes the segment of a stream. The suffixes take one core, the filter and the origins another.
func (s *stream) build(proceed func() error) (*Segment, error) {
	g := &Segment{
		contributions: s.contributions,
		records:       s.records,
		dictionary:    s.dictionary,
		text:          unsigned(s.text),
	}
	tokens := len(s.text) - len(s.records)
	var work errgroup.Group
	work.Go(func() error {
		sa := huge(make([]int32, len(s.text)))
		if err := suffix.Sort(sa, s.text, s.dictionary.size(), proceed); err != nil {
			return err
		}
		// Separators are smallest, so their suffixes stand in front.
		g.suffixes = unsigned(sa[len(s.records):])
		g.minima = newMinima(g.suffixes)
		return nil
	})
	work.Go(func() error {
		g.grams = newGrams(s.text, tokens)
		g.first = s.firsts()
		if err := proceed(); err != nil {
			return err
		}
		var err error
		g.derivations, err = s.derivations(proceed)
		return err
	})
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return g, nil
}

// firsts counts where the suffixes that begin with each id begin, the separator's left out.
func (s *stream) firsts() []uint32 {
	first := make([]uint32, s.dictionary.size()+1)
	for _, id := range s.text {
		if id != separator {
			first[id+1]++
		}
	}
	for id := 1; id < len(first); id++ {
		first[id] += first[id-1]
	}
	return first
}

// Tokens is the number of tokens in the segment.
func (g *Segment) Tokens() int { return len(g.suffixes) }

// Size is the number of ids in use: they lie in [1, Size).
func (g *Segment) Size() int { return g.dictionary.size() }

// ID returns the id of a token, Unknown when the segment does not hold it.
func (g *Segment) ID(t Token) uint32 {
	if id := g.dictionary.id(t.Text, t.Hash); id != separator {
		return id
	}
	return Unknown
}

// IDs appends the ids of tokens, as ID gives them. Looking many up at a time is faster: what one waits for in memory, the
// others wait for too.
func (g *Segment) IDs(ids []uint32, tokens []Token) []uint32 {
	const many = 32
	var found [many]uint32
	var starts [many]uint32
	var heads [many]byte
	d := g.dictionary
	mask := uint64(len(d.slots) - 1)
	for part := range slices.Chunk(tokens, many) {
		for i, t := range part {
			slot := d.slots[t.Hash&mask]
			found[i] = uint32(slot)
			if slot>>32 != t.Hash>>32 {
				found[i] = separator
			}
		}
		for i := range part {
			starts[i] = d.offsets[found[i]]
		}
		for i := range part {
			heads[i] = 0
			if int(starts[i]) < len(d.text) {
				heads[i] = d.text[starts[i]]
			}
		}
		for i, t := range part {
			id := found[i]
			if id == separator || len(t.Text) == 0 || heads[i] != t.Text[0] || string(d.token(id)) != string(t.Text) {
				id = g.ID(t) // it is not where it is looked for first
			}
			ids = append(ids, id)
		}
	}
	return ids
}

// Token returns the token that an id stands for. Its text must not be changed.
func (g *Segment) Token(id uint32) Token {
	text := g.dictionary.token(id)
	return Token{Text: text, Hash: Hash(text)}
}

// Runes is the length of a token in runes.
func (g *Segment) Runes(id uint32) int { return int(g.dictionary.runes[id]) }

// Count is how often a token occurs in the segment.
func (g *Segment) Count(id uint32) int {
	if id == Unknown {
		return 0
	}
	return int(g.first[id+1] - g.first[id])
}

// At returns the id of the token at a position and whether there is one, and not the border of two records.
func (g *Segment) At(position uint32) (id uint32, ok bool) {
	if uint64(position) >= uint64(len(g.text)) || g.text[position] == separator {
		return 0, false
	}
	return g.text[position], true
}

// MayHold reports whether three tokens may occur in a row: false is certain, true is wrong for a few percent of
// those that do not.
func (g *Segment) MayHold(a, b, c uint32) bool { return g.grams.has(gramHash(a, b, c)) }

// A Range is a range of ranks in the order of suffixes: places at which one run of tokens occurs.
type Range struct{ Start, End uint32 }

// Count is the number of places.
func (r Range) Count() int { return int(r.End - r.Start) }

// Position returns the position of the suffix at a rank.
func (g *Segment) Position(rank uint32) uint32 { return g.suffixes[rank] }

// First returns the smallest position in a range that is not empty.
func (g *Segment) First(r Range) uint32 { return g.minima.over(g.suffixes, int(r.Start), int(r.End)) }

// Places returns where a run of at least one token occurs.
func (g *Segment) Places(run []uint32) Range {
	length, near := g.longest(run)
	if length < len(run) || length == 0 {
		return Range{}
	}
	return g.around(run, near)
}

// Longest returns how many of the run's tokens at most, from its first one on, occur in the segment.
func (g *Segment) Longest(run []uint32) int {
	length, _ := g.longest(run)
	return length
}

// longest returns the rank of one place beside the length.
func (g *Segment) longest(run []uint32) (length int, near uint32) {
	if len(run) == 0 || run[0] == Unknown {
		return 0, 0
	}
	lo, hi := g.first[run[0]], g.first[run[0]+1]
	if lo == hi {
		return 0, 0
	}
	// The run agrees with the suffix before lo in below tokens and with that at hi in above. The suffixes
	// between begin with the run's first token.
	below, above := 0, 0
	mid := lo + (hi-lo)/2
	position := g.suffixes[mid]
	for lo < hi {
		// Both suffixes that may be next are fetched while the text of this one is.
		left, right := lo+(mid-lo)/2, mid+1+(hi-mid-1)/2
		leftPosition, rightPosition := g.suffixes[left], position
		if right < hi {
			rightPosition = g.suffixes[right]
		}
		text := g.text[position:]
		n := max(1, min(below, above))
		for n < len(run) && n < len(text) && text[n] == run[n] {
			n++
		}
		if n == len(run) {
			return n, mid
		}
		if n < len(text) && text[n] > run[n] {
			hi, above = mid, n
			mid, position = left, leftPosition
		} else {
			lo, below = mid+1, n
			mid, position = right, rightPosition
		}
	}
	if below >= above {
		return below, lo - 1
	}
	return above, hi
}

// around returns the ranks of all places of a run, of which near is one.
func (g *Segment) around(run []uint32, near uint32) Range {
	// Most runs that are asked for are rare, so the ends are looked for in steps that double.
	start, end := g.first[run[0]], g.first[run[0]+1]
	lo, hi := near, near+1
	for step := uint32(1); lo > start; step *= 2 {
		at := max(start, lo-min(lo, step))
		if !g.beginsWith(g.suffixes[at], run) {
			lo = g.border(at, lo, func(rank uint32) bool { return g.beginsWith(g.suffixes[rank], run) })
			break
		}
		lo = at
	}
	for step := uint32(1); hi < end; step *= 2 {
		at := min(end, hi+step) - 1
		if !g.beginsWith(g.suffixes[at], run) {
			hi = g.border(hi-1, at, func(rank uint32) bool { return !g.beginsWith(g.suffixes[rank], run) })
			break
		}
		hi = at + 1
	}
	return Range{lo, hi}
}

// border returns the first rank in (lo, hi] with a property that lo does not have and hi has.
func (g *Segment) border(lo, hi uint32, has func(rank uint32) bool) uint32 {
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; has(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// beginsWith tells whether a run stands at a position.
func (g *Segment) beginsWith(position uint32, run []uint32) bool {
	text := g.text[position:]
	if len(text) < len(run) {
		return false
	}
	for i, id := range run {
		if text[i] != id {
			return false
		}
	}
	return true
}

// Place returns where a position is in the corpus of the view.
func (g *Segment) Place(position uint32) attribution.Place {
	record := g.record(position)
	local := sort.Search(len(g.contributions), func(i int) bool { return g.contributions[i].record > uint32(record) }) - 1
	return attribution.Place{
		Contribution: g.base + local,
		Record:       record - int(g.contributions[local].record),
		Token:        int(position - g.records[record]),
	}
}

// earliest appends, for the tokens at [start, end), the contribution of the earliest home in this segment among
// the passages that cover them, their own one where there is none.
func (g *Segment) earliest(origins []int, start, end uint32) []int {
	own := g.Place(start).Contribution
	next := sort.Search(len(g.derivations), func(i int) bool { return g.derivations[i].end > start })
	for position := start; position < end; position++ {
		if next < len(g.derivations) && g.derivations[next].end <= position {
			next++
		}
		if next < len(g.derivations) && g.derivations[next].start <= position {
			origins = append(origins, g.base+int(g.derivations[next].contribution))
		} else {
			origins = append(origins, own)
		}
	}
	return origins
}

// eachPassage calls visit with the passages that cover a token at [start, end), which lie in one record.
func (g *Segment) eachPassage(start, end uint32, visit func(from, to uint32)) {
	from := g.records[g.record(start)]
	if start-from >= attribution.LongestPassage {
		from = start - attribution.LongestPassage + 1
	}
	for ; from < end; from++ {
		to, ok := g.passage(from)
		if !ok {
			return
		}
		if start < to {
			visit(from, to)
		}
	}
}

// recordsOf returns the records [first, last) of a contribution, numbered in the segment.
func (g *Segment) recordsOf(local int) (first, last int) {
	last = len(g.records)
	if local+1 < len(g.contributions) {
		last = int(g.contributions[local+1].record)
	}
	return int(g.contributions[local].record), last
}

// record returns the record that a position lies in.
func (g *Segment) record(position uint32) int {
	return sort.Search(len(g.records), func(i int) bool { return g.records[i] > position }) - 1
}

// passage returns the end of the passage that starts at a position; there is none when its record ends before.
func (g *Segment) passage(start uint32) (end uint32, ok bool) {
	runes := 0
	for end := start; int(end) < len(g.text) && g.text[end] != separator; end++ {
		runes += g.Runes(g.text[end])
		if end+1-start >= attribution.PassageTokens && runes >= attribution.PassageRunes {
			return end + 1, true
		}
	}
	return 0, false
}

// minima answers for the smallest of a range of values. Each level holds the minima of groups of the level below.
type minima [][]uint32

const minimaGroup = 64

func newMinima(values []uint32) minima {
	var m minima
	for level := values; len(level) > minimaGroup; {
		above := make([]uint32, 0, (len(level)+minimaGroup-1)/minimaGroup)
		for group := range slices.Chunk(level, minimaGroup) {
			above = append(above, slices.Min(group))
		}
		m = append(m, above)
		level = above
	}
	return m
}

// over returns the smallest of values[start:end], which is not empty.
func (m minima) over(values []uint32, start, end int) uint32 {
	smallest := values[start]
	for level := 0; ; level++ {
		up, down := (start+minimaGroup-1)/minimaGroup, end/minimaGroup
		if level == len(m) || up >= down {
			return min(smallest, minimum(values[start:end], smallest))
		}
		smallest = min(smallest, minimum(values[start:up*minimaGroup], smallest), minimum(values[down*minimaGroup:end], smallest))
		values, start, end = m[level], up, down
	}
}

func minimum(values []uint32, smallest uint32) uint32 {
	for _, v := range values {
		smallest = min(smallest, v)
	}
	return smallest
}
