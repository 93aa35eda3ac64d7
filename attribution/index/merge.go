package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// background runs merges one after the other until it is stopped.
type background struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	wake   chan struct{}
}

func (x *Index) start() {
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.wake = cancel, make(chan struct{}, 1)
	x.ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-x.wake:
			}
			if err := x.mergeSome(ctx, x.tier); err != nil && ctx.Err() == nil && x.options.MergeFailed != nil {
				x.options.MergeFailed(fmt.Errorf("merge segments of index in %s: %w", x.dir, err))
			}
		}
	})
}

// stop ends the background merge, which may not have been started.
func (x *Index) stop() {
	if x.cancel != nil {
		x.cancel()
		x.ended.Wait()
	}
}

func (x *Index) mergeSoon() {
	select {
	case x.wake <- struct{}{}:
	default: // it will look again anyway
	}
}

// mergeSome merges what choose chooses until that is less than two segments.
func (x *Index) mergeSome(ctx context.Context, choose func(symbols []uint64) (start, end int)) error {
	x.merging.Lock()
	defer x.merging.Unlock()
	for {
		x.mu.Lock()
		segments := slices.Clone(x.segments)
		x.mu.Unlock()
		symbols := make([]uint64, len(segments))
		for i, g := range segments {
			symbols[i] = uint64(len(g.text))
		}
		start, end := choose(symbols)
		if end-start < 2 {
			return nil
		}
		// Nobody else replaces segments, so they stay where they are while others are appended.
		if err := x.replace(ctx, segments[start:end], nil); err != nil {
			return err
		}
	}
}

const (
	// tierRatio is how many times as large as all segments behind it a segment is that is left alone.
	tierRatio = 4
	// tierSegments of like size are merged. With the ratio it bounds the number of segments by the logarithm of
	// the corpus, and how often a token is written again by the same.
	tierSegments = 4
)

// tier chooses the last segments when enough of them are of like size and one build can hold them.
func (x *Index) tier(symbols []uint64) (start, end int) {
	start, end = len(symbols), len(symbols)
	sum := uint64(0)
	for start > 0 && (start == end || symbols[start-1] <= tierRatio*sum) && sum+symbols[start-1] <= x.options.symbols() {
		start--
		sum += symbols[start]
	}
	if end-start < tierSegments {
		return 0, 0
	}
	return start, end
}

// Merge puts the segments together into as few as the limit of memory allows.
func (x *Index) Merge(ctx context.Context) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	err := x.change()
	if err == nil {
		err = x.mergeSome(ctx, x.neighbours)
	}
	if err != nil {
		return fmt.Errorf("merge segments of index in %s: %w", x.dir, err)
	}
	return nil
}

// neighbours chooses the first two or more segments in a row that one build can hold.
func (x *Index) neighbours(symbols []uint64) (start, end int) {
	for start := range symbols {
		sum, end := uint64(0), start
		for end < len(symbols) && sum+symbols[end] <= x.options.symbols() {
			sum += symbols[end]
			end++
		}
		if end-start >= 2 {
			return start, end
		}
	}
	return 0, 0
}

// Erase removes contributions and all that was derived from their text, all of them or, when it fails, none. It
// fails when an id is not there. The old files are removed as soon as the new ones stand; views that are open
// keep their content readable until they are closed.
func (x *Index) Erase(ctx context.Context, ids ...string) error {
	if err := x.erase(ctx, ids); err != nil {
		return fmt.Errorf("erase from index in %s: %w", x.dir, err)
	}
	return nil
}

func (x *Index) erase(ctx context.Context, ids []string) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	if err := x.change(); err != nil {
		return err
	}
	x.merging.Lock()
	defer x.merging.Unlock()
	gone := make(map[string]bool)
	for _, id := range ids {
		gone[id] = true
	}
	x.mu.Lock()
	segments := slices.Clone(x.segments)
	x.mu.Unlock()
	var affected []*mapped
	found := 0
	for _, g := range segments {
		before := found
		for _, c := range g.contributions {
			if gone[c.id] {
				found++
			}
		}
		if found > before {
			affected = append(affected, g)
		}
	}
	if found < len(gone) {
		return errors.New("a contribution to be erased is not in the index")
	}
	if found == 0 {
		return nil
	}
	return x.replace(ctx, affected, gone)
}

// replace puts in the place of segments what they hold but for some contributions: one segment for neighbours
// that are merged, when nothing is gone, else one for each.
func (x *Index) replace(ctx context.Context, old []*mapped, gone map[string]bool) (err error) {
	groups := [][]*mapped{old}
	if gone != nil {
		groups = slices.Collect(slices.Chunk(old, 1))
	}
	var saved []*mapped
	replacement := make(map[*mapped]*mapped) // of the first of each group; nil when nothing is left of it
	for _, group := range groups {
		var m *mapped
		if m, err = x.rewrite(ctx, group, gone); err != nil {
			return errors.Join(err, x.discard(saved))
		}
		replacement[group[0]] = m
		if m != nil {
			saved = append(saved, m)
		}
	}
	renew := func(segments []*mapped) []*mapped {
		var list []*mapped
		for _, g := range segments {
			switch m := replacement[g]; {
			case m != nil:
				list = append(list, m)
			case !slices.Contains(old, g):
				list = append(list, g)
			}
		}
		return list
	}
	// A merge keeps the distinct tokens. After an erasure they are counted again; nothing is appended meanwhile.
	count := func(d uint64) uint64 { return d }
	if gone != nil {
		x.mu.Lock()
		var left []*Segment
		for _, g := range renew(x.segments) {
			left = append(left, g.Segment)
		}
		x.mu.Unlock()
		d, err := distinct(ctx, left)
		if err != nil {
			return errors.Join(err, x.discard(saved))
		}
		count = func(uint64) uint64 { return d }
	}
	return x.commit(saved, renew, count)
}

// rewrite builds and saves one segment of what segments hold but for some contributions; nil when that is nothing.
func (x *Index) rewrite(ctx context.Context, segments []*mapped, gone map[string]bool) (*mapped, error) {
	var list []*Segment
	for _, g := range segments {
		list = append(list, g.Segment)
	}
	s, err := merged(ctx, list, gone)
	if err != nil {
		return nil, err
	}
	if len(s.contributions) == 0 {
		return nil, nil
	}
	g, err := s.build(func() error { return context.Cause(ctx) })
	if err != nil {
		return nil, err
	}
	return x.save(ctx, g)
}

// merged returns the stream that a build would have read from the contributions of segments, but for some.
func merged(ctx context.Context, segments []*Segment, gone map[string]bool) (*stream, error) {
	symbols := uint64(0)
	for _, g := range segments {
		symbols += uint64(len(g.text))
	}
	if symbols > maxSymbols {
		return nil, errors.New("a segment would have 2³¹ tokens and more")
	}
	s := newGathering(symbols)
	for _, g := range segments {
		for i, c := range g.contributions {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			if gone[c.id] {
				continue
			}
			if err := s.take(g, i); err != nil {
				return nil, err
			}
		}
		delete(s.ids, g)
	}
	return &s.stream, nil
}
