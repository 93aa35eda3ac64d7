package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// A stream is what a segment is built from: the records as ids of one dictionary, each ended by a separator.
type stream struct {
	text          []int32
	records       []uint32 // where in text each record begins
	contributions []contribution
	dictionary    *dictionary
}

type contribution struct {
	id, account string
	record      uint32 // its first record in the segment
}

// pieceSize is how much text a worker takes at a time, in bytes. Longer records are cut.
const pieceSize = 1 << 20

// A piece is text that one worker turns into ids of its own dictionary. Several records may share a piece, and
// a record may span several.
type piece struct {
	parts []part
	size  int
	ids   []uint32 // a separator ends each record
	by    *worker
}

type part struct {
	text []byte
	last bool // whether the record ends with it
}

// A worker turns pieces into ids.
type worker struct {
	dictionary *dictionary
	token      []byte
	ids        []uint32 // of the piece
	global     []uint32 // the stream's id of each of its own, 0 while it has none
}

func (w *worker) tokenise(p *piece) {
	w.ids = w.ids[:0]
	for _, part := range p.parts {
		s := text1.NewScanner(part.text)
		for s.Next() {
			runes := s.Runes()
			w.token = AppendToken(w.token[:0], runes)
			w.ids = append(w.ids, w.dictionary.add(w.token, Hash(w.token), len(runes)))
		}
		if part.last {
			w.ids = append(w.ids, separator)
		}
	}
	*p = piece{ids: slices.Clone(w.ids), by: w}
}

// A reader cuts a source into streams that are small enough to be built into segments within a limit of memory.
type reader struct {
	ctx      context.Context
	next     func() (Contribution, error, bool)
	limit    uint64 // symbols of a stream
	progress func(Progress)
	position Progress
	names    names

	pending *Contribution // read from the source, belongs to the next stream
}

// names are the ids of contributions that an index holds already.
type names map[string]bool

// add checks the names of a contribution as attribution.Corpus.Check does.
func (n names) add(id, account string) error {
	if err := attribution.CheckName(id); err != nil {
		return fmt.Errorf("contribution id %q %w", id, err)
	}
	if err := attribution.CheckName(account); err != nil {
		return fmt.Errorf("contribution %q: account %q %w", id, account, err)
	}
	if n[id] {
		return fmt.Errorf("contribution %q stands twice in the corpus", id)
	}
	n[id] = true
	return nil
}

// read returns the next stream, nil after the last one. It reads at least one contribution, and more until limit
// symbols are reached.
func (r *reader) read() (*stream, error) {
	s := new(stream)
	if r.pending == nil {
		if err := r.advance(); err != nil {
			return nil, err
		}
	}
	if r.pending == nil {
		return nil, nil
	}

	workers, ctx := errgroup.WithContext(r.ctx)
	queue := make(chan *piece, runtime.GOMAXPROCS(0))
	var symbols atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		w := &worker{dictionary: newDictionary()}
		workers.Go(func() error {
			for p := range queue {
				w.tokenise(p)
				symbols.Add(uint64(len(p.ids)))
			}
			return nil
		})
	}
	var pieces []*piece
	current := new(piece)
	send := func() error {
		if len(current.parts) == 0 {
			return nil
		}
		select {
		case queue <- current:
		case <-ctx.Done():
			return ctx.Err()
		}
		pieces = append(pieces, current)
		current = new(piece)
		r.enter(Reading)
		return nil
	}
	add := func(text []byte, last bool) error {
		current.parts = append(current.parts, part{text, last})
		current.size += len(text)
		if current.size >= pieceSize {
			return send()
		}
		return nil
	}
	records := uint64(0)
	produce := func() error {
		for r.pending != nil {
			c := r.pending
			if err := r.names.add(c.ID, c.Account); err != nil {
				return err
			}
			s.contributions = append(s.contributions, contribution{id: c.ID, account: c.Account, record: uint32(records)})
			for record, err := range c.Records {
				if err != nil {
					return fmt.Errorf("read record %d of contribution %q: %w", records-uint64(s.contributions[len(s.contributions)-1].record), c.ID, err)
				}
				for len(record) > 2*pieceSize {
					// No token reaches across a newline or a space, so the record may be cut before one.
					cut := bytes.LastIndexAny(record[:pieceSize], "\n ")
					if cut <= 0 {
						break
					}
					if err := add(record[:cut], false); err != nil {
						return err
					}
					r.position.Bytes += int64(cut)
					record = record[cut:]
				}
				r.position.Bytes += int64(len(record))
				r.position.Records++
				if err := add(record, true); err != nil {
					return err
				}
				if records++; records > math.MaxInt32 || symbols.Load() > maxSymbols-1 {
					return fmt.Errorf("contribution %q: it is larger than one segment can be, 2³¹ tokens; split it", c.ID)
				}
			}
			if err := r.advance(); err != nil {
				return err
			}
			if symbols.Load()+uint64(current.size) >= r.limit {
				break
			}
		}
		return send()
	}
	err := produce()
	close(queue)
	if failed := workers.Wait(); err == nil {
		err = failed
	}
	if err == nil {
		err = context.Cause(r.ctx)
	}
	if err != nil {
		return nil, err
	}
	if symbols.Load() > maxSymbols-1 {
		return nil, errors.New("a segment would have 2³¹ tokens and more; give the build a lower limit of memory")
	}
	return s, s.join(pieces, int(symbols.Load()), int(records))
}

// advance reads the next contribution from the source into pending, nil at its end.
func (r *reader) advance() error {
	r.pending = nil
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	c, err, ok := r.next()
	if err != nil {
		return fmt.Errorf("read the corpus: %w", err)
	}
	if ok {
		r.pending = &c
	}
	return nil
}

// enter reports how far the build is, in a phase.
func (r *reader) enter(phase Phase) {
	if r.progress != nil {
		r.position.Phase = phase
		r.progress(r.position)
	}
}

// join turns the workers' ids into those of one dictionary, which has the tokens in the order in which they
// first occur, so that it does not depend on how the work was divided.
func (s *stream) join(pieces []*piece, symbols, records int) error {
	s.text = huge(make([]int32, symbols))[:0]
	s.records = make([]uint32, 0, records)
	s.dictionary = newDictionary()
	begins := true
	for i, p := range pieces {
		pieces[i] = nil
		local := p.by.dictionary
		if grown := local.size() - len(p.by.global); grown > 0 {
			p.by.global = append(p.by.global, make([]uint32, grown)...)
		}
		global := p.by.global
		for _, id := range p.ids {
			if begins {
				s.records = append(s.records, uint32(len(s.text)))
			}
			begins = id == separator
			known := global[id]
			if known == 0 && id != separator {
				token := local.token(id)
				known = s.dictionary.add(token, Hash(token), int(local.runes[id]))
				global[id] = known
			}
			s.text = append(s.text, int32(known))
		}
		if uint64(len(s.dictionary.text)) > math.MaxUint32/2 {
			return errors.New("the distinct tokens of a segment would take more than 2 GiB; give the build a lower limit of memory")
		}
	}
	return nil
}

// pull adapts a source to the reader. The caller calls stop.
func pull(source Source) (next func() (Contribution, error, bool), stop func()) {
	return iter.Pull2(iter.Seq2[Contribution, error](source))
}
