package index

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Join makes the index of one corpus in a folder from contributions of several: those that order names by their ids,
// in that order, and no others. So a model that was trained on snapshots of several datanets gets the corpus of the
// definition, the union of their contributions in the order in which the ledger registered them, without their
// texts being read again; and one that was trained on an earlier snapshot gets what its datanet held then.
//
// It replaces what the folder held, as Build does. It fails when no view holds a contribution of order, when order
// names one twice, and when two views hold one under different accounts.
func Join(ctx context.Context, dir string, order []string, views []*View, options Options) (*Index, error) {
	found, err := locate(order, views)
	if err != nil {
		return nil, fmt.Errorf("join indexes into %s: %w", dir, err)
	}
	x, err := prepare(dir, options, func(x *Index) error { return x.join(ctx, found) })
	if err != nil {
		return nil, fmt.Errorf("join indexes into %s: %w", dir, err)
	}
	return x, nil
}

// A located contribution is one of a segment.
type located struct {
	*Segment
	local int
}

// locate finds contributions by their ids.
func locate(order []string, views []*View) ([]located, error) {
	found := make([]located, len(order))
	number := make(map[string]int, len(order))
	for i, id := range order {
		if _, twice := number[id]; twice {
			return nil, fmt.Errorf("contribution %q stands twice in the order", id)
		}
		number[id] = i
	}
	for _, v := range views {
		for _, g := range v.segments {
			for local, c := range g.contributions {
				i, wanted := number[c.id]
				if !wanted {
					continue
				}
				if known := found[i]; known.Segment == nil {
					found[i] = located{g, local}
				} else if account := known.contributions[known.local].account; account != c.account {
					return nil, fmt.Errorf("contribution %q is there of account %q and of account %q", c.id, account, c.account)
				}
			}
		}
	}
	for i, f := range found {
		if f.Segment == nil {
			return nil, fmt.Errorf("contribution %q is in none of the indexes", order[i])
		}
	}
	return found, nil
}

// join builds contributions of other indexes into segments and adds them to an index without any.
func (x *Index) join(ctx context.Context, found []located) error {
	return x.grow(ctx, func(add func(*Segment) error) error {
		for len(found) > 0 {
			symbols, n := uint64(0), 0
			for n < len(found) && (n == 0 || symbols+found[n].symbols() <= x.options.symbols()) {
				symbols += found[n].symbols()
				n++
			}
			s := newGathering(symbols)
			for _, f := range found[:n] {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				if err := s.take(f.Segment, f.local); err != nil {
					return err
				}
			}
			g, err := s.build(func() error { return context.Cause(ctx) })
			if err != nil {
				return err
			}
			if err := add(g); err != nil {
				return err
			}
			found = found[n:]
		}
		return nil
	})
}

// symbols is what a contribution takes of a segment's text.
func (l located) symbols() uint64 {
	start, end := l.Extent(l.base + l.local)
	return uint64(end - start)
}

// A gathering is a stream that is put together from contributions of segments.
type gathering struct {
	stream
	ids map[*Segment][]uint32 // the stream's id of each of theirs, 0 while it has none
}

func newGathering(symbols uint64) *gathering {
	return &gathering{
		stream: stream{text: huge(make([]int32, symbols))[:0], dictionary: newDictionary()},
		ids:    make(map[*Segment][]uint32),
	}
}

// take adds a contribution of a segment.
func (s *gathering) take(g *Segment, local int) error {
	ids := s.ids[g]
	if ids == nil {
		ids = make([]uint32, g.Size())
		s.ids[g] = ids
	}
	c := g.contributions[local]
	first, last := g.recordsOf(local)
	s.contributions = append(s.contributions, contribution{id: c.id, account: c.account, record: uint32(len(s.records))})
	for _, start := range g.records[first:last] {
		s.records = append(s.records, uint32(len(s.text)))
		for position := start; g.text[position] != separator; position++ {
			id := g.text[position]
			if ids[id] == 0 {
				t := g.Token(id)
				ids[id] = s.dictionary.add(t.Text, t.Hash, g.Runes(id))
			}
			s.text = append(s.text, int32(ids[id]))
		}
		s.text = append(s.text, separator)
	}
	if uint64(len(s.dictionary.text)) > math.MaxUint32/2 {
		return errors.New("the distinct tokens of a segment would take more than 2 GiB; give the build a lower limit of memory")
	}
	return nil
}
