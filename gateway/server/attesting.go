package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/query"
	"github.com/datanet-consortium/datanet/network/pki"
)

// Attestation says how settlements of other organisations' hosts are recomputed, of models with data that this organisation
// validates.
type Attestation struct {
	// Account is the enrolment id of a validator whose key the gateway keeps, and as whom it votes and objects; "" leaves
	// both to people.
	Account string `yaml:"account"`
	// Rate is how many of a million uses are recomputed.
	Rate int `yaml:"rate"`
	// Engine is streaming or indexed.
	Engine string `yaml:"engine"`
	// Patience is how long after a settlement what its host does not show counts as not there yet.
	Patience time.Duration `yaml:"patience"`
	// Every is how often is looked for claims, beside what the index tells.
	Every time.Duration `yaml:"every"`
}

// check reports everything that is wrong.
func (a Attestation) check(fault func(name, format string, args ...any)) {
	if a.Rate < 1 || a.Rate > use.All {
		fault("attestation.rate", "is in millionths, from 1 to %d", use.All)
	}
	if e := attesting.Engine(a.Engine); e != attesting.Streaming && e != attesting.Indexed {
		fault("attestation.engine", "must be %s or %s", attesting.Streaming, attesting.Indexed)
	}
	if a.Patience < 0 || a.Every <= 0 {
		fault("attestation.every", "must be longer than 0, and patience at least 0")
	}
}

// openAttesting opens what recomputes settlements.
func (s *Server) openAttesting(ctx context.Context) error {
	own, err := pki.LoadIdentity(s.config.Identity.Folder, s.config.Organisation)
	if err != nil {
		return fmt.Errorf("load the gateway's own identity: %w", err)
	}
	caller, err := pki.CallerOf(s.config.Organisation, own.Certificate())
	if err != nil {
		return fmt.Errorf("load the gateway's own identity: %w", err)
	}
	config := s.config.Attestation
	o := attesting.Options{Organisation: s.config.Organisation, Recipient: caller.Account(), Rate: config.Rate, Engine: attesting.Engine(config.Engine),
		Patience: config.Patience, Every: config.Every, Host: archive.NewClient(s.others, s.others.addresses), Corpora: s.corpora,
		Ledger: query.New(s.index, s.config.Channel, s.config.Organisation), Index: s.index, Secrets: s.content.store, DB: s.state, Log: s.log}
	if config.Account != "" {
		if _, err := s.keys.Get(config.Account); err != nil {
			return fmt.Errorf("attestation.account: %w", err)
		}
		o.Submit = validator{s, ledger.NewAccount(s.config.Organisation, config.Account)}.submit
	}
	s.attesting, err = attesting.Open(ctx, o)
	return err
}

// attest recomputes settlements until the context ends.
func (s *Server) attest(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	changed := make(chan struct{}, 1)
	for _, kind := range []string{"claim", "claim-slot", "snapshot"} {
		watching.Go(func() { watch(ctx, s.index, kind, changed) })
	}
	watching.Go(func() {
		for {
			select {
			case <-changed:
				s.attesting.Changed()
			case <-ctx.Done():
				return
			}
		}
	})
	s.attesting.Run(ctx)
}

// validator sends what attestation asks of the ledger, as an account whose key the gateway keeps.
type validator struct {
	server  *Server
	account ledger.Account
}

// voteWindow is how long one outcome of a write answers for its repetition: a vote that was refused may be good later.
const voteWindow = time.Minute

func (v validator) submit(ctx context.Context, function string, request any) ([]byte, error) {
	document, err := ledger.Encode(request)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %x %d", function, sha256.Sum256(document), time.Now().Unix()/int64(voteWindow/time.Second))
	entry, err := v.server.outbox.Submit(ctx, outbox.Request{Account: v.account, Key: key, Function: function, Document: document})
	switch {
	case err != nil:
		return nil, err
	case entry.Fault != nil:
		return nil, entry.Fault
	case entry.State != outbox.Committed:
		return nil, errors.New("the outcome of transaction " + entry.TxID + " is not known, or it came to nothing: " + entry.Code)
	}
	// What follows may read what was written here.
	return entry.Response, v.server.index.WaitHeight(ctx, entry.Block+1)
}

// openArchive opens the archive of what this gateway's hosts settle, out of their meter.
func (s *Server) openArchive(ctx context.Context, from *meter.Meter) (*archive.Archive, error) {
	return archive.Open(ctx, archive.Options{Folder: s.evidence(), DB: s.state, Keys: s.content.store, Meter: from,
		Ledger: query.New(s.index, s.config.Channel, s.config.Organisation), Log: s.log,
		Sealer: func(ctx context.Context, session merkle.Hash) (evidence.Sealer, error) {
			key, err := s.content.store.Key(ctx, content.EvidenceKeys, session.String())
			if err != nil {
				return evidence.Sealer{}, err
			}
			return evidence.NewSealer(key)
		}})
}

// evidence is the folder of what is archived for attestors.
func (s *Server) evidence() string { return filepath.Join(s.config.Folder, "evidence") }

// sweepEvery is how often is looked for evidence that is to be forgotten, beside what the index tells.
const sweepEvery = 10 * time.Minute

// sweepArchive forgets the evidence of claims that are paid, until the context ends.
func (s *Server) sweepArchive(ctx context.Context) {
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { watch(ctx, s.index, "claim", changed) })
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.archive.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("forget evidence", "error", err)
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
