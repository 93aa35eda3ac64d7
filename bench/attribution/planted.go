package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A finding is what a method says of an answer: which tokens come from the corpus, and whose part is how large.
type finding struct {
	credited []bool
	shares   map[string]float64
}

// A method finds the sources of an answer.
type method interface {
	find(output []byte) (finding, error)
}

// A score compares findings with the truth.
type score struct {
	recall     float64 // of the planted information that the answers print, the part that is credited
	falsely    float64 // of the filler's tokens, the part that is credited
	shareError float64 // mean L1 distance of the shares from the planted information
}

// grade draws answers and grades a method by them.
func (a *anthology) grade(m method, answers []answer) (score, error) {
	var planted, recalled, filler, falsely, distance float64
	for _, out := range answers {
		f, err := m.find(out.text)
		if err != nil {
			return score{}, err
		}
		if len(f.credited) != len(out.information) {
			return score{}, fmt.Errorf("an answer of %d words has %d tokens", len(out.information), len(f.credited))
		}
		truth := make(map[string]float64)
		total := 0.0
		i := 0
		for _, s := range out.stretches {
			for k := range s.words {
				if s.poet < 0 {
					filler++
					if f.credited[i] {
						falsely++
					}
				} else if !s.edited[k] {
					information := out.information[i]
					planted += information
					if f.credited[i] {
						recalled += information
					}
					truth[a.corpus[s.poet].Account] += information
					total += information
				}
				i++
			}
		}
		for account, t := range truth {
			distance += math.Abs(t/total - f.shares[account])
		}
		for account, share := range f.shares {
			if truth[account] == 0 {
				distance += share
			}
		}
	}
	return score{recalled / planted, falsely / filler, distance / float64(len(answers))}, nil
}

// ours is the method of this project.
type ours struct{ *anthology }

func (o ours) find(output []byte) (finding, error) {
	t, err := o.engine.Trace(output, nil, attribution.DefaultTau)
	if err != nil {
		return finding{}, err
	}
	f := finding{credited: make([]bool, t.Tokens), shares: make(map[string]float64)}
	for _, s := range t.Spans {
		for i := s.Start; i < s.End; i++ {
			f.credited[i] = true
		}
	}
	for _, s := range t.Shares {
		f.shares[s.Account] = float64(s.PPM) / 1e6
	}
	return f, nil
}

func plantedText(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	others := []struct {
		name string
		method
	}{{"OLMoTrace-like", &tracer{anthology: a}}, {"raw bytes", newByteMatcher(a)}, {"unigrams", newUnigrams(a)}}
	for _, c := range []struct {
		name                     string
		filler                   func(*rand.Rand, int) stretch
		change                   func(*rand.Rand, stretch) stretch
		recall, falsely, shareL1 target
	}{
		{"clean", a.filler, clean, atLeast(.999), atMost(.6), atMost(.015)},
		{"noise", a.filler, noisy, atLeast(.999), target{}, atMost(.02)},
		{"10 % of words edited", a.filler, a.edited, atLeast(.89), target{}, atMost(.08)},
		{"clean, shuffled filler", a.shuffled, clean, target{}, atMost(.05), target{}},
	} {
		r := rand.New(rand.NewPCG(1, 1))
		var answers []answer
		for range b.outputs {
			answers = append(answers, a.answer(r, c.filler, c.change))
		}
		mine, err := a.grade(ours{a}, answers)
		if err != nil {
			return err
		}
		var recall, falsely, shares []string
		for _, o := range others {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			s, err := a.grade(o, answers)
			if err != nil {
				return err
			}
			recall = append(recall, fmt.Sprintf("%s %.3f", o.name, s.recall))
			falsely = append(falsely, fmt.Sprintf("%s %.2f", o.name, 100*s.falsely))
			shares = append(shares, fmt.Sprintf("%s %.3f", o.name, s.shareError))
		}
		b.table.add("planted text recalled, "+c.name, c.recall, mine.recall, "", recall...)
		b.table.add("filler falsely credited, "+c.name, c.falsely, 100*mine.falsely, "%", falsely...)
		b.table.add("share error L1, "+c.name, c.shareL1, mine.shareError, "", shares...)
	}
	return nil
}

// fillerAlone asks for the sources of 100 words of strangers.
func fillerAlone(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(2, 1))
	paid, coverage := 0.0, 0.0
	outputs := 10 * b.outputs // few of them pay anybody
	for range outputs {
		t, err := a.engine.Trace([]byte(a.filler(r, 100).text), nil, attribution.DefaultTau)
		if err != nil {
			return err
		}
		if len(t.Shares) > 0 {
			paid++
		}
		coverage += float64(t.CoveragePPM)
	}
	b.table.add("100 words of filler: answers that pay somebody", atMost(15), 100*paid/float64(outputs), "%")
	b.table.add("100 words of filler: mean coverage", atMost(.7), coverage/float64(outputs)/1e4, "%")
	return nil
}

// honestText counts derived tokens among poets of whom none copied.
func honestText(ctx context.Context, b *bench) error {
	a, err := b.anthology(ctx)
	if err != nil {
		return err
	}
	var derived, tokens uint64
	for c := range a.corpus {
		d, t := a.view.Derived(c)
		derived, tokens = derived+d, tokens+t
	}
	b.table.add("honest text derived", atMost(.4), 100*float64(derived)/float64(tokens), "%")
	return nil
}

// words returns the tokens of a text by their identities.
func words(text []byte) []string {
	var list []string
	for _, t := range text1.Tokens(text) {
		list = append(list, t.Text)
	}
	return list
}
