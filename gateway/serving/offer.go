package serving

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
)

// served is a model that this gateway serves.
type served struct {
	name   string // name@version
	model  model.Model
	slots  chan struct{} // holds one for each request that is being answered
	corpus corpus

	mu       sync.RWMutex
	runner   runner // nil until it is known
	artifact merkle.Hash
	why      string // what failed last of what it takes to serve it; "" when nothing has
}

// ready is the model's runner and artifact, nil while there is none.
func (s *served) ready() (runner, merkle.Hash) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.runner, s.artifact
}

const (
	// artifactPause is how often is looked whether a model's artifact has come, at first; artifactLongest at last.
	artifactPause   = time.Second
	artifactLongest = time.Minute
)

// prepare finds the runner of a model, when it is there, and keeps its corpus.
func (h *Host) prepare(ctx context.Context, s *served, card model.Card) {
	for pause := artifactPause; ; pause = min(2*pause, artifactLongest) {
		r, artifact, err := h.findRunner(ctx, s.model)
		if err == nil {
			s.found(r, artifact)
			break
		}
		if ctx.Err() != nil {
			return
		}
		s.lacks(err)
		level := h.Log.Warn
		if errors.Is(err, fs.ErrNotExist) && pause > artifactPause {
			level = h.Log.Debug
		}
		level("a model that is published with a host of this gateway cannot be served yet", "model", s.name, "reason", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	if u, ok := s.runner.(*upstream); ok {
		watching.Go(func() { u.watch(ctx) })
	}
	h.keepCorpus(ctx, s, card)
}

// findRunner is what writes a model's answers, and the artifact that its receipts name.
func (h *Host) findRunner(ctx context.Context, m model.Model) (runner, merkle.Hash, error) {
	if u, ok := h.Upstreams[m.Named.String()]; ok {
		artifact := u.Artifact
		if artifact == "" {
			artifact = m.Artifacts[0]
		}
		if !slices.Contains(m.Artifacts, artifact) {
			return nil, merkle.Hash{}, fmt.Errorf("the artifact %s in the configuration is none of the model's", artifact)
		}
		digest, err := digestOf(artifact)
		return newUpstream(u, h.client, h.Log), digest, err
	}
	missing := fs.ErrNotExist
	for _, artifact := range m.Artifacts {
		data, err := h.Artifact(ctx, m, artifact)
		if errors.Is(err, fs.ErrNotExist) {
			missing = err
			continue
		}
		if err != nil {
			return nil, merkle.Hash{}, fmt.Errorf("read its artifact: %w", err)
		}
		if options, ok := readGram(data); ok {
			digest, err := digestOf(artifact)
			return gram{options}, digest, err
		}
	}
	return nil, merkle.Hash{}, fmt.Errorf("no built-in model is among its artifacts that are here, and the configuration names no server for it: %w", missing)
}

func digestOf(text string) (d merkle.Hash, err error) {
	n, err := hex.Decode(d[:], []byte(text))
	if err == nil && n != len(d) {
		err = fmt.Errorf("%q is no digest", text)
	}
	return d, err
}

// serve makes a model one that is served here, if it is not yet.
func (h *Host) serve(ctx context.Context, work *sync.WaitGroup, m model.Model, card model.Card) *served {
	name := m.Named.String()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if s := h.models[name]; s != nil {
		return s
	}
	s := &served{name: name, model: m, slots: make(chan struct{}, h.Abreast)}
	h.models[name] = s
	work.Go(func() { h.prepare(ctx, s, card) })
	return s
}

// look takes in a model as the ledger has it now.
func (h *Host) look(ctx context.Context, work *sync.WaitGroup, n model.Named) error {
	card, err := ask[model.Card](ctx, h.Ledger, "model:Card", model.CardName{Named: n})
	name := n.String()
	if fault := new(ledger.Fault); errors.As(err, &fault) {
		// It has no rate card, or its host has not agreed to it.
		h.mutex.Lock()
		delete(h.offers, name)
		h.mutex.Unlock()
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the rate card of %s: %w", n, err)
	}
	m, err := ask[model.Model](ctx, h.Ledger, "model:Get", n)
	if err != nil {
		return fmt.Errorf("read model %s: %w", n, err)
	}
	h.mutex.Lock()
	h.offers[name] = card
	h.mutex.Unlock()
	if ours, err := h.Hosts(card.Host); err != nil || !ours {
		return err
	}
	h.serve(ctx, work, m, card)
	return nil
}

// ask runs a query function and decodes its answer.
func ask[Res any](ctx context.Context, on Ledger, function string, request any) (response Res, err error) {
	answer, err := on.Evaluate(ctx, function, request)
	if err == nil {
		err = ledger.DecodeAnswer(answer, &response)
	}
	return response, err
}
