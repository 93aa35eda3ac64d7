package infgram_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// naive is the model as its definition reads: it looks for every context in every record. A symbol is a token's
// identity; the empty one is the end of a record.
type naive struct {
	records       [][]string
	order         []string // the tokens, as they first occur
	interpolation infgram.Interpolation
	maxContext    int
}

func newNaive(corpus attribution.Corpus, options infgram.Options) *naive {
	n := &naive{interpolation: options.Interpolation, maxContext: options.MaxContext}
	for _, c := range corpus {
		for _, record := range c.Records {
			list := tokens(record)
			for _, token := range list {
				if !slices.Contains(n.order, token) {
					n.order = append(n.order, token)
				}
			}
			n.records = append(n.records, append(list, ""))
		}
	}
	return n
}

func tokens(text []byte) []string {
	var list []string
	for _, t := range text1.Tokens(text) {
		list = append(list, t.Text)
	}
	return list
}

// after lists what follows the places of a context.
func (n *naive) after(context []string) []string {
	var list []string
	for _, record := range n.records {
		for i := len(context); i < len(record); i++ {
			if slices.Equal(record[i-len(context):i], context) {
				list = append(list, record[i])
			}
		}
	}
	return list
}

// contexts are the ends of a text that stand in the corpus, the empty one first.
func (n *naive) contexts(text []string) [][]string {
	var list [][]string
	for length := 0; length <= len(text) && (n.maxContext == 0 || length <= n.maxContext); length++ {
		context := text[len(text)-length:]
		if len(n.after(context)) == 0 {
			break
		}
		list = append(list, context)
	}
	return list
}

func (n *naive) chain(text []string, symbol string) infgram.Chain {
	c := infgram.Chain{Symbols: uint64(len(n.order) + 2)}
	for _, context := range n.contexts(text) {
		var l infgram.Level
		distinct := make(map[string]bool)
		for _, s := range n.after(context) {
			l.N++
			distinct[s] = true
			if s == symbol {
				l.C++
			}
		}
		l.T = uint64(len(distinct))
		c.Levels = append(c.Levels, l)
	}
	return c
}

// probability is the recursion of the definition, from the longest context down.
func (n *naive) probability(c infgram.Chain) *big.Rat {
	if len(c.Levels) == 0 {
		return big.NewRat(1, int64(c.Symbols))
	}
	l := c.Levels[len(c.Levels)-1]
	c.Levels = c.Levels[:len(c.Levels)-1]
	d, e := int64(n.interpolation.Discount), int64(n.interpolation.Escape)
	numerator := new(big.Rat).Mul(big.NewRat((d+e)*int64(l.T), 1), n.probability(c))
	if l.C > 0 {
		numerator.Add(numerator, big.NewRat(10*int64(l.C)-d, 1))
	}
	return numerator.Mul(numerator, big.NewRat(1, 10*int64(l.N)+e*int64(l.T)))
}

// draws is the stream of numbers below some n.
type draws struct {
	seed, block uint64
	words       []uint64
}

func (d *draws) below(n uint64) uint64 {
	for {
		if len(d.words) == 0 {
			b := binary.BigEndian.AppendUint64([]byte("INFGRAM/1"), d.seed)
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, d.block))
			d.block++
			for i := 0; i < 32; i += 8 {
				d.words = append(d.words, binary.BigEndian.Uint64(sum[i:]))
			}
		}
		product := new(big.Int).Mul(new(big.Int).SetUint64(d.words[0]), new(big.Int).SetUint64(n))
		d.words = d.words[1:]
		all := new(big.Int).Lsh(big.NewInt(1), 64)
		quotient, remainder := new(big.Int).DivMod(product, all, new(big.Int))
		if remainder.Cmp(all.Mod(all, new(big.Int).SetUint64(n))) >= 0 {
			return quotient.Uint64()
		}
	}
}

// rank is where a symbol stands in the order of symbols.
func (n *naive) rank(symbol string) int { return slices.Index(n.order, symbol) }

func (n *naive) draw(text []string, d *draws) string {
	discount, escape := uint64(n.interpolation.Discount), uint64(n.interpolation.Escape)
	for {
		contexts := n.contexts(text)
	lose:
		for _, context := range slices.Backward(contexts) {
			list := n.after(context)
			slices.SortStableFunc(list, func(a, b string) int { return n.rank(a) - n.rank(b) })
			for {
				u := d.below((10 + escape) * uint64(len(list)))
				place := u / 10
				if u >= 10*uint64(len(list)) {
					place = (u - 10*uint64(len(list))) / escape
				}
				first := place == 0 || list[place-1] != list[place]
				switch {
				case u < 10*uint64(len(list)) && (!first || u%10 >= discount):
					return list[place]
				case first:
					continue lose
				}
			}
		}
		switch u := d.below(uint64(len(n.order) + 2)); u {
		case 0:
			return ""
		case uint64(len(n.order) + 1):
		default:
			return n.order[u-1]
		}
	}
}

func (n *naive) write(text []string, limit int, seed uint64) []string {
	d := &draws{seed: seed}
	var written []string
	for len(written) < limit {
		symbol := n.draw(append(slices.Clip(text), written...), d)
		if symbol == "" {
			break
		}
		written = append(written, symbol)
	}
	return written
}

func log2(x float64) float64 { return math.Log2(x) }
