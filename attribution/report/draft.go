package report

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A Draft is a report in the making: the new contribution, and what of the corpus has gone past.
type Draft struct {
	contribution attribution.Contribution
	records      []record
	texts        map[digest]int32 // the last record with these tokens
	shingles     map[uint64]int32 // by hash, place in known
	known        []known
	postings     []posting
	passages     map[digest]int32 // the earlier contribution in which a passage is at home, none

	earlier  []earlier
	current  merkle.Frontier // records of the contribution that goes past
	seen     Corpus
	tree     merkle.Frontier
	equal    []Pair
	similar  []Pair
	buffers  [2][]uint64
	matching map[int]int
}

// none stands for no record, posting or contribution.
const none = -1

type record struct {
	tokens    int32
	shingles  int32 // distinct
	sameText  int32 // the record before it with equal tokens
	equal     int32 // pairs found
	similar   int32
	canonical digest
}

// known is what is known of one shingle of the new contribution.
type known struct {
	contributions int32 // how many earlier ones have it
	last          int32 // the last of them
	posting       int32 // the last record whose sketch has it
}

// A posting is a record whose sketch has a shingle, and the posting before of the same shingle.
type posting struct{ record, before int32 }

type earlier struct {
	id, account string
	records     int
	shared      int64 // distinct shingles
}

// New begins the report on a contribution. Its records must not change before Report.
func New(contribution attribution.Contribution) *Draft {
	d := &Draft{
		contribution: contribution,
		records:      make([]record, len(contribution.Records)),
		texts:        make(map[digest]int32),
		shingles:     make(map[uint64]int32),
		passages:     make(map[digest]int32),
		matching:     make(map[int]int),
	}
	for i, text := range contribution.Records {
		d.add(i, text)
	}
	return d
}

// add takes a record of the contribution.
func (d *Draft) add(i int, text []byte) {
	tokens := text1.Tokens(text)
	hashes := d.shinglesOf(text)
	r := &d.records[i]
	*r = record{tokens: int32(len(tokens)), sameText: none, canonical: digestOf(tokens)}
	// Records of the contribution itself that came before are earlier records too.
	d.compare(d.contribution.ID, i, true, r.canonical, hashes)
	for j := range tokens {
		if end := passageEnd(tokens, j); end > 0 {
			d.passages[digestOf(tokens[j:end])] = none
		}
	}
	if last, there := d.texts[r.canonical]; there {
		r.sameText = last
	}
	d.texts[r.canonical] = int32(i)
	hashes = distinct(hashes)
	r.shingles = int32(len(hashes))
	for k, h := range hashes {
		place, there := d.shingles[h]
		if !there {
			place = int32(len(d.known))
			d.shingles[h] = place
			d.known = append(d.known, known{last: none, posting: none})
		}
		if k < sketchSize { // ascending, so these are its sketch
			d.postings = append(d.postings, posting{int32(i), d.known[place].posting})
			d.known[place].posting = int32(len(d.postings) - 1)
		}
	}
}

// Earlier begins the next contribution of the corpus, in the order in which the ledger registered them.
func (d *Draft) Earlier(id, account string) {
	d.close()
	d.earlier = append(d.earlier, earlier{id: id, account: account})
}

// close completes the contribution that went past.
func (d *Draft) close() {
	if len(d.earlier) == 0 {
		return
	}
	e := &d.earlier[len(d.earlier)-1]
	root := d.current.Root()
	leaf := append([]byte(e.id), 0)
	leaf = append(append(leaf, e.account...), 0)
	d.tree.Append(merkle.Leaf(append(leaf, root[:]...)))
	d.current = merkle.Frontier{}
	d.seen.Contributions++
}

// Record shows the next record of the contribution that was begun last.
func (d *Draft) Record(text []byte) {
	number := len(d.earlier) - 1
	e := &d.earlier[number]
	d.current.Append(merkle.Leaf(text))
	d.seen.Records++
	shingles := d.shinglesOf(text)
	d.seen.Tokens += int64(len(d.buffers[0]))

	touched := false
	for _, h := range shingles {
		place, there := d.shingles[h]
		if !there {
			continue
		}
		touched = true
		if k := &d.known[place]; k.last != int32(number) {
			k.last = int32(number)
			k.contributions++
			e.shared++
		}
	}
	if touched || len(shingles) == 0 {
		tokens := text1.Tokens(text)
		d.compare(e.id, e.records, false, digestOf(tokens), shingles)
		d.trace(number, tokens, shingles)
	}
	e.records++
}

