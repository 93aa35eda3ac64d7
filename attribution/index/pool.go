package index

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// A Pool keeps indexes of many folders open for reading within a limit of memory. An index is opened when it is
// first asked for; the one that nobody has used for the longest time is closed when another needs the room.
type Pool struct {
	limit int64

	mu      sync.Mutex
	open    map[string]*pooled
	bytes   int64         // of what is open
	clock   uint64        // counts uses
	changed chan struct{} // closed when an index is given back or closed
	closed  bool
}

type pooled struct {
	dir        string
	generation uint64
	bytes      int64
	users      int
	used       uint64 // when, by the pool's clock
	stale      bool   // replaced; to be closed when nobody uses it any more

	ready chan struct{} // closed when index and err are set
	index *Index
	err   error
}

// NewPool returns a pool that maps at most limit bytes of index files at a time, or a single larger index.
func NewPool(limit int64) *Pool {
	return &Pool{limit: limit, open: make(map[string]*pooled), changed: make(chan struct{})}
}

// View returns the corpus of the index in a folder as it stands there now. The caller closes it. View waits while
// views that are in use leave no room; who holds several at a time has to leave room for them. It fails as Open
// does and with the cause of ctx when that ends.
func (p *Pool) View(ctx context.Context, dir string) (*View, error) {
	dir = filepath.Clean(dir)
	entry, err := p.take(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("open index in %s: %w", dir, err)
	}
	<-entry.ready
	if entry.err != nil {
		return nil, errors.Join(entry.err, p.giveBack(entry))
	}
	view, err := entry.index.View()
	if err != nil {
		return nil, errors.Join(err, p.giveBack(entry))
	}
	release := view.release
	view.release = sync.OnceValue(func() error { return errors.Join(release(), p.giveBack(entry)) })
	return view, nil
}

// take returns the entry of a folder with one more user, and opens the index when it must.
func (p *Pool) take(ctx context.Context, dir string) (*pooled, error) {
	for {
		m, err := readManifest(dir)
		if err != nil {
			return nil, err
		}
		need := int64(0)
		for _, s := range m.Segments {
			need += s.Size
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errors.New("the pool is closed")
		}
		p.clock++
		if entry := p.open[dir]; entry != nil {
			if entry.generation == m.Generation {
				entry.users++
				entry.used = p.clock
				p.mu.Unlock()
				return entry, nil
			}
			delete(p.open, dir)
			entry.stale = true
			if err := p.closeIdle(entry); err != nil {
				p.mu.Unlock()
				return nil, err
			}
		}
		if err := p.makeRoom(need); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		if p.bytes == 0 || p.bytes+need <= p.limit {
			entry := &pooled{dir: dir, generation: m.Generation, bytes: need, users: 1, used: p.clock, ready: make(chan struct{})}
			p.open[dir] = entry
			p.bytes += need
			p.mu.Unlock()
			p.load(entry)
			return entry, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for room in memory: %w", context.Cause(ctx))
		}
	}
}

// load opens an entry's index for all who wait for it. One that fails is forgotten.
func (p *Pool) load(entry *pooled) {
	entry.index, entry.err = Open(entry.dir, Options{})
	if entry.err != nil {
		p.mu.Lock()
		entry.stale = true
		if p.open[entry.dir] == entry {
			delete(p.open, entry.dir)
		}
		p.mu.Unlock()
	}
	close(entry.ready)
}

// makeRoom closes indexes that nobody uses, the longest unused first, until there are need bytes, if it can.
func (p *Pool) makeRoom(need int64) error {
	for p.bytes > 0 && p.bytes+need > p.limit {
		var oldest *pooled
		for _, entry := range p.open {
			if entry.users == 0 && (oldest == nil || entry.used < oldest.used) {
				oldest = entry
			}
		}
		if oldest == nil {
			return nil
		}
		delete(p.open, oldest.dir)
		oldest.stale = true
		if err := p.closeIdle(oldest); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) giveBack(entry *pooled) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry.users--
	close(p.changed)
	p.changed = make(chan struct{})
	return p.closeIdle(entry)
}

// closeIdle closes an entry that is no longer part of the pool and that nobody uses.
func (p *Pool) closeIdle(entry *pooled) error {
	if !entry.stale || entry.users > 0 {
		return nil
	}
	p.bytes -= entry.bytes
	if entry.index == nil {
		return nil
	}
	return entry.index.Close()
}

// Close closes all indexes; those in use when they are given back.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for dir, entry := range p.open {
		delete(p.open, dir)
		entry.stale = true
		errs = append(errs, p.closeIdle(entry))
	}
	return errors.Join(errs...)
}
