package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
	"github.com/datanet-consortium/datanet/gateway/review"
)

const (
	// eraseEvery is how often erasures that are due are looked for, cleanEvery how often what nobody goes on with is.
	eraseEvery = 30 * time.Second
	cleanEvery = time.Hour
	// unused is how long an upload may rest before it is removed.
	unused = 7 * 24 * time.Hour
	// headersTimeout bounds how long another gateway may take to answer: it records releases on the ledger meanwhile.
	headersTimeout = 90 * time.Second
	dialTimeout    = 10 * time.Second
	// serviceAttempts bounds how often a transaction of the gateway's own is tried, servicePause the wait before the next
	// one times its number.
	serviceAttempts = 8
	servicePause    = 50 * time.Millisecond
)

// library is the content store, and what hands contents to and from other members.
type library struct {
	store    *content.Store
	reviews  *review.Reviewer
	client   *exchange.Client
	service  exchange.Service
	erasures content.Erasures // the service, once the corpora have let go
	registry registry
	handover http.Handler
	log      *slog.Logger
}

// openStore opens the content store. Its master key is made when there is none and make says so.
func (s *Server) openStore(ctx context.Context, make bool) (*content.Store, error) {
	address := s.config.Content.Bucket
	if address == "" {
		folder, err := filepath.Abs(filepath.Join(s.config.Folder, "content"))
		if err != nil {
			return nil, fmt.Errorf("find the folder of contents: %w", err)
		}
		address = (&url.URL{Scheme: "file", Path: filepath.ToSlash(folder)}).String()
	}
	bucket, err := content.OpenBucket(ctx, address)
	if err != nil {
		return nil, err
	}
	s.closeLater(bucket.Close)
	keys, err := content.OpenMasterKeys(s.config.Content.MasterKey)
	if make && errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a master key is made: keep a copy of its file apart from backups", "file", s.config.Content.MasterKey)
		keys, err = content.CreateMasterKeys(s.config.Content.MasterKey)
	}
	if err != nil {
		return nil, err
	}
	return content.New(ctx, s.state, bucket, keys, content.Options{Organisation: s.config.Organisation, Quota: s.config.Content.Quota})
}

func (s *Server) openContent(ctx context.Context) (err error) {
	l := &library{log: s.log, registry: registry{query.New(s.index, s.config.Channel, s.config.Organisation)}, service: exchange.Service{MSP: s.config.Organisation, Functions: functions{s}}}
	if l.store, err = s.openStore(ctx, true); err != nil {
		return err
	}
	if l.reviews, err = review.New(l.store); err != nil {
		return err
	}
	l.client = exchange.NewClient(s.others, s.others.addresses)
	if l.handover, err = exchange.Handler(ctx, s.state, l.store, l.service, s.otherGateway, s.log); err != nil {
		return err
	}
	s.content = l
	s.replicas = s.newReplicas()
	s.recovery = s.newRecovery(s.replicas)
	return nil
}

// otherGateway tells of which member's gateway a request comes.
func (s *Server) otherGateway(r *http.Request) (string, bool) {
	principal, err := s.authenticate(r)
	return principal.Gateway, err == nil && principal.Gateway != ""
}

// keepUp destroys what is to be erased, at once when the index tells of it, and removes what nobody goes on with, until the
// context ends.
func (l *library) keepUp(ctx context.Context, from *index.Index) {
	asked := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	for _, kind := range []string{"erasure", "retired"} { // what is sealed may wait until it is retired
		watching.Go(func() { watch(ctx, from, kind, asked) })
	}
	erase, clean := time.NewTicker(eraseEvery), time.NewTicker(cleanEvery)
	defer erase.Stop()
	defer clean.Stop()
	for {
		select {
		case <-asked:
			l.erase(ctx)
		case <-erase.C:
			l.erase(ctx)
		case <-clean.C:
			l.cleanUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// cleanUp removes what nobody goes on with, and replicas of what was rejected or replaced.
func (l *library) cleanUp(ctx context.Context) {
	if err := l.store.CleanUp(ctx, unused); err != nil && ctx.Err() == nil {
		l.log.Error("clean up the content store", "error", err)
	}
	dropped, err := l.store.Prune(ctx, l.registry)
	if len(dropped) > 0 {
		l.log.Info("replicas that nobody has a use for are dropped", "contents", len(dropped))
	}
	if err != nil && ctx.Err() == nil {
		l.log.Error("prune replicas", "error", err)
	}
}

// registry is what the index knows of contributions.
type registry struct{ on query.Evaluator }

func (r registry) Contribution(ctx context.Context, n contribution.Named) (contribution.Contribution, error) {
	return query.Ask[contribution.Contribution](ctx, r.on, "contribution:Get", n)
}

func (l *library) erase(ctx context.Context) {
	done, err := l.store.Destroy(ctx, l.erasures)
	if len(done) > 0 || err != nil {
		l.reviews.Forget()
	}
	for _, n := range done {
		l.log.Info("a contribution was erased", "datanet", n.Datanet, "contribution", n.ID)
	}
	if err != nil && ctx.Err() == nil {
		l.log.Error("erase what is due", "error", err)
	}
}

// watch tells of changes of a kind from now on. What it misses, the next look finds.
func watch(ctx context.Context, from *index.Index, kind string, tell chan<- struct{}) {
	at, err := from.Last(ctx)
	for err == nil {
		more := from.Notify()
		var changes []index.Change
		next := at
		changes, next, err = from.Changes(ctx, at, index.ChangeFilter{Kind: kind}, 1)
		if len(changes) > 0 {
			select {
			case tell <- struct{}{}:
			default:
			}
		}
		if next != at {
			at = next
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// functions calls the ledger as the gateway itself.
type functions struct{ server *Server }

func (f functions) Evaluate(ctx context.Context, function string, request any) ([]byte, error) {
	return f.server.self.Evaluate(ctx, fabric.Call{Function: function, Request: request, Endorsers: []string{f.server.config.Organisation}})
}

func (f functions) Submit(ctx context.Context, function string, request any) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		committed, err := f.server.self.Submit(ctx, fabric.Call{Function: function, Request: request})
		if err == nil {
			// What follows may read what was written here.
			return committed.Response, f.server.index.WaitHeight(ctx, committed.Block+1)
		}
		if !fabric.Again(err) || attempt == serviceAttempts {
			return nil, err
		}
		pause := time.NewTimer(rand.N(time.Duration(attempt) * servicePause))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("%s: %w", function, ctx.Err())
		}
	}
}
