package corpus

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// A kind of corpus is the form in which it is kept.
type kind string

const (
	indexed  kind = "index"
	streamed kind = "stream"
)

const (
	aboutName  = "about.json" // written last: a folder without it is not whole
	streamName = "tokens"
	building   = ".building"
	// maxAbout bounds what is read of a description: 2 million contributions would fit.
	maxAbout = 1 << 29
	// giveUp is how long an erasure waits until a corpus that it took a contribution from is closed.
	giveUp = time.Minute
)

// about describes a folder.
type about struct {
	Kind          kind             `json:"kind"`
	Snapshots     []snapshot.Named `json:"snapshots"` // sorted, each once
	Contributions []Contribution   `json:"contributions"`
}

// Library keeps corpora. Those that are open and that nobody uses it closes, the longest unused first, when their files are
// too large together. It is safe for concurrent use, by one process at a time.
type Library struct {
	Options
	building chan struct{} // holds one: builds follow each other, since each may take much memory

	mu      sync.Mutex
	shelves map[string]*shelf // by folder
	uses    uint64            // counts what was asked for
	closed  bool
}

// shelf is one folder.
type shelf struct {
	mu     sync.Mutex // held while the folder is read or changed
	dir    string
	loaded bool
	about
	index  *index.Index
	engine *streaming.Engine
	open   *generation // while it is loaded
	right  Right       // by which it was asked for last
	mapped int64       // bytes of the index's files, while it is open
	used   uint64      // when it was asked for last, by the library's count; guarded by the library
}

// generation is a corpus between two changes: what its users are told when it ends, and what is waited for then.
type generation struct {
	mu        sync.Mutex
	users     int
	retired   bool
	file      *os.File // of a token stream; the last one closes it
	revisions []Revision
	stale     chan struct{} // closed when it is retired
	idle      chan struct{} // closed when it is retired and nobody uses it
}

func (g *generation) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users++
}

func (g *generation) leave() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users--
	return g.finish()
}

func (g *generation) unused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users == 0
}

func (g *generation) retire() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired = true
	close(g.stale)
	return g.finish()
}

func (g *generation) finish() error {
	if !g.retired || g.users > 0 {
		return nil
	}
	close(g.idle)
	if g.file != nil {
		return g.file.Close()
	}
	return nil
}

// wait waits until nobody has a retired corpus open.
func (g *generation) wait(ctx context.Context) error {
	if g == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, giveUp, errors.New("a corpus that held it is still in use"))
	defer cancel()
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// New opens a library. What builds have left that did not finish is removed.
func New(options Options) (*Library, error) {
	if err := os.MkdirAll(options.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of corpora: %w", err)
	}
	options.Mapped = cmp.Or(options.Mapped, DefaultMapped)
	l := &Library{Options: options, building: make(chan struct{}, 1), shelves: map[string]*shelf{}}
	entries, err := os.ReadDir(options.Folder)
	if err != nil {
		return nil, fmt.Errorf("read the folder of corpora: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(options.Folder, e.Name())
		_, err := os.Stat(filepath.Join(dir, aboutName))
		if strings.HasSuffix(e.Name(), building) || errors.Is(err, fs.ErrNotExist) {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("remove a corpus that is not whole: %w", err)
			}
		}
	}
	return l, nil
}

// Close closes all corpora. Views that are open remain usable until they are closed.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var faults []error
	for _, s := range l.shelves {
		s.mu.Lock()
		faults = append(faults, s.shut())
		s.mu.Unlock()
	}
	return errors.Join(faults...)
}

// Open gives the corpus of snapshots as an index, which is built first when it must be.
func (l *Library) Open(ctx context.Context, snapshots []snapshot.Named, right Right) (*Corpus, error) {
	return l.give(ctx, indexed, snapshots, right)
}

// Stream gives the corpus of snapshots as a token stream, which is made first when it must be.
func (l *Library) Stream(ctx context.Context, snapshots []snapshot.Named, right Right) (*Corpus, error) {
	return l.give(ctx, streamed, snapshots, right)
}

func (l *Library) give(ctx context.Context, k kind, snapshots []snapshot.Named, right Right) (*Corpus, error) {
	c, err := l.find(ctx, k, snapshots, right)
	if err != nil {
		return nil, err
	}
	release := c.release
	c.release = sync.OnceValue(func() error {
		defer l.makeRoom()
		return release()
	})
	l.makeRoom()
	return c, nil
}

