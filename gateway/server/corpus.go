package server

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// openCorpora opens what receipts are made and checked from.
func (s *Server) openCorpora() (err error) {
	s.corpora, err = corpus.New(corpus.Options{Folder: filepath.Join(s.config.Folder, "corpora"), Organisation: s.config.Organisation, Store: s.content.store,
		Exchange: s.content.client, Ledger: query.New(s.index, s.config.Channel, s.config.Organisation), Transactions: s.index, Log: s.log})
	if err != nil {
		return err
	}
	s.content.erasures = erasures{s.content.service, s.corpora}
	s.closeLater(s.corpora.Close)
	return nil
}

// erasures acknowledges an erasure once nothing is left of the content in the corpora either.
type erasures struct {
	exchange.Service
	corpora *corpus.Library
}

func (e erasures) Acknowledge(ctx context.Context, n contribution.Named) error {
	if err := e.corpora.Erase(ctx, n); err != nil {
		return err
	}
	return e.Service.Acknowledge(ctx, n)
}

// rightsEvery is how often is looked for grants that have expired, of which the ledger tells nothing.
const rightsEvery = time.Minute

// checkCorpora ends corpora of snapshots that have been revised, and of data that the organisation may no longer hold, until
// the context ends.
func (s *Server) checkCorpora(ctx context.Context) {
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	for _, kind := range []string{"snapshot", "grant"} {
		watching.Go(func() { watch(ctx, s.index, kind, changed) })
	}
	ticker := time.NewTicker(rightsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := s.corpora.Check(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("look for revised snapshots and rights that have ended", "error", err)
		}
	}
}
