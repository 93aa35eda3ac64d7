package index

import (
	"context"
)

// Options are the settings of a build. The zero value is fit for use.
type Options struct {
	// Memory is how much memory a build or a merge may take, in bytes, DefaultMemory when 0. A corpus for which
	// it does not suffice becomes several segments. A single contribution that is too large for it is built
	// all the same, since no segment ends within one.
	Memory int64
	// MergeFailed is called when a merge in the background fails. The index goes on with the segments it has, and
	// the merge is tried again after the next change.
	MergeFailed func(error)
	// Progress is called from time to time during a build, by one goroutine at a time.
	Progress func(Progress)
}

// DefaultMemory suffices to build about 90 million tokens, some 400 MB of text, in one segment.
const DefaultMemory = 2 << 30

// Progress tells how far a build is.
type Progress struct {
	// Phase is what is being done.
	Phase Phase
	// Bytes and Records count what has been read from the source.
	Bytes, Records int64
	// Tokens counts what has been built into segments.
	Tokens int64
}

// A Phase is a part of a build.
type Phase string

const (
	// Reading is cutting the source into tokens.
	Reading Phase = "read"
	// Sorting is building a segment from them.
	Sorting Phase = "sort"
	// Writing is putting a segment on disk.
	Writing Phase = "write"
)

// bytesPerSymbol is what a build takes at its peak for each token, its dictionary included.
const bytesPerSymbol = 24

func (o Options) symbols() uint64 {
	memory := o.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	return min(max(1, uint64(memory)/bytesPerSymbol), maxSymbols)
}

// maxSymbols is what a segment has at most, separators included, so that positions fit in 31 bits.
const maxSymbols = 1<<31 - 1

// InMemory builds a corpus without files. It fails when a name breaks the rules or a contribution stands in the
// source twice, with what the source fails with, and with the cause of ctx when that ends.
func InMemory(ctx context.Context, source Source, options Options) (*View, error) {
	var segments []*Segment
	err := eachSegment(ctx, source, options, make(names), Reading, func(g *Segment) error {
		segments = append(segments, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	count, err := distinct(ctx, segments)
	if err != nil {
		return nil, err
	}
	return newView(segments, count), nil
}

// eachSegment builds segments from a source and calls add with each, which is the given phase.
func eachSegment(ctx context.Context, source Source, options Options, known names, phase Phase, add func(*Segment) error) error {
	next, stop := pull(source)
	defer stop()
	r := reader{ctx: ctx, next: next, limit: options.symbols(), progress: options.Progress, names: known}
	for {
		s, err := r.read()
		if err != nil || s == nil {
			return err
		}
		tokens := int64(len(s.text) - len(s.records))
		r.enter(Sorting)
		g, err := s.build(func() error { return context.Cause(ctx) })
		if err != nil {
			return err
		}
		r.position.Tokens += tokens
		r.enter(phase)
		if err := add(g); err != nil {
			return err
		}
		r.enter(Reading)
	}
}