// makeRoom closes corpora that nobody uses until the files of those that are open are small enough, if it can.
func (l *Library) makeRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var mapped int64
	var unused []*shelf
	for _, s := range l.shelves {
		if !s.mu.TryLock() { // somebody is at it
			continue
		}
		mapped += s.mapped
		if s.mapped > 0 && s.open.unused() {
			unused = append(unused, s)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(unused, func(a, b *shelf) int { return cmp.Compare(a.used, b.used) })
	for _, s := range unused {
		if mapped <= l.Mapped {
			return
		}
		if !s.mu.TryLock() {
			continue
		}
		if s.mapped > 0 && s.open.unused() {
			mapped -= s.mapped
			if err := s.shut(); err != nil {
				l.Log.Warn("a corpus that nobody uses does not close", "folder", s.dir, "error", err)
			}
		}
		s.mu.Unlock()
	}
}

func (l *Library) find(ctx context.Context, k kind, snapshots []snapshot.Named, right Right) (*Corpus, error) {
	s, err := l.shelf(k, snapshots)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for attempt := 1; ; attempt++ {
		found, err := l.survey(ctx, snapshots)
		if err == nil {
			err = l.allowed(ctx, s, right, contributors(found.registered))
		}
		if err == nil {
			s.right = right
			err = l.ensure(ctx, s, found, right)
		}
		if err == nil {
			return s.take(found)
		}
		// What the survey saw may be erased by the time it is read.
		if !errors.Is(err, content.ErrErased) || attempt == 3 {
			return nil, fmt.Errorf("open the corpus of %d snapshots: %w", len(snapshots), err)
		}
	}
}

// contributors are the organisations that contributed to datanets.
func contributors(list registered) (of map[string][]string) {
	of = map[string][]string{}
	for _, c := range list {
		of[c.Datanet] = append(of[c.Datanet], c.Contributor.MSP())
	}
	return of
}

// allowed looks whether there is still a right to what others have contributed, and removes the folder where there is none.
func (l *Library) allowed(ctx context.Context, s *shelf, right Right, contributors map[string][]string) error {
	for datanet, msps := range contributors {
		if !slices.ContainsFunc(msps, func(msp string) bool { return msp != l.Organisation }) {
			continue
		}
		_, err := right(ctx, datanet)
		if errors.Is(err, ErrNoRight) {
			s.Contributions = nil
			return errors.Join(fmt.Errorf("contributions of %s: %w", datanet, err), s.shut(), os.RemoveAll(s.dir))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shelf is the folder of snapshots in a form.
func (l *Library) shelf(k kind, snapshots []snapshot.Named) (*shelf, error) {
	if len(snapshots) == 0 {
		return nil, errors.New("open a corpus: of no snapshot")
	}
	of := slices.Clone(snapshots)
	slices.SortFunc(of, compareSnapshots)
	of = slices.Compact(of)
	document, err := ledger.Encode(about{Kind: k, Snapshots: of})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(document)
	dir := filepath.Join(l.Folder, hex.EncodeToString(sum[:16]))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("open a corpus: the library is closed")
	}
	s := l.shelves[dir]
	if s == nil {
		s = &shelf{dir: dir, about: about{Kind: k, Snapshots: of}}
		l.shelves[dir] = s
	}
	l.uses++
	s.used = l.uses
	return s, nil
}

// ensure has the corpus that the ledger knows in the folder, and open.
func (l *Library) ensure(ctx context.Context, s *shelf, found *survey, right Right) error {
	if err := s.load(); err != nil {
		l.Log.WarnContext(ctx, "a corpus cannot be read and is built again", "folder", s.dir, "error", err)
	}
	if s.loaded && s.holds(found.registered) {
		return nil
	}
	if err := l.obtain(ctx, found.registered, s.Contributions, right); err != nil {
		return err
	}
	select {
	case l.building <- struct{}{}:
		defer func() { <-l.building }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := l.build(ctx, s, found.registered); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir+building))
	}
	return s.load()
}

// holds tells whether the folder holds exactly these contributions, in this order.
func (s *shelf) holds(list registered) bool {
	return slices.EqualFunc(s.Contributions, list, func(a Contribution, b contribution.Contribution) bool {
		return a.name() == b.Name() && a.Account == b.Contributor && a.Commitment == b.Commitment
	})
}

// build makes the folder again beside the old one, and puts it in its place.
func (l *Library) build(ctx context.Context, s *shelf, list registered) error {
	dir := s.dir + building
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	made := about{Kind: s.Kind, Snapshots: s.Snapshots}
	var n uint64
	var err error
	if s.Kind == indexed {
		n, err = l.buildIndex(ctx, dir, list, &made.Contributions)
	} else {
		n, err = l.buildStream(ctx, dir, list, &made.Contributions)
	}
	if err != nil {
		return err
	}
	total := uint64(0)
	for _, c := range made.Contributions {
		total += c.Tokens
	}
	if total != n {
		return fmt.Errorf("the contents have %d tokens, the corpus %d", total, n)
	}
	document, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("describe a corpus: %w", err)
	}
	if err := write(filepath.Join(dir, aboutName), func(out io.Writer) error { _, err := out.Write(document); return err }); err != nil {
		return fmt.Errorf("describe a corpus: %w", err)
	}
	if err := errors.Join(s.shut(), os.RemoveAll(s.dir)); err != nil {
		return err
	}
	return os.Rename(dir, s.dir)
}

