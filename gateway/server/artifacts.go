package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

const (
	// fetchEvery is how often artifacts that are missing are asked for: their owner may not have sent them yet.
	fetchEvery = 10 * time.Second
	// fetchTime bounds the fetching of one model's artifacts at a time.
	fetchTime = time.Hour
)

// artifacts are the artifacts of own models, and of those that an account of the organisation hosts.
type artifacts struct {
	*artifact.Store
	server    *Server
	ledger    query.Evaluator
	client    *http.Client      // to other gateways,
	addresses map[string]string // whose base URLs these are, by MSP ID

	mutex sync.Mutex
	told  map[model.Named]string
}

func (s *Server) artifactFolder() string { return filepath.Join(s.config.Folder, "artifacts") }

func (s *Server) openArtifacts() error {
	store, err := artifact.Open(s.artifactFolder())
	if err != nil {
		return err
	}
	s.artifacts = &artifacts{Store: store, server: s, ledger: query.New(s.index, s.config.Channel, s.config.Organisation),
		client: s.others.client(), addresses: s.others.addresses, told: map[model.Named]string{}}
	return nil
}

// handler gives artifacts to the gateways of those who host a model.
func (a *artifacts) handler() http.Handler { return a.Handler(a.entitled, a.server.otherGateway) }

// entitled finds a model whose rate card in force names a host of the organisation.
func (a *artifacts) entitled(ctx context.Context, n model.Named, msp string) (model.Model, error) {
	m, err := query.Ask[model.Model](ctx, a.ledger, "model:Get", n)
	if err != nil {
		return m, err
	}
	host, err := a.host(ctx, m)
	if err == nil && (host == "" || host.MSP() != msp) {
		err = ledger.Refuse(ledger.CodeForbidden, "no rate card in force names a host of %s for %s", msp, n)
	}
	return m, err
}

// host is that of the model's rate card in force, "" when there is none.
func (a *artifacts) host(ctx context.Context, m model.Model) (ledger.Account, error) {
	if m.Card == 0 {
		return "", nil
	}
	card, err := query.Ask[model.Card](ctx, a.ledger, "model:Card", model.CardName{Named: m.Named, Card: m.Card})
	return card.Host, err
}

// keepUp fetches artifacts of what the organisation hosts, when a rate card comes into force and from time to time, until
// the context ends.
func (a *artifacts) keepUp(ctx context.Context) {
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { watch(ctx, a.server.index, "model", changed) })
	ticker := time.NewTicker(fetchEvery)
	defer ticker.Stop()
	for {
		if err := a.fetchMissing(ctx); err != nil && ctx.Err() == nil {
			a.server.log.Error("look for artifacts to fetch", "error", err)
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *artifacts) fetchMissing(ctx context.Context) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := a.server.index.Entries(ctx, index.Filter{Kind: "model", State: string(model.Registered)}, page)
		if err != nil {
			return err
		}
		for _, entry := range found.Items {
			var m model.Model
			if err := ledger.DecodeAnswer(entry.Value, &m); err != nil {
				return err
			}
			if ledger.Owner(m.Name) == a.server.config.Organisation || a.state(m.Named) == complete {
				continue
			}
			if err := a.fetch(ctx, m); err != nil {
				a.tell(m.Named, err.Error())
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return ctx.Err()
		}
	}
}

// complete is told of a model whose artifacts are all here.
const complete = "complete"

// state is what was told last of a hosted model's artifacts.
func (a *artifacts) state(n model.Named) string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.told[n]
}

// tell logs what became of a model's artifacts, once.
func (a *artifacts) tell(n model.Named, what string) {
	if a.state(n) != what {
		a.mutex.Lock()
		a.told[n] = what
		a.mutex.Unlock()
		a.server.log.Info("artifacts of a hosted model", "model", n, "state", what)
	}
}

// fetch gets the artifacts of a model that the organisation hosts.
func (a *artifacts) fetch(ctx context.Context, m model.Model) error {
	host, err := a.host(ctx, m)
	if err != nil || host.MSP() != a.server.config.Organisation {
		return err
	}
	address, known := a.addresses[ledger.Owner(m.Name)]
	if !known {
		return fmt.Errorf("the configuration names no gateway of %s, which has them", ledger.Owner(m.Name))
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	if err := a.Fetch(ctx, a.client, address, m); err != nil {
		return err
	}
	whole, err := a.Complete(m)
	if err == nil && !whole {
		err = errors.New("some are still missing")
	}
	if err == nil {
		a.tell(m.Named, complete)
	}
	return err
}