// shinglesOf returns the hashes of a text's shingles in order, and leaves those of its tokens in the first buffer.
func (d *Draft) shinglesOf(text []byte) []uint64 {
	tokens := tokenHashes(text, d.buffers[0])
	d.buffers[0] = tokens
	shingles := d.buffers[1][:0]
	for i := 0; i+shingleTokens <= len(tokens); i++ {
		shingles = append(shingles, hashShingle(tokens[i:]))
	}
	d.buffers[1] = shingles
	return shingles
}

// maxPostings bounds how many records with one hash in their sketches are compared, maxPairs how many similar
// records are kept for one.
const (
	maxPostings = 64
	maxPairs    = 16
)

// compare finds the contribution's records that are equal or similar to a record that was there before. When the
// other record is the contribution's own, it is the later one of a pair.
func (d *Draft) compare(contribution string, other int, own bool, canonical digest, shingles []uint64) {
	pair := func(i int, similarity, common int64, otherShingles int) Pair {
		if own {
			return Pair{Record: other, Contribution: contribution, Other: i, Similarity: similarity, Contained: ppm(common, int64(otherShingles))}
		}
		return Pair{Record: i, Contribution: contribution, Other: other, Similarity: similarity, Contained: ppm(common, int64(d.records[i].shingles))}
	}
	if i, there := d.texts[canonical]; there && d.records[i].tokens > 0 {
		for ; i != none; i = d.records[i].sameText {
			p := pair(int(i), 1_000_000, 0, 0)
			p.Contained = 1_000_000
			keep(&d.equal, p, &d.records[p.Record].equal)
			if own {
				break
			}
		}
	}
	clear(d.matching)
	for _, h := range sketch(shingles) {
		place, there := d.shingles[h]
		if !there {
			continue
		}
		at := d.known[place].posting
		for range maxPostings {
			if at == none {
				break
			}
			d.matching[int(d.postings[at].record)]++
			at = d.postings[at].before
		}
	}
	if len(d.matching) == 0 {
		return
	}
	all := distinct(slices.Clone(shingles))
	for _, i := range slices.Sorted(maps.Keys(d.matching)) {
		r := &d.records[i]
		if r.canonical == canonical || d.matching[i] < min(minShared, int(r.shingles), len(all)) {
			continue
		}
		mine := d.distinctOf(i)
		common := shared(mine, all)
		similarity := ppm(common, int64(len(mine)+len(all))-common)
		if similarity >= minSimilarity {
			p := pair(i, similarity, common, len(all))
			keep(&d.similar, p, &d.records[p.Record].similar)
		}
	}
}

// distinctOf returns the distinct shingles of one of the contribution's records, ascending. They are not kept, since
// few records are ever compared.
func (d *Draft) distinctOf(i int) []uint64 {
	tokens := tokenHashes(d.contribution.Records[i], nil)
	var hashes []uint64
	for j := 0; j+shingleTokens <= len(tokens); j++ {
		hashes = append(hashes, hashShingle(tokens[j:]))
	}
	return distinct(hashes)
}

// keep adds a pair to a list unless its record has enough there.
func keep(list *[]Pair, p Pair, count *int32) {
	if *count++; *count <= maxPairs {
		*list = append(*list, p)
	}
}

// minSimilarity is the least Jaccard index of a pair that is reported. A change of every fifth word leaves ¼.
const minSimilarity = 150_000

// trace notes which of the contribution's passages stand in an earlier record.
func (d *Draft) trace(number int, tokens []text1.Token, shingles []uint64) {
	for i, h := range shingles {
		if _, there := d.shingles[h]; !there {
			continue
		}
		end := passageEnd(tokens, i)
		if end == 0 {
			return
		}
		id := digestOf(tokens[i:end])
		if home, wanted := d.passages[id]; wanted && home == none {
			d.passages[id] = int32(number)
		}
	}
}

// passageEnd returns where the passage that starts at a token ends, 0 when the record ends before.
func passageEnd(tokens []text1.Token, start int) int {
	runes := 0
	for i := start; i < len(tokens); i++ {
		if runes += tokens[i].Runes; i-start+1 >= attribution.PassageTokens && runes >= attribution.PassageRunes {
			return i + 1
		}
	}
	return 0
}

// A digest stands for a run of tokens: the first half of SHA-256 of them, each ended by a NUL, which none contains.
type digest [16]byte

