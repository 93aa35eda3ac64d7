package infgram

import (
	"fmt"
	"slices"
	"sort"

	"github.com/datanet-consortium/datanet/attribution/index"
)

// A Subset is some of the accounts of one model: those whose contributions it is to be trained on. The zero value is
// all of them.
type Subset struct {
	accounts []int32 // ascending
	only     bool    // it is these; else all but these
}

// Only is the subset of some accounts. It fails when the model has nothing of one.
func (m *Model) Only(accounts ...string) (Subset, error) { return m.subset(accounts, true) }

// Without is the subset of all accounts but some. It fails when the model has nothing of one.
func (m *Model) Without(accounts ...string) (Subset, error) { return m.subset(accounts, false) }

func (m *Model) subset(names []string, only bool) (Subset, error) {
	s := Subset{only: only}
	for _, name := range names {
		i, found := slices.BinarySearch(m.accounts, name)
		if !found {
			return Subset{}, fmt.Errorf("account %q has contributed nothing to the model", name)
		}
		s.accounts = append(s.accounts, int32(i))
	}
	slices.Sort(s.accounts)
	s.accounts = slices.Compact(s.accounts)
	return s, nil
}

func (s Subset) holds(account int32) bool {
	_, named := slices.BinarySearch(s.accounts, account)
	return named == s.only
}

// all tells whether no account is left out.
func (s Subset) all() bool { return !s.only && len(s.accounts) == 0 }

// owners tells whose some places are.
type owners struct {
	list  []owned // by account
	total uint64
}

type owned struct {
	account int32
	n       uint64
}

func newOwners(counts map[int32]uint64) owners {
	var o owners
	for account, n := range counts {
		o.list = append(o.list, owned{account, n})
		o.total += n
	}
	slices.SortFunc(o.list, func(a, b owned) int { return int(a.account - b.account) })
	return o
}

// in counts the places of a subset.
func (o owners) in(s Subset) uint64 {
	named := uint64(0)
	for _, account := range s.accounts {
		if i, found := slices.BinarySearchFunc(o.list, account, func(o owned, a int32) int { return int(o.account - a) }); found {
			named += o.list[i].n
		}
	}
	if s.only {
		return named
	}
	return o.total - named
}

// A spread tells whose the places of a context are, and for each distinct symbol that follows it, in whose texts.
type spread struct {
	places  owners
	symbols uint64
	sets    []set
	known   map[set]int32
}

// A set of accounts is another set and one more account, larger than all of that. Its place in the list is after that
// of the other.
type set struct {
	but     int32 // the other set, none for the empty one
	account int32
	symbols uint64 // that follow in the texts of exactly these accounts; 0 as a key
}

const none = -1

// with returns the number of a set and one more account.
func (s *spread) with(but, account int32) int32 {
	key := set{but: but, account: account}
	number, there := s.known[key]
	if !there {
		if s.known == nil {
			s.known = make(map[set]int32)
		}
		number = int32(len(s.sets))
		s.known[key] = number
		s.sets = append(s.sets, key)
	}
	return number
}

// distinct is how many distinct symbols follow in the texts of a subset.
func (s *spread) distinct(of Subset) uint64 {
	if !of.only && len(of.accounts) == 1 {
		// Only what follows in the texts of this account and no other is missing.
		if i, there := s.known[set{but: none, account: of.accounts[0]}]; there {
			return s.symbols - s.sets[i].symbols
		}
		return s.symbols
	}
	total := uint64(0)
	member := make([]bool, len(s.sets))
	for i, v := range s.sets {
		member[i] = v.but != none && member[v.but] || of.holds(v.account)
		if member[i] {
			total += v.symbols
		}
	}
	return total
}

// owners tells whose the places of a context are.
func (m *Model) owners(context []uint32, p places) owners {
	return m.holders.get(context, p.n, func() owners {
		counts := make(map[int32]uint64)
		for i, part := range m.parts {
			for rank := p.ranges[i].Start; rank < p.ranges[i].End; rank++ {
				counts[m.owner[part.Owner(part.Position(rank))]]++
			}
		}
		return newOwners(counts)
	}, func(o owners) int { return len(o.list) })
}

// ownersAfter tells whose the places of a context are at which a symbol follows.
func (m *Model) ownersAfter(context []uint32, p places, symbol uint32) owners {
	if symbol == index.Unknown {
		return owners{}
	}
	if p.length == 0 && symbol == end {
		return m.recordOwners()
	}
	list := append(slices.Clip(context), symbol)
	if p.length == 0 {
		return m.owners(list, m.places(list))
	}
	return m.owners(list, m.narrow(p, symbol))
}

// spread counts by account what follows a context.
func (m *Model) spread(context []uint32, p places) *spread {
	if p.length == 0 {
		return m.whole()
	}
	return m.spreads.get(context, p.n, func() *spread {
		s := &spread{}
		places := make(map[int32]uint64)
		after := make(map[uint32][]int32) // of several segments
		seen := make(map[int32]bool)
		for i, part := range m.parts {
			for id, where := range part.Following(p.ranges[i], p.length) {
				var accounts []int32
				for rank := where.Start; rank < where.End; rank++ {
					account := m.owner[part.Owner(part.Position(rank))]
					places[account]++
					if !seen[account] {
						seen[account] = true
						accounts = append(accounts, account)
					}
				}
				clear(seen)
				if len(m.parts) == 1 {
					s.add(accounts)
				} else {
					after[part.symbol(id)] = append(after[part.symbol(id)], accounts...)
				}
			}
		}
		for _, accounts := range after {
			s.add(accounts)
		}
		s.places = newOwners(places)
		return s
	}, func(s *spread) int { return len(s.sets) + len(s.places.list) })
}

// add counts one symbol that follows in the texts of some accounts. They may be given in any order, and twice.
func (s *spread) add(accounts []int32) {
	slices.Sort(accounts)
	number := int32(none)
	for _, account := range slices.Compact(accounts) {
		number = s.with(number, account)
	}
	s.sets[number].symbols++
	s.symbols++
}

// spreadOfAll is the spread of the empty context. It reads the whole corpus once.
func (m *Model) spreadOfAll() *spread {
	s := &spread{}
	places := make(map[int32]uint64)
	holders := slices.Repeat([]int32{none}, int(m.distinct)+1) // by symbol, the set so far
	newest := slices.Repeat([]int32{none}, int(m.distinct)+1)  // by symbol, the last account of it
	// Sets grow by larger accounts, so the texts are read account by account.
	order := make([]int, len(m.owner))
	for c := range order {
		order[c] = c
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(m.owner[a] - m.owner[b]) })
	for _, c := range order {
		account := m.owner[c]
		part := m.parts[sort.Search(len(m.parts), func(i int) bool { return m.parts[i].Last() >= c })]
		from, to := part.Extent(c)
		for position := from; position < to; position++ {
			id, _ := part.At(position)
			symbol := part.symbol(id)
			if newest[symbol] != account {
				newest[symbol] = account
				holders[symbol] = s.with(holders[symbol], account)
			}
		}
		if from < to {
			places[account] += uint64(to - from)
		}
	}
	for _, holder := range holders {
		if holder != none {
			s.sets[holder].symbols++
			s.symbols++
		}
	}
	s.places = newOwners(places)
	return s
}

// endOwners tells whose the records are.
func (m *Model) endOwners() owners {
	counts := make(map[int32]uint64)
	for _, part := range m.parts {
		for record := range part.Records() {
			counts[m.owner[part.Owner(part.RecordStart(record))]]++
		}
	}
	return newOwners(counts)
}
