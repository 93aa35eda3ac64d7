package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

const (
	// rereadEvery is how often contents are read again whose time has come, rereadTogether how many then: so a store that
	// was filled in a day is not read in one.
	rereadEvery    = 10 * time.Second
	rereadTogether = 16
	// manyLost bounds how many lost contents are told one by one.
	manyLost = 1000
)

// recovery finds what of the content store is lost, and gets back what own contributors gave. A replica that is lost is
// what its keeper lacks, and fetched as that.
type recovery struct {
	server   *Server
	keeper   *exchange.Keeper
	replicas *replicas
	asked    chan look

	all bool // everything has to be looked through
	later

	mutex    sync.Mutex // guards what follows
	missing  []exchange.Missing
	unread   map[string]rest.UnreadContent // by the content's id in the store
	looked   time.Time
	returned int
}

// look is a request to look through everything.
type look struct {
	read bool
	done chan<- error
}

func (s *Server) newRecovery(r *replicas) *recovery {
	return &recovery{server: s, keeper: s.keeper(), replicas: r, asked: make(chan look), all: true, unread: map[string]rest.UnreadContent{}}
}

// run works until the context ends.
func (r *recovery) run(ctx context.Context) {
	ticker := time.NewTicker(rereadEvery)
	defer ticker.Stop()
	for err := r.due(ctx, time.Now()); ; {
		if err != nil && ctx.Err() == nil {
			r.server.log.Error("look after contents", "error", err)
		}
		select {
		case id := <-r.keeper.Store.Suspects():
			err = r.check(ctx, id)
		case <-ticker.C:
			err = errors.Join(r.reread(ctx), r.due(ctx, time.Now()))
		case l := <-r.asked:
			err = r.look(ctx, l.read)
			l.done <- err
		case <-ctx.Done():
			return
		}
	}
}

// due does what is to be done by now: the first look, and after one that failed the next, or asking for what is missing.
func (r *recovery) due(ctx context.Context, now time.Time) error {
	if now.Before(r.next) {
		return nil
	}
	if r.all {
		return r.look(ctx, false)
	}
	return r.getBack(ctx, r.names())
}

func (r *recovery) names() (names []contribution.Named) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, m := range r.missing {
		names = append(names, m.Name())
	}
	return names
}

// look looks through everything that the ledger and the store know of.
func (r *recovery) look(ctx context.Context, read bool) (err error) {
	defer func() {
		if r.all = err != nil; r.all {
			r.postpone(time.Now())
		}
	}()
	if err := r.checkAll(ctx, read); err != nil {
		return err
	}
	height, err := r.server.self.Height(ctx)
	if err != nil {
		return err
	}
	if err := r.server.index.WaitHeight(ctx, height); err != nil { // which is filled anew after the loss of a disk
		return err
	}
	lost, err := r.keeper.Lost(ctx)
	if err == nil {
		err = r.getBack(ctx, lost)
	}
	if err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.looked, r.returned = time.Now().UTC(), len(lost)-len(r.missing)
	return nil
}

func (r *recovery) checkAll(ctx context.Context, read bool) error {
	for after := ""; ; {
		page, err := r.keeper.Store.List(ctx, content.Held{After: after, Limit: 1000})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, info := range page {
			after = info.ID
			if _, err := r.checked(ctx, info.ID, read); err != nil {
				return err
			}
		}
	}
}

// checked checks a content, and has a replica that is lost fetched again by who keeps it.
func (r *recovery) checked(ctx context.Context, id string, read bool) (content.Info, error) {
	info, err := r.keeper.Store.Check(ctx, id, read)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrErased) { // meanwhile
		r.read(id)
		return content.Info{}, nil
	}
	if errors.Is(err, content.ErrUnreadable) {
		r.unreadable(info, err)
		return info, nil
	}
	if err != nil {
		return info, fmt.Errorf("check content %s: %w", id, err)
	}
	r.read(id)
	if info.State == content.Lost {
		r.server.log.Warn("a content is lost", "datanet", info.Place.Datanet, "contribution", info.Place.ID, "content", id, "replica", info.Replica)
		if info.Replica {
			select {
			case r.replicas.lost <- struct{}{}:
			default:
			}
		}
	}
	return info, nil
}

// unreadable notes a content that cannot be read, and logs it once.
func (r *recovery) unreadable(info content.Info, why error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, noted := r.unread[info.ID]; !noted {
		r.server.log.Error("a content cannot be read", "datanet", info.Place.Datanet, "contribution", info.Place.ID, "content", info.ID, "error", why)
	}
	r.unread[info.ID] = rest.UnreadContent{Content: info.ID, Datanet: info.Place.Datanet, ID: info.Place.ID, Why: why.Error()}
}

// read notes that a content can be read, or is not there to be read.
func (r *recovery) read(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.unread, id)
}

// check reads a content, and gets it back if it is lost.
func (r *recovery) check(ctx context.Context, id string) error {
	info, err := r.checked(ctx, id, true)
	if err != nil || info.State != content.Lost || info.Replica || info.Place == (contribution.Named{}) {
		return err
	}
	return r.getBack(ctx, append(r.names(), info.Place))
}

// reread reads contents whose time has come, and again those that could not be read.
func (r *recovery) reread(ctx context.Context) error {
	r.mutex.Lock()
	waiting := len(r.unread)
	r.mutex.Unlock()
	ids, err := r.keeper.Store.Unverified(ctx, time.Now().Add(-r.server.config.Content.Reread), waiting+rereadTogether)
	for _, id := range ids {
		if err == nil {
			err = r.check(ctx, id)
		}
	}
	return err
}

// getBack fetches what is lost, and notes what could not be had.
func (r *recovery) getBack(ctx context.Context, names []contribution.Named) error {
	missing, err := r.keeper.Return(ctx, names)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		r.done()
	} else {
		r.postpone(time.Now())
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.missing = missing
	return nil
}

// Lost is what the last look found, less what has come back since.
func (r *recovery) Lost() rest.Lost {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	l := rest.Lost{Looked: r.looked, Returned: r.returned, Count: len(r.missing), Items: []rest.LostContent{}, Unreadable: len(r.unread), Unread: []rest.UnreadContent{}}
	for _, id := range slices.Sorted(maps.Keys(r.unread)) {
		if len(l.Unread) < manyLost {
			l.Unread = append(l.Unread, r.unread[id])
		}
	}
	for _, m := range r.missing[:min(len(r.missing), manyLost)] {
		l.Items = append(l.Items, rest.LostContent{Datanet: m.Datanet, ID: m.ID, Contributor: m.Contributor, State: m.State, Why: m.Why})
	}
	return l
}

// Recover has the worker look through everything. The look goes on when the context ends.
func (r *recovery) Recover(ctx context.Context, read bool) (rest.Lost, error) {
	done := make(chan error, 1)
	select {
	case r.asked <- look{read, done}:
	case <-ctx.Done():
		return rest.Lost{}, ctx.Err()
	}
	select {
	case err := <-done:
		return r.Lost(), err
	case <-ctx.Done():
		return rest.Lost{}, ctx.Err()
	}
}

// Return has one content fetched that may be lost.
func (r *recovery) Return(ctx context.Context, n contribution.Named) error {
	missing, err := r.keeper.Return(ctx, []contribution.Named{n})
	if err == nil && len(missing) > 0 {
		err = errors.New(missing[0].Why)
	}
	if err == nil {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.missing = slices.DeleteFunc(slices.Clone(r.missing), func(m exchange.Missing) bool { return m.Name() == n })
	}
	return err
}
