package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// strangers are the poets who contribute nothing.
var strangers = []string{"manoochehri", "obeyd"}

// A poem is a poet's verse and its tokens.
type poem struct {
	name    string
	text    []byte
	tokens  []text1.Token
	derived []bool // whether each token's origin is another poet; of contributors only
}

// An anthology is the corpus of the poets and what is asked of it.
type anthology struct {
	corpus  attribution.Corpus
	poets   []*poem
	strange []*poem
	tokens  int // of the poets
	view    *index.View
	engine  *indexed.Engine
}

func (b *bench) anthology(ctx context.Context) (*anthology, error) {
	if b.verse == "" {
		return nil, fmt.Errorf("%w: give --verse", errNoInput)
	}
	entries, err := os.ReadDir(b.verse)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoInput, err)
	}
	if err != nil {
		return nil, err
	}
	a := &anthology{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".txt")
		if !ok {
			continue
		}
		text, err := os.ReadFile(filepath.Join(b.verse, e.Name()))
		if err != nil {
			return nil, err
		}
		p := &poem{name: name, text: text, tokens: text1.Tokens(text)}
		if slices.Contains(strangers, name) {
			a.strange = append(a.strange, p)
			continue
		}
		a.poets = append(a.poets, p)
		a.corpus = append(a.corpus, attribution.Contribution{ID: name, Account: "Poets:" + name, Records: [][]byte{text}})
	}
	if len(a.poets) < 2 || len(a.strange) == 0 {
		return nil, fmt.Errorf("%w: %s holds the verse of %d contributors and %d others", errNoInput, b.verse, len(a.poets), len(a.strange))
	}
	if a.view, err = index.InMemory(ctx, index.FromCorpus(a.corpus), index.Options{}); err != nil {
		return nil, err
	}
	a.engine = indexed.New(a.view)
	g := a.view.Segments()[0]
	position := uint32(0)
	for i, p := range a.poets {
		for _, origin := range a.view.Origins(nil, g, position, position+uint32(len(p.tokens))) {
			p.derived = append(p.derived, origin != i)
		}
		position += uint32(len(p.tokens)) + 1 // the border of the record
		a.tokens += len(p.tokens)
	}
	return a, nil
}

// information is info(t) of a token's identity in the anthology.
func (a *anthology) information(identity string) float64 {
	n, v := a.view.Size()
	token := index.Token{Text: []byte(identity), Hash: index.Hash([]byte(identity))}
	count := uint64(0)
	for _, g := range a.view.Segments() {
		count += uint64(g.Count(g.ID(token)))
	}
	return float64(attribution.Information(n, v, count)) / attribution.Bit
}

// A stretch is a part of an answer: an excerpt of a poet or, with poet −1, filler.
type stretch struct {
	poet   int
	text   string
	words  []string // its tokens
	edited []bool   // words that do not stand in the excerpt
}

// filler returns consecutive words of a stranger.
func (a *anthology) filler(r *rand.Rand, words int) stretch {
	p := a.strange[r.IntN(len(a.strange))]
	return excerpt(p, -1, r.IntN(len(p.tokens)-words), words)
}

// shuffled returns words of strangers, drawn one by one.
func (a *anthology) shuffled(r *rand.Rand, words int) stretch {
	s := stretch{poet: -1, edited: make([]bool, words)}
	var texts []string
	for range words {
		p := a.strange[r.IntN(len(a.strange))]
		one := excerpt(p, -1, r.IntN(len(p.tokens)), 1)
		texts = append(texts, one.text)
		s.words = append(s.words, one.words...)
	}
	s.text = strings.Join(texts, " ")
	return s
}

func excerpt(p *poem, poet, from, words int) stretch {
	s := stretch{poet: poet, edited: make([]bool, words)}
	tokens := p.tokens[from : from+words]
	s.text = string(p.text[tokens[0].Start:tokens[words-1].End])
	for _, t := range tokens {
		s.words = append(s.words, t.Text)
	}
	return s
}

// excerpt returns 8 to 40 consecutive words of a poet, none of them derived. Every word of the anthology is as likely
// to be the first one as any other.
func (a *anthology) excerpt(r *rand.Rand) stretch {
	for {
		words := 8 + r.IntN(33)
		from, poet := r.IntN(a.tokens), 0
		for ; from >= len(a.poets[poet].tokens); poet++ {
			from -= len(a.poets[poet].tokens)
		}
		p := a.poets[poet]
		if from+words <= len(p.tokens) && !slices.Contains(p.derived[from:from+words], true) {
			return excerpt(p, poet, from, words)
		}
	}
}

// An answer is an output whose sources are known.
type answer struct {
	text        []byte
	stretches   []stretch
	information []float64 // of each token, in bits; 0 for one that repeats one of the 9 before it
}

// weights is w of the definition for each of an answer's tokens.
func (a *anthology) weights(out answer) []float64 {
	var all []string
	var weights []float64
	for _, s := range out.stretches {
		for _, word := range s.words {
			w := 0.0
			if !slices.Contains(all[max(0, len(all)-attribution.EchoDistance):], word) {
				w = a.information(word)
			}
			all, weights = append(all, word), append(weights, w)
		}
	}
	return weights
}

// answer puts 1 to 5 excerpts between filler. change makes of an excerpt what the answer prints.
func (a *anthology) answer(r *rand.Rand, filler func(*rand.Rand, int) stretch, change func(*rand.Rand, stretch) stretch) answer {
	var out answer
	out.stretches = append(out.stretches, filler(r, 8+r.IntN(33)))
	for range 1 + r.IntN(5) {
		out.stretches = append(out.stretches, change(r, a.excerpt(r)), filler(r, 8+r.IntN(33)))
	}
	var texts []string
	for _, s := range out.stretches {
		texts = append(texts, s.text)
	}
	out.text = []byte(strings.Join(texts, "\n"))
	out.information = a.weights(out)
	return out
}

func clean(_ *rand.Rand, s stretch) stretch { return s }

// letterForms are other forms of letters that make no difference to canonical tokens.
var letterForms = map[rune][]rune{'ی': {'ي', 'ى'}, 'ک': {'ك'}, 'ا': {'أ', 'إ'}, 'و': {'ؤ'}}

// noisy writes the same words in other letter forms, with harakat and tatweel, and with other punctuation.
func noisy(r *rand.Rand, s stretch) stretch {
	marks := []rune("\u064e\u064f\u0650\u0651\u0652\u064b\u0640")
	var out strings.Builder
	for _, c := range s.text {
		switch {
		case c == ' ' && r.IntN(3) == 0:
			out.WriteString([]string{"، ", " — ", "\n", "؟ ", "... "}[r.IntN(5)])
		case len(letterForms[c]) > 0 && r.IntN(4) == 0:
			out.WriteRune(letterForms[c][r.IntN(len(letterForms[c]))])
		default:
			out.WriteRune(c)
		}
		if c >= 0x0621 && c <= 0x06d3 && r.IntN(10) == 0 {
			out.WriteRune(marks[r.IntN(len(marks))])
		}
	}
	s.text = out.String()
	return s
}

// edited replaces every tenth word at random by another word of the anthology.
func (a *anthology) edited(r *rand.Rand, s stretch) stretch {
	out := stretch{poet: s.poet, words: slices.Clone(s.words), edited: make([]bool, len(s.words))}
	for i := range out.words {
		if r.IntN(10) == 0 {
			p := a.poets[r.IntN(len(a.poets))]
			out.words[i] = p.tokens[r.IntN(len(p.tokens))].Text
			out.edited[i] = true
		}
	}
	out.text = strings.Join(out.words, " ")
	return out
}
