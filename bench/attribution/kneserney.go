package main

import "math"

// kneserNey is an n-gram model with interpolated Kneser–Ney smoothing (Chen and Goodman 1998) and one discount for
// each length of context, estimated as there from the n-grams that were seen once and twice. Symbols are tokens,
// the end of a record, and an unknown token.
type kneserNey struct {
	order    int
	uniform  float64
	contexts []map[string]*followers // by length of the context
	discount []float64
}

// followers are what follows a context: how often, or, of contexts shorter than the longest, in how many different
// contexts one longer.
type followers struct {
	total  float64
	counts map[string]float64
}

const (
	recordEnd   = "\n"
	recordBegin = "\r"
)

func contextOf(symbols []string) string {
	key := ""
	for _, s := range symbols {
		key += s + "\x00"
	}
	return key
}

// newKneserNey trains a model on records of tokens.
func newKneserNey(order int, records [][]string) *kneserNey {
	m := &kneserNey{order: order, contexts: make([]map[string]*followers, order), discount: make([]float64, order)}
	longer := make([]map[string]bool, order) // n-grams of each length plus one
	for length := range order {
		m.contexts[length], longer[length] = make(map[string]*followers), make(map[string]bool)
	}
	vocabulary := make(map[string]bool)
	for _, record := range records {
		padded := m.padded(record)
		for i := order - 1; i < len(padded); i++ {
			vocabulary[padded[i]] = true
			for length := range order {
				if length < order-1 {
					gram := contextOf(padded[i-length-1 : i+1])
					if longer[length][gram] {
						continue
					}
					longer[length][gram] = true
				}
				context := contextOf(padded[i-length : i])
				f := m.contexts[length][context]
				if f == nil {
					f = &followers{counts: make(map[string]float64)}
					m.contexts[length][context] = f
				}
				f.counts[padded[i]]++
				f.total++
			}
		}
	}
	m.uniform = 1 / float64(len(vocabulary)+1)
	for length, contexts := range m.contexts {
		once, twice := 0.0, 0.0
		for _, f := range contexts {
			for _, c := range f.counts {
				switch c {
				case 1:
					once++
				case 2:
					twice++
				}
			}
		}
		m.discount[length] = once / (once + 2*twice)
	}
	return m
}

// padded is a record between its beginnings and its end.
func (m *kneserNey) padded(record []string) []string {
	var list []string
	for range m.order - 1 {
		list = append(list, recordBegin)
	}
	return append(append(list, record...), recordEnd)
}

// bits is −log₂ of the probability of a record and its end.
func (m *kneserNey) bits(record []string) float64 {
	padded := m.padded(record)
	total := 0.0
	for i := m.order - 1; i < len(padded); i++ {
		p := m.uniform
		for length, d := range m.discount {
			f := m.contexts[length][contextOf(padded[i-length:i])]
			if f == nil {
				break
			}
			c := f.counts[padded[i]]
			p = (math.Max(0, c-d) + d*float64(len(f.counts))*p) / f.total
		}
		total -= math.Log2(p)
	}
	return total
}
