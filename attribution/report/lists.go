package report

import (
	"slices"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

// Lists are records that are less a text than many short fragments, as somebody would write who wants to be the
// first to have registered common phrases.
type Lists struct {
	Records int    `json:"records"` // that look like lists
	Found   []List `json:"found"`
	// ShortRecords have at most 12 tokens. A contribution that consists of them may be a list as a whole.
	ShortRecords int `json:"short_records"`
	// Frequent is the part of the contribution's distinct shingles that at least two earlier contributions have.
	Frequent int64 `json:"frequent_ppm"`
}

// A List is a record that looks like one. A fragment is what stands between line ends, commas, semicolons,
// bars and bullets, if it has a token.
type List struct {
	Record    int   `json:"record"`
	Fragments int   `json:"fragments"`
	Short     int64 `json:"short_ppm"`    // fragments of at most 4 tokens
	Frequent  int64 `json:"frequent_ppm"` // of its shingles inside fragments, those that two earlier contributions have
}

// A record looks like a list when it has minFragments fragments and most are very short, or most are short and
// much of them is frequent. Verse has lines of 5 to 9 tokens, prose longer fragments.
const (
	minFragments    = 20
	veryShortTokens = 4
	shortTokens     = 9
	mostFragments   = 800_000
	muchFrequent    = 250_000
	shortRecord     = 12
	frequentIn      = 2
)

// listing collects Lists.
type listing struct{ Lists }

func (l *listing) record(number int, text []byte, d *Draft) {
	if l.Found == nil {
		l.Found = []List{}
		frequent := int64(0)
		for _, k := range d.known {
			if k.contributions >= frequentIn {
				frequent++
			}
		}
		l.Frequent = ppm(frequent, int64(len(d.known)))
	}
	if n := d.records[number].tokens; n > 0 && n <= shortRecord {
		l.ShortRecords++
	}
	var fragments, veryShort, short, shingles, frequent int64
	for fragment := range fragmentsOf(text) {
		hashes := d.shinglesOf(fragment)
		tokens := len(d.buffers[0])
		if tokens == 0 {
			continue
		}
		fragments++
		if tokens <= veryShortTokens {
			veryShort++
		}
		if tokens <= shortTokens {
			short++
		}
		for _, h := range hashes {
			shingles++
			if d.known[d.shingles[h]].contributions >= frequentIn {
				frequent++
			}
		}
	}
	found := List{Record: number, Fragments: int(fragments), Short: ppm(veryShort, fragments), Frequent: ppm(frequent, shingles)}
	isShort := ppm(short, fragments) >= mostFragments && found.Frequent >= muchFrequent
	if fragments < minFragments || found.Short < mostFragments && !isShort {
		return
	}
	if l.Records++; len(l.Found) < MaxFindings {
		l.Found = append(l.Found, found)
	}
}

// fragmentsOf yields what stands between separators.
func fragmentsOf(text []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start := 0
		for i := 0; i < len(text); {
			r, width := utf8.DecodeRune(text[i:])
			switch r {
			case '\n', '\r', '\t', ',', ';', '|', '•', '·', '،', '؛', '、', '，', '；':
				if i > start && !yield(text[start:i]) {
					return
				}
				start = i + width
			}
			i += width
		}
		if start < len(text) {
			yield(text[start:])
		}
	}
}

// Sizes are the records' lengths.
type Sizes struct {
	Tokens Spread `json:"tokens"`
	Bytes  Spread `json:"bytes"`
	// NoPassage counts records too short to hold a passage of the definition, which anybody could claim.
	NoPassage int `json:"no_passage"`
}

// A Spread is the least, middle (of an even number the lower) and largest of some sizes.
type Spread struct {
	Least   int `json:"least"`
	Median  int `json:"median"`
	Largest int `json:"largest"`
}

func sizesOf(tokens []int, records [][]byte) Sizes {
	var s Sizes
	bytes := make([]int, len(records))
	for i, text := range records {
		bytes[i] = len(text)
		if passageEnd(text1.Tokens(text), 0) == 0 {
			s.NoPassage++
		}
	}
	s.Tokens, s.Bytes = spread(tokens), spread(bytes)
	return s
}

func spread(sizes []int) Spread {
	if len(sizes) == 0 {
		return Spread{}
	}
	slices.Sort(sizes)
	return Spread{sizes[0], sizes[(len(sizes)-1)/2], sizes[len(sizes)-1]}
}