func (l *Library) buildIndex(ctx context.Context, dir string, list registered, built *[]Contribution) (tokens uint64, err error) {
	x, err := index.Build(ctx, dir, l.source(ctx, list, built), index.Options{Memory: l.Memory})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	view, err := x.View()
	if err != nil {
		return 0, err
	}
	tokens, _ = view.Size()
	return tokens, view.Close()
}

func (l *Library) buildStream(ctx context.Context, dir string, list registered, built *[]Contribution) (tokens uint64, err error) {
	path := filepath.Join(dir, streamName)
	err = write(path, func(out io.Writer) error { return l.stream(ctx, list, built, streaming.NewWriter(out)) })
	if err != nil {
		return 0, err
	}
	file, engine, err := openStream(path)
	if err != nil {
		return 0, err
	}
	tokens, _ = engine.Size()
	return tokens, file.Close()
}

// write makes a file that is durable once it returns.
func write(path string, fill func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fill(file), file.Sync(), file.Close())
}

func openStream(path string) (*os.File, *streaming.Engine, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	engine, err := streaming.Open(file, info.Size())
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, engine, nil
}

// load opens the folder, if there is one.
func (s *shelf) load() (err error) {
	if s.loaded {
		return nil
	}
	found, err := readAbout(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Kind != s.Kind || !slices.Equal(found.Snapshots, s.Snapshots) {
		return errors.New("it is another corpus")
	}
	open := &generation{stale: make(chan struct{}), idle: make(chan struct{})}
	if s.Kind == indexed {
		s.index, err = index.Open(s.dir, index.Options{})
	} else {
		open.file, s.engine, err = openStream(filepath.Join(s.dir, streamName))
	}
	if err != nil {
		return err
	}
	s.about, s.loaded, s.open = found, true, open
	if s.index != nil {
		s.mapped = s.index.Bytes()
	}
	if !s.complete() {
		s.Contributions = nil // an erasure broke off: it is built again
		return errors.Join(errors.New("it holds other contributions than its description says"), s.shut())
	}
	return nil
}

// complete tells whether the index holds what the description says.
func (s *shelf) complete() bool {
	if s.Kind == streamed {
		return true
	}
	view, err := s.index.View()
	if err != nil {
		return false
	}
	same := view.Contributions() == len(s.Contributions)
	for i := 0; same && i < len(s.Contributions); i++ {
		id, account := view.Contribution(i)
		same = id == s.Contributions[i].inCorpus() && account == string(s.Contributions[i].Account)
	}
	return view.Close() == nil && same
}

func readAbout(dir string) (found about, err error) {
	file, err := os.Open(filepath.Join(dir, aboutName))
	if err != nil {
		return found, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAbout+1))
	if err == nil && len(text) > maxAbout {
		err = fmt.Errorf("its description is larger than %d bytes", maxAbout)
	}
	if err == nil {
		err = json.Unmarshal(text, &found, json.RejectUnknownMembers(true))
	}
	return found, err
}

// shut closes the folder's files and tells its users, who go on with what they have open.
func (s *shelf) shut() (err error) {
	if !s.loaded {
		return nil
	}
	if s.index != nil {
		err = s.index.Close()
	}
	err = errors.Join(err, s.open.retire())
	s.index, s.engine, s.open, s.loaded, s.mapped = nil, nil, nil, false, 0
	return err
}

// take gives the open folder to one more user. Those who have it on older revisions are told.
func (s *shelf) take(found *survey) (*Corpus, error) {
	switch {
	case s.open.revisions == nil:
		s.open.revisions = found.revisions
	case !slices.Equal(sorted(s.open.revisions), sorted(found.revisions)):
		if err := errors.Join(s.shut(), s.load()); err != nil {
			return nil, err
		}
		s.open.revisions = found.revisions
	}
	c := &Corpus{Revisions: found.revisions, Destroyed: found.destroyed, Contributions: slices.Clone(s.Contributions), stale: s.open.stale}
	if s.Kind == indexed {
		view, err := s.index.View()
		if err != nil {
			return nil, err
		}
		c.View = view
		c.N, c.V = view.Size()
	} else {
		c.Engine = s.engine
		c.N, c.V = s.engine.Size()
	}
	open := s.open
	open.enter()
	c.release = sync.OnceValue(func() (err error) {
		if c.View != nil {
			err = c.View.Close()
		}
		return errors.Join(err, open.leave())
	})
	return c, nil
}