func digestOf(tokens []text1.Token) digest {
	sum := sha256.New()
	var b [text1.MaxRunes*4 + 1]byte
	for _, t := range tokens {
		sum.Write(append(append(b[:0], t.Text...), 0))
	}
	var whole [sha256.Size]byte
	return digest(sum.Sum(whole[:0]))
}

// table is the digest of the table of canonical tokens.
var table = sync.OnceValue(func() merkle.Hash { return sha256.Sum256([]byte(text1.Table())) })

// Report ends the draft.
func (d *Draft) Report() *Report {
	d.close()
	r := &Report{Format: Format, Tokens: table()}
	r.Contribution = Contribution{ID: d.contribution.ID, Account: d.contribution.Account, Records: len(d.records)}
	tree := merkle.Frontier{}
	for i, text := range d.contribution.Records {
		tree.Append(merkle.Leaf(text))
		r.Contribution.Bytes += int64(len(text))
		r.Contribution.Tokens += int64(d.records[i].tokens)
	}
	r.Contribution.Root = tree.Root()
	r.Corpus = d.seen
	r.Corpus.Root = d.tree.Root()
	r.Derived = d.derived()
	r.Derived.PPM = ppm(r.Derived.Tokens, r.Contribution.Tokens)
	r.Duplicates = d.duplicates()
	r.Contained = d.contained()
	d.read(r)
	return r
}

// derived counts the tokens whose origin (section 2 of the definition) is another account.
func (d *Draft) derived() Derived {
	var derived Derived
	for _, text := range d.contribution.Records {
		tokens := text1.Tokens(text)
		homes := make([]int32, len(tokens)) // of the earliest passage that covers a token
		for i := range homes {
			homes[i] = int32(len(d.earlier))
		}
		for i := range tokens {
			end := passageEnd(tokens, i)
			if end == 0 {
				break
			}
			if home := d.passages[digestOf(tokens[i:end])]; home != none {
				for j := i; j < end; j++ {
					homes[j] = min(homes[j], home)
				}
			}
		}
		for _, home := range homes {
			if int(home) < len(d.earlier) && d.earlier[home].account != d.contribution.Account {
				derived.Tokens++
			}
		}
	}
	return derived
}

func (d *Draft) duplicates() Duplicates {
	found := Duplicates{EqualTo: d.first(d.equal), SimilarTo: d.first(d.similar)}
	for i := range d.records {
		switch r := &d.records[i]; {
		case r.equal > 0:
			found.Equal++
		case r.similar > 0:
			found.Near++
		}
	}
	return found
}

// first orders pairs by record, the most similar first, and keeps MaxFindings of them.
func (d *Draft) first(pairs []Pair) []Pair {
	order := make(map[string]int, len(d.earlier))
	for i, e := range d.earlier {
		order[e.id] = i
	}
	order[d.contribution.ID] = len(d.earlier)
	slices.SortFunc(pairs, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Record, b.Record), cmp.Compare(b.Similarity, a.Similarity),
			cmp.Compare(order[a.Contribution], order[b.Contribution]), cmp.Compare(a.Other, b.Other))
	})
	return append([]Pair{}, pairs[:min(len(pairs), MaxFindings)]...)
}

// minContained is the least containment that is reported.
const minContained = 10_000

func (d *Draft) contained() []Contained {
	list := []Contained{}
	for _, e := range d.earlier {
		c := Contained{Contribution: e.id, Account: e.account, Shingles: e.shared, PPM: ppm(e.shared, int64(len(d.shingles)))}
		if c.PPM >= minContained {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Contained) int { return cmp.Compare(b.Shingles, a.Shingles) })
	return list[:min(len(list), MaxFindings)]
}

// read finds what needs no corpus, or only the shingles that it shares.
func (d *Draft) read(r *Report) {
	var lists listing
	var languages counter
	var people finder
	sizes := make([]int, len(d.records))
	for i, text := range d.contribution.Records {
		sizes[i] = int(d.records[i].tokens)
		lists.record(i, text, d)
		languages.record(text)
		people.record(i, text)
		r.Characters.add(text)
	}
	r.Lists = lists.Lists
	r.Languages, r.Scripts = languages.languages(), languages.scripts()
	r.Personal = people.Personal
	r.Sizes = sizesOf(sizes, d.contribution.Records)
}

// Of is the report on a contribution to a corpus in memory.
func Of(corpus attribution.Corpus, contribution attribution.Contribution) *Report {
	d := New(contribution)
	for _, c := range corpus {
		d.Earlier(c.ID, c.Account)
		for _, text := range c.Records {
			d.Record(text)
		}
	}
	return d.Report()
}
