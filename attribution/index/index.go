package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gofrs/flock"
)

// An Index is a corpus in a folder of files, which are mapped into memory. It may be used concurrently.
//
// The files hold the text of the contributions; the folder and they are for their owner alone. They must not be
// changed by others while they are open: on most systems, reading a mapped file that was cut short ends the
// program. One process at a time may change an index; others may have it open and see it as it was when they
// opened it.
type Index struct {
	dir     string
	options Options

	mu       sync.Mutex // guards what follows
	manifest manifest
	segments []*mapped
	closed   bool

	changing sync.Mutex // held while contributions are added or erased
	merging  sync.Mutex // held while segments are replaced by others with the same contributions, or fewer
	lock     *flock.Flock
	background
}

// mapped is a segment in a file.
type mapped struct {
	*Segment
	file  segmentFile
	unmap func() error
	users int // the index itself, while the segment is part of it, and views
}

// Build makes the index of a source in a folder and opens it. What the folder held is replaced once the new
// index stands, or not at all; so this is also how a damaged index is built again.
func Build(ctx context.Context, dir string, source Source, options Options) (*Index, error) {
	x, err := prepare(dir, options, func(x *Index) error { return x.extend(ctx, source) })
	if err != nil {
		return nil, fmt.Errorf("build index in %s: %w", dir, err)
	}
	return x, nil
}

// prepare makes a new index in a folder in the place of what it held.
func prepare(dir string, options Options, fill func(*Index) error) (*Index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	x := newIndex(dir, options)
	if err := x.own(); err != nil {
		return nil, err
	}
	// The names of new files must differ from those of files that other processes may have open.
	before, err := readManifest(dir)
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, x.Close())
	}
	x.manifest = manifest{Generation: before.Generation, Next: before.Next}
	if errors.Is(err, ErrDamaged) {
		x.manifest.Next, err = unusedNumber(dir)
	} else {
		err = nil
	}
	if err == nil {
		err = fill(x)
	}
	if err == nil {
		err = x.manifest.clean(dir)
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	x.start()
	return x, nil
}

// Open opens the index in a folder. It fails with ErrDamaged when a file there is not as it was written or is of
// another version, and with fs.ErrNotExist when there is no index.
func Open(dir string, options Options) (*Index, error) {
	x := newIndex(dir, options)
	for attempt := 1; ; attempt++ {
		err := x.load()
		if err == nil {
			x.start()
			return x, nil
		}
		// Another process may replace segments between the reading of the manifest and the opening of files.
		if !errors.Is(err, errGone) || attempt == 5 {
			return nil, fmt.Errorf("open index in %s: %w", dir, err)
		}
	}
}

func newIndex(dir string, options Options) *Index {
	return &Index{dir: dir, options: options, lock: flock.New(filepath.Join(dir, "lock"))}
}

var errGone = errors.New("a file that the manifest names is not there")

func (x *Index) load() error {
	m, err := readManifest(x.dir)
	if err != nil {
		return err
	}
	var segments []*mapped
	for _, f := range m.Segments {
		g, err := x.open(f, decode)
		if err != nil {
			for _, g := range segments {
				err = errors.Join(err, g.unmap())
			}
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		segments = append(segments, g)
	}
	x.manifest, x.segments = m, segments
	return nil
}

// open maps a segment's file.
func (x *Index) open(f segmentFile, decode func([]byte) (*Segment, error)) (*mapped, error) {
	file, err := os.Open(filepath.Join(x.dir, f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w: %w", ErrDamaged, errGone, err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != f.Size || int64(int(f.Size)) != f.Size {
		return nil, damaged("the file has %d bytes, not %d", info.Size(), f.Size)
	}
	b, unmap, err := mapFile(file, int(f.Size))
	if err != nil {
		return nil, err
	}
	g, err := decode(b)
	if err == nil && headerSum(b) != f.Header {
		err = damaged("it is another file than the manifest means")
	}
	if err != nil {
		return nil, errors.Join(err, unmap())
	}
	return &mapped{Segment: g, file: f, unmap: unmap, users: 1}, nil
}

func headerSum(file []byte) uint32 { return binary.LittleEndian.Uint32(file[headerSums+4:]) }

// own makes this process the one that may change the index.
func (x *Index) own() error {
	if x.lock.Locked() {
		return nil
	}
	ok, err := x.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the index: %w", err)
	}
	if !ok {
		return errors.New("another process is changing the index; wait for it or stop it")
	}
	return nil
}

// change makes this process the owner and checks that the index is still the one that was opened.
func (x *Index) change() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errors.New("the index is closed")
	}
	if x.lock.Locked() {
		return nil
	}
	if err := x.own(); err != nil {
		return err
	}
	m, err := readManifest(x.dir)
	if err == nil && m.Generation != x.manifest.Generation {
		err = errors.New("another process has changed the index; open it again")
	}
	if err == nil {
		err = m.clean(x.dir)
	}
	if err != nil {
		return errors.Join(err, x.lock.Unlock())
	}
	return nil
}

