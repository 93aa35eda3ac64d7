package serving

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

var (
	errNoCorpus = openai.Refuse(openai.CodeUpstream, "model", "the model's corpus is being prepared: try again")
	errNoText   = openai.Refuse(openai.CodeUpstream, "model", "the model gave no text")
)

const (
	// corpusPause is the wait after a corpus could not be opened for the first time; each further one is twice as long, up
	// to corpusLongest.
	corpusPause   = time.Second
	corpusLongest = time.Minute
	// corpusPatience is how long an answer that is written waits for a corpus that is being changed.
	corpusPatience = 20 * time.Second
)

// corpus is the corpus of a model's lineage with what is made from it, opened anew whenever it changes. Who works with it
// holds it for that long, so that it can be given up soon.
type corpus struct {
	mu   sync.RWMutex
	open *opened       // nil while there is none
	came chan struct{} // closed when there is one
}

type opened struct {
	*Corpus
	engine *indexed.Engine
	gram   *infgram.Model // of a built-in model
}

// hold returns the corpus as it is, nil when there is none. Whoever got one releases it.
func (c *corpus) hold() *opened {
	c.mu.RLock()
	if c.open == nil {
		c.mu.RUnlock()
		return nil
	}
	return c.open
}

func (c *corpus) release() { c.mu.RUnlock() }

// there tells whether there is a corpus now.
func (c *corpus) there() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.open != nil
}

// await is hold for an answer that is written already: it waits while a corpus is being changed.
func (c *corpus) await(stopping <-chan struct{}) (*opened, error) {
	patience := time.NewTimer(corpusPatience)
	defer patience.Stop()
	for {
		if held := c.hold(); held != nil {
			return held, nil
		}
		c.mu.Lock()
		if c.came == nil {
			c.came = make(chan struct{})
		}
		came, there := c.came, c.open != nil
		c.mu.Unlock()
		if there {
			continue
		}
		select {
		case <-came:
		case <-patience.C:
			return nil, errNoCorpus
		case <-stopping:
			return nil, errNoCorpus
		}
	}
}

// set replaces the corpus once nobody holds the one before, which is closed.
func (c *corpus) set(next *opened) error {
	c.mu.Lock()
	before := c.open
	c.open = next
	if next != nil && c.came != nil {
		close(c.came)
		c.came = nil
	}
	c.mu.Unlock()
	if before == nil {
		return nil
	}
	return before.Close()
}

// keepCorpus opens the corpus of a model, again whenever it is stale, until the context ends.
func (h *Host) keepCorpus(ctx context.Context, s *served, card model.Card) {
	pause := corpusPause
	for {
		next, err := h.openCorpus(ctx, s, card)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.lacks(err)
			h.Log.Error("a model cannot be served: its corpus cannot be opened", "model", s.name, "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, corpusLongest)
			continue
		}
		pause = corpusPause
		s.lacks(nil)
		if err := s.corpus.set(next); err != nil {
			h.Log.Error("close a corpus", "model", s.name, "error", err)
		}
		h.Log.Info("a model can be served", "model", s.name, "roots", len(next.Roots))
		select {
		case <-next.Stale:
		case <-ctx.Done():
		}
		if err := s.corpus.set(nil); err != nil {
			h.Log.Error("close a corpus", "model", s.name, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (h *Host) openCorpus(ctx context.Context, s *served, card model.Card) (_ *opened, err error) {
	got, err := h.Open(ctx, card)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, got.Close())
		}
	}()
	o := &opened{Corpus: got, engine: indexed.New(got.View)}
	if g, ok := s.runner.(gram); ok {
		if o.gram, err = g.model(ctx, got.View); err != nil {
			return nil, err
		}
	}
	return o, nil
}
