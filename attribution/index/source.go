package index

import (
	"iter"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
)

// A Contribution is one contribution of a source. Records yields its records in order, once; the bytes it
// yields must not change until the build has returned.
type Contribution struct {
	ID, Account string
	Records     iter.Seq2[[]byte, error]
}

// A Source yields contributions in the order in which the ledger registered them. After an error it yields
// nothing more. Each contribution's records are read before the next one is asked for.
type Source iter.Seq2[Contribution, error]

// FromCorpus is the source of a corpus in memory.
func FromCorpus(corpus attribution.Corpus) Source {
	return func(yield func(Contribution, error) bool) {
		for _, c := range corpus {
			records := func(yield func([]byte, error) bool) {
				for record := range slices.Values(c.Records) {
					if !yield(record, nil) {
						return
					}
				}
			}
			if !yield(Contribution{ID: c.ID, Account: c.Account, Records: records}, nil) {
				return
			}
		}
	}
}