// View returns the corpus as it is now. It stays as it is until it is closed, whatever is appended or merged.
func (x *Index) View() (*View, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, fmt.Errorf("view index in %s: it is closed", x.dir)
	}
	segments := slices.Clone(x.segments)
	plain := make([]*Segment, len(segments))
	for i, g := range segments {
		g.users++
		plain[i] = g.Segment
	}
	v := newView(plain, x.manifest.Distinct)
	v.release = sync.OnceValue(func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		return leave(segments)
	})
	return v, nil
}

// leave gives up one use of each segment; who leaves last unmaps it.
func leave(segments []*mapped) error {
	var errs []error
	for _, g := range segments {
		if g.users--; g.users == 0 {
			errs = append(errs, g.unmap())
		}
	}
	return errors.Join(errs...)
}

// Bytes is the size of the index's files, which is what they take of memory when all of them is read.
func (x *Index) Bytes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	total := int64(0)
	for _, g := range x.segments {
		total += g.file.Size
	}
	return total
}

// Close ends a merge that is running and closes the index. Views remain usable until they are closed.
func (x *Index) Close() error {
	x.stop()
	x.changing.Lock()
	defer x.changing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	err := leave(x.segments)
	x.segments = nil
	if x.lock.Locked() {
		err = errors.Join(err, x.lock.Unlock())
	}
	return err
}

// Append adds contributions behind those that are there, all of them or, when it fails, none. It fails when an id
// stands there already. Segments are merged in the background afterwards.
func (x *Index) Append(ctx context.Context, source Source) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	if err := x.change(); err != nil {
		return fmt.Errorf("append to index in %s: %w", x.dir, err)
	}
	if err := x.extend(ctx, source); err != nil {
		return fmt.Errorf("append to index in %s: %w", x.dir, err)
	}
	x.mergeSoon()
	return nil
}

// extend builds a source into segments and adds them.
func (x *Index) extend(ctx context.Context, source Source) error {
	x.mu.Lock()
	known := make(names)
	for _, g := range x.segments {
		for _, c := range g.contributions {
			known[c.id] = true
		}
	}
	x.mu.Unlock()
	return x.grow(ctx, func(add func(*Segment) error) error {
		return eachSegment(ctx, source, x.options, known, Writing, add)
	})
}

// grow adds the segments that each calls add with, all of them or, when something fails, none.
func (x *Index) grow(ctx context.Context, each func(add func(*Segment) error) error) (err error) {
	view, err := x.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	var added []*mapped
	all := slices.Clone(view.segments)
	err = each(func(g *Segment) error {
		m, err := x.save(ctx, g)
		if err == nil {
			added = append(added, m)
			all = append(all, m.Segment)
		}
		return err
	})
	fresh := uint64(0)
	for i := len(view.segments); err == nil && i < len(all); i++ {
		var n uint64
		n, err = unseen(ctx, all[i], all[:i])
		fresh += n
	}
	if err == nil {
		return x.commit(added, func(segments []*mapped) []*mapped { return append(segments, added...) }, func(d uint64) uint64 { return d + fresh })
	}
	return errors.Join(err, x.discard(added))
}

// save writes a segment to a new file and maps it.
func (x *Index) save(ctx context.Context, g *Segment) (*mapped, error) {
	x.mu.Lock()
	f := segmentFile{Name: fmt.Sprintf("%08d.segment", x.manifest.Next)}
	x.manifest.Next++
	x.mu.Unlock()
	path := filepath.Join(x.dir, f.Name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write segment: %w", err)
	}
	f.Size, f.Header, err = g.write(ctx, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write segment: %w", errors.Join(err, os.Remove(path)))
	}
	m, err := x.open(f, decodeWritten)
	if err != nil {
		return nil, fmt.Errorf("read segment back: %w", errors.Join(err, os.Remove(path)))
	}
	return m, nil
}

// commit replaces the list of segments, first on disk, and discards those that were added when it cannot. Segments
// that fall out are unmapped when nobody reads them any more; their files go at once.
func (x *Index) commit(added []*mapped, segments func([]*mapped) []*mapped, distinct func(uint64) uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := segments(slices.Clone(x.segments))
	m := manifest{Generation: x.manifest.Generation + 1, Distinct: distinct(x.manifest.Distinct), Next: x.manifest.Next}
	for _, g := range list {
		m.Segments = append(m.Segments, g.file)
	}
	err := syncFolder(x.dir) // the names of the new files
	if err == nil {
		err = m.write(x.dir)
	}
	if err != nil {
		return errors.Join(err, x.discard(added))
	}
	var gone []*mapped
	for _, g := range x.segments {
		if !slices.Contains(list, g) {
			gone = append(gone, g)
		}
	}
	x.manifest, x.segments = m, list
	// The index has changed; what fails from here on is reported but not undone.
	err = errors.Join(syncFolder(x.dir), leave(gone))
	for _, g := range gone {
		err = errors.Join(err, os.Remove(filepath.Join(x.dir, g.file.Name)))
	}
	return err
}

// discard removes segments that did not become part of the index.
func (x *Index) discard(segments []*mapped) error {
	var errs []error
	for _, g := range segments {
		errs = append(errs, g.unmap(), os.Remove(filepath.Join(x.dir, g.file.Name)))
	}
	return errors.Join(errs...)
}
