package report

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A Draft is a report in the making: the new contribution, and what of the corpus has gone past.
type Draft struct {
	contribution attribution.Contribution
	records      []record
	texts        map[[32]byte][]int // by digest of the canonical tokens, records that have them
	sketches     map[uint64][]int   // by hash, records whose sketch has it
	shingles     map[uint64]int     // by hash, place in known
	known        []known
	passages     map[passageID]int // the earlier contribution at whose text it is at home first, -1 none

	earlier  []earlier
	current  merkle.Frontier // records of the contribution that goes past
	seen     Corpus
	tree     merkle.Frontier
	equal    []Pair
	similar  []Pair
	buffers  [2][]uint64
	matching map[int]int
}

type record struct {
	tokens   int
	shingles []uint64 // distinct, ascending
	sketch   []uint64
	digest   [32]byte

	equal, similar int // pairs found
}

// known is what is known of one shingle of the new contribution.
type known struct {
	contributions int // how many earlier ones have it
	last          int // the last of them
}

type earlier struct {
	id, account string
	records     int
	shared      int64 // distinct shingles
}

type passageID [16]byte

// New begins the report on a contribution. Its records must not change before Report.
func New(contribution attribution.Contribution) *Draft {
	d := &Draft{
		contribution: contribution,
		records:      make([]record, len(contribution.Records)),
		texts:        make(map[[32]byte][]int),
		sketches:     make(map[uint64][]int),
		shingles:     make(map[uint64]int),
		passages:     make(map[passageID]int),
		matching:     make(map[int]int),
	}
	for i, text := range contribution.Records {
		tokens := text1.Tokens(text)
		r := &d.records[i]
		r.tokens, r.digest = len(tokens), digest(tokens)
		hashes := d.shinglesOf(text)
		r.shingles = distinct(slices.Clone(hashes))
		r.sketch = sketch(r.shingles)
		// Records of the contribution itself that came before are earlier records too.
		d.compare(contribution.ID, i, true, r.digest, hashes)
		for j := range tokens {
			if end := passageEnd(tokens, j); end > 0 {
				d.passages[identify(tokens[j:end])] = -1
			}
		}
		for _, h := range r.shingles {
			if _, there := d.shingles[h]; !there {
				d.shingles[h] = len(d.known)
				d.known = append(d.known, known{last: -1})
			}
		}
		d.texts[r.digest] = append(d.texts[r.digest], i)
		for _, h := range r.sketch {
			d.sketches[h] = append(d.sketches[h], i)
		}
	}
	return d
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
		if k := &d.known[place]; k.last != number {
			k.last = number
			k.contributions++
			e.shared++
		}
	}
	if touched || len(shingles) == 0 {
		tokens := text1.Tokens(text)
		d.compare(e.id, e.records, false, digest(tokens), shingles)
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
func (d *Draft) compare(contribution string, other int, own bool, digest [32]byte, shingles []uint64) {
	pair := func(i int, similarity, common int64, distinct int) Pair {
		if own {
			return Pair{Record: other, Contribution: contribution, Other: i, Similarity: similarity, Contained: ppm(common, int64(distinct))}
		}
		return Pair{Record: i, Contribution: contribution, Other: other, Similarity: similarity, Contained: ppm(common, int64(len(d.records[i].shingles)))}
	}
	for _, i := range d.texts[digest] {
		if d.records[i].tokens == 0 {
			break
		}
		p := pair(i, 1_000_000, 0, 0)
		p.Contained = 1_000_000
		keep(&d.equal, p, &d.records[p.Record].equal)
		if own {
			break
		}
	}
	clear(d.matching)
	for _, h := range sketch(shingles) {
		postings := d.sketches[h]
		for _, i := range postings[:min(len(postings), maxPostings)] {
			d.matching[i]++
		}
	}
	if len(d.matching) == 0 {
		return
	}
	all := distinct(slices.Clone(shingles))
	for _, i := range slices.Sorted(maps.Keys(d.matching)) {
		r := &d.records[i]
		if r.digest == digest || d.matching[i] < min(minShared, len(r.sketch), len(all)) {
			continue
		}
		common := shared(r.shingles, all)
		similarity := ppm(common, int64(len(r.shingles)+len(all))-common)
		if similarity >= minSimilarity {
			p := pair(i, similarity, common, len(all))
			keep(&d.similar, p, &d.records[p.Record].similar)
		}
	}
}

// keep adds a pair to a list unless its record has enough there.
func keep(list *[]Pair, p Pair, count *int) {
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
		id := identify(tokens[i:end])
		if home, wanted := d.passages[id]; wanted && home < 0 {
			d.passages[id] = number
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

func identify(passage []text1.Token) passageID {
	sum := digest(passage)
	return passageID(sum[:16])
}

// digest is SHA-256 of tokens, each ended by a NUL, which none contains.
func digest(tokens []text1.Token) [32]byte {
	sum := sha256.New()
	var b []byte
	for _, t := range tokens {
		b = append(append(b[:0], t.Text...), 0)
		sum.Write(b)
	}
	return [32]byte(sum.Sum(nil))
}

// Report ends the draft.
func (d *Draft) Report() *Report {
	d.close()
	table := sha256.Sum256([]byte(text1.Table()))
	r := &Report{Format: Format, Tokens: table}
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
		homes := make([]int, len(tokens)) // of the earliest passage that covers a token
		for i := range homes {
			homes[i] = len(d.earlier)
		}
		for i := range tokens {
			end := passageEnd(tokens, i)
			if end == 0 {
				break
			}
			if home := d.passages[identify(tokens[i:end])]; home >= 0 {
				for j := i; j < end; j++ {
					homes[j] = min(homes[j], home)
				}
			}
		}
		for _, home := range homes {
			if home < len(d.earlier) && d.earlier[home].account != d.contribution.Account {
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
		sizes[i] = d.records[i].tokens
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