// sorted puts revisions in the order of shelves.
func sorted(list []Revision) []Revision {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Revision) int { return compareSnapshots(a.Named, b.Named) })
	return slices.Compact(list)
}

func compareSnapshots(a, b snapshot.Named) int {
	return cmp.Or(cmp.Compare(a.Datanet, b.Datanet), cmp.Compare(a.Number, b.Number))
}

// Erase takes a contribution out of every corpus and destroys what was derived from its text. It returns once nothing is
// left of it, also in what others had open, and may be repeated after a failure. The content store forgets it first: then
// no build brings it back.
func (l *Library) Erase(ctx context.Context, n contribution.Named) error {
	shelves, err := l.all()
	if err != nil {
		return fmt.Errorf("erase contribution %s from the corpora: %w", n.ID, err)
	}
	var faults []error
	var before []*generation
	for _, s := range shelves {
		open, err := s.erase(ctx, n)
		before, faults = append(before, open), append(faults, err)
	}
	for _, open := range before {
		faults = append(faults, open.wait(ctx))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("erase contribution %s from the corpora: %w", n.ID, err)
	}
	return nil
}

// all are the shelves of all folders. A folder that cannot be read is removed.
func (l *Library) all() ([]*shelf, error) {
	entries, err := os.ReadDir(l.Folder)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		dir := filepath.Join(l.Folder, e.Name())
		if l.shelves[dir] != nil || strings.HasSuffix(e.Name(), building) { // a shelf is locked by who builds it
			continue
		}
		found, err := readAbout(dir)
		if err != nil {
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
			continue
		}
		l.shelves[dir] = &shelf{dir: dir, about: about{Kind: found.Kind, Snapshots: found.Snapshots}}
	}
	return slices.Collect(maps.Values(l.shelves)), nil
}

// erase takes a contribution out of the folder. What was open before ends; it is returned, nil when nothing was.
func (s *shelf) erase(ctx context.Context, n contribution.Named) (before *generation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return s.open, errors.Join(s.shut(), os.RemoveAll(s.dir))
	}
	i := slices.IndexFunc(s.Contributions, func(c Contribution) bool { return c.name() == n })
	if !s.loaded || i < 0 {
		return nil, nil
	}
	before = s.open
	left := about{Kind: s.Kind, Snapshots: s.Snapshots, Contributions: slices.Delete(slices.Clone(s.Contributions), i, i+1)}
	// Of two with the same id, the one that is left has another id in the corpus then.
	if s.Kind == streamed || len(left.Contributions) == 0 || s.Contributions[i].As != "" {
		s.Contributions = nil
		return before, errors.Join(s.shut(), os.RemoveAll(s.dir))
	}
	if err := s.index.Erase(ctx, n.ID); err != nil {
		return before, err
	}
	if err := s.describe(left); err != nil {
		return before, err
	}
	return before, s.shut()
}

// describe replaces the folder's description.
func (s *shelf) describe(a about) error {
	document, err := json.Marshal(a)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, aboutName)
	if err := os.Remove(path + building); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(path+building, func(out io.Writer) error { _, err := out.Write(document); return err }); err != nil {
		return err
	}
	s.about = a
	return os.Rename(path+building, path)
}

// Check looks which snapshots have been revised, and which rights have ended, and tells those who have a corpus of them
// open. It is to be called when the index tells of a change of snapshots or grants, and now and then, as grants expire.
func (l *Library) Check(ctx context.Context) error {
	l.mu.Lock()
	shelves := slices.Collect(maps.Values(l.shelves))
	l.mu.Unlock()
	var faults []error
	for _, s := range shelves {
		faults = append(faults, l.check(ctx, s))
	}
	return errors.Join(faults...)
}

func (l *Library) check(ctx context.Context, s *shelf) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.right == nil {
		return nil // nobody has asked for it yet
	}
	var revisions []Revision
	if s.loaded {
		revisions = s.open.revisions
	}
	for _, r := range revisions {
		latest, err := query.Ask[snapshot.Snapshot](ctx, l.Ledger, "snapshot:Get", r.Named)
		if err != nil {
			return fmt.Errorf("look for revisions of snapshot %d of %s: %w", r.Number, r.Datanet, err)
		}
		if latest.Root != r.Root {
			return s.shut()
		}
	}
	of := map[string][]string{}
	for _, c := range s.Contributions {
		of[c.Datanet] = append(of[c.Datanet], c.Account.MSP())
	}
	err := l.allowed(ctx, s, s.right, of)
	if errors.Is(err, ErrNoRight) {
		l.Log.WarnContext(ctx, "a corpus is removed", "folder", s.dir, "reason", err)
		return nil
	}
	return err
}
