package server

import (
	"context"
	"path/filepath"

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

// checkCorpora ends corpora of snapshots that have been revised, until the context ends.
func (s *Server) checkCorpora(ctx context.Context) {
	changed := make(chan struct{}, 1)
	go watch(ctx, s.index, "snapshot", changed)
	for {
		select {
		case <-changed:
			if err := s.corpora.Check(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("look for revised snapshots", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
