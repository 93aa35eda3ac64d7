package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

// The corpus and who pays. Words are drawn by Zipf's law, so that most of a text is made of few of them.
const (
	vocabulary    = 30_000
	authors       = 40
	recordsOfOne  = 25 // records of a contribution at least, of 60 to 120 words
	mostContents  = 1000
	payingClients = 20
	escrow        = 1 << 40
)

// writer makes texts.
type writer struct {
	*rand.Rand
	zipf  *rand.Zipf
	words []string
}

func newWriter() *writer {
	r := rand.New(rand.NewPCG(8, 1))
	w := &writer{Rand: r, zipf: rand.NewZipf(r, 1.1, 8, vocabulary-1)}
	for i := range vocabulary {
		w.words = append(w.words, spell(i))
	}
	return w
}

// spell gives each number a word of its own.
func spell(n int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	word := ""
	for n += 70; n > 0; n /= 70 {
		word += string(consonants[n%14]) + string(vowels[n/14%5])
	}
	return word
}

// write makes from so many to so many words.
func (w *writer) write(from, to int) []string {
	text := make([]string, from+w.IntN(to-from+1))
	for i := range text {
		text[i] = w.words[w.zipf.Uint64()]
	}
	return text
}

// answer makes a prompt, and an output that has one to three excerpts of 12 to 40 words between words of its own.
func (w *writer) answer(records [][]string) verifytest.Answer {
	out := w.write(5, 25)
	for range 1 + w.IntN(3) {
		from := records[w.IntN(len(records))]
		n := 12 + w.IntN(29)
		at := w.IntN(len(from) - n + 1)
		out = append(append(out, from[at:at+n]...), w.write(5, 25)...)
	}
	return verifytest.Answer{Prompt: strings.Join(w.write(8, 20), " "), Output: strings.Join(out, " ")}
}

// makePaid writes a bundle in which so many uses of a model are settled, so many at once, with their receipts and texts, and with
// the contents of a corpus of about so many tokens.
func makePaid(folder, keys string, s settings, progress io.Writer) (err error) {
	var people []ledger.Caller
	for i := range authors {
		people = append(people, rulestest.User([]string{rulestest.B, rulestest.C}[i%2], fmt.Sprintf("author%d", i), ledger.Contributor))
	}
	n, r, err := record(folder, keys, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p := verifytest.NewPaid(n, people...)
	w := newWriter()
	var records [][]string
	for i := 0; len(records)*90 < s.corpus; i++ {
		var texts []string
		for range max(recordsOfOne, s.corpus/90/mostContents+1) {
			records = append(records, w.write(60, 120))
			texts = append(texts, strings.Join(records[len(records)-1], " "))
		}
		p.Register(people[i%authors], texts...)
	}
	p.Seal(p.Texts...)
	p.Publish()
	engine, err := streaming.New(p.Texts)
	if err != nil {
		return err
	}
	p.Receipts = func(_ attribution.Corpus, answers ...attribution.Answer) ([]*receipt.Receipt, error) {
		return engine.Receipts(context.Background(), answers...)
	}
	for range payingClients {
		p.Open(use.DiscloseAll, escrow)
	}
	if err := r.Holder(rulestest.Regulator); err != nil {
		return err
	}
	leaves := verifytest.Snapshot{Name: []string{p.Pool, "1"}, Revision: 1}
	for _, c := range p.Texts {
		leaves.Leaves = append(leaves.Leaves, p.Leaf(c))
		if err := r.Part(bundle.Content, p.Content(c).Name, p.Content(c).Write); err != nil {
			return err
		}
	}
	if err := r.Part(bundle.Snapshot, leaves.Name, leaves.Write); err != nil {
		return err
	}
	p.HandOver()
	for made, turn := 0, 0; made < s.uses && r.failed == nil; turn++ {
		payer := p.Sessions[turn%payingClients]
		answers := make([]verifytest.Answer, min(s.together, s.uses-made))
		for i := range answers {
			answers[i] = w.answer(records)
		}
		p.Use(payer, answers...)
		claim := p.Settle(payer)
		p.Release(claim, p.Attest(claim))
		if err := r.Part(bundle.Settlement, p.Settlements[0].Name, p.Settlements[0].Write); err != nil {
			return err
		}
		p.Settlements = nil
		if made += len(answers); made/10_000 > (made-len(answers))/10_000 {
			fmt.Fprintf(progress, "%d uses made\n", made)
		}
	}
	r.Receipts(&bundle.Receipts{Before: r.Next()})
	return r.failed
}
