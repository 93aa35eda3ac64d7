package golden

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
)

// vocabularies are the words of drawn cases: few and short ones, so that everything repeats, or many, in several
// scripts, some that are several tokens or none.
var vocabularies = func() [][]string {
	var many []string
	for i := range 100 {
		many = append(many, strings.Repeat(string(rune('a'+i%26)), 1+i%4)+fmt.Sprint(i))
	}
	for i := range 30 {
		many = append(many, string(rune('中'+i)))
	}
	many = append(many, "½", "و", "\xff", "\xe4\xb8", "ﷺ", "é", "a\u200cb", strings.Repeat("x", 130), "ــ", "١٢", "😀")
	return [][]string{{"a", "b"}, {"a", "b", "c", "中", "\xff"}, many[:25], many, many, many, many, many}
}()

// Draw returns a corpus whose records and contributions repeat each other and an answer that repeats them,
// the same for a seed on every machine.
func Draw(seed uint64) (attribution.Corpus, attribution.Answer) {
	r := rand.New(rand.NewPCG(seed, 7))
	words := vocabularies[r.IntN(len(vocabularies))]
	words = words[r.IntN(1+len(words)/2):]
	text := Texts(r, words)
	var corpus attribution.Corpus
	for i := range r.IntN(9) {
		c := attribution.Contribution{ID: fmt.Sprint("c", i), Account: string(rune('a' + r.IntN(4)))}
		if i > 0 && r.IntN(8) == 0 {
			c.Records = corpus[r.IntN(i)].Records
		} else {
			for range r.IntN(5) {
				c.Records = append(c.Records, text())
			}
		}
		corpus = append(corpus, c)
	}
	answer := attribution.Answer{Model: "m@1", Tau: uint8(r.IntN(3) / 2 * r.IntN(attribution.MaxTau+1))}
	answer.Output = text()
	for range r.IntN(3) {
		answer.Prompt = append(answer.Prompt, text())
	}
	return corpus, answer
}

// Texts draws texts of the given words that repeat parts of each other, the same ones for the same source.
func Texts(r *rand.Rand, words []string) func() []byte {
	var texts [][]string
	return func() []byte {
		var list []string
		for range 1 + r.IntN(4) {
			if len(texts) > 0 && r.IntN(3) > 0 {
				from := texts[r.IntN(len(texts))]
				a := r.IntN(len(from) + 1)
				list = append(list, from[a:a+r.IntN(len(from)+1-a)]...)
				continue
			}
			for range r.IntN(20) {
				list = append(list, words[r.IntN(len(words))])
			}
		}
		texts = append(texts, list)
		return []byte(strings.Join(list, []string{" ", ", ", "\n"}[r.IntN(3)]))
	}
}
