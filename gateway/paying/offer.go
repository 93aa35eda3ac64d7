package paying

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// offer is a model under one of its rate cards.
type offer struct {
	card    model.Card
	subject evidence.Subject
	since   time.Time // when the card came into force, for the list of models
}

func (o *offer) prices() wallet.Prices {
	return wallet.Prices{In: uint64(o.card.PriceIn), Out: uint64(o.card.PriceOut)}
}

// subjectOf is what receipts of a model have to say of it.
func subjectOf(m model.Model) (evidence.Subject, error) {
	s := evidence.Subject{Model: m.Named.String()}
	for _, text := range m.Artifacts {
		var digest merkle.Hash
		if err := digest.UnmarshalText([]byte(text)); err != nil {
			return s, fmt.Errorf("artifact of %s: %w", m.Named, err)
		}
		s.Artifacts = append(s.Artifacts, digest)
	}
	return s, nil
}

// state is the ledger's state at one height of the index, as its rules read it.
type state struct {
	ctx     context.Context
	view    *index.View
	channel string
}

func (s *state) TxID() string                 { return "" }
func (s *state) Channel() string              { return s.channel }
func (s *state) Time() time.Time              { return time.Now() }
func (s *state) Caller() ledger.Caller        { return ledger.Caller{} }
func (s *state) Prefetch(...ledger.Key) error { return nil }
func (s *state) Get(k ledger.Key) ([]byte, error) {
	values, err := s.view.States(s.ctx, []ledger.Key{k})
	if err != nil {
		return nil, err
	}
	return values[0], nil
}
func (s *state) KeyPolicy(k ledger.Key) (ledger.Policy, bool, error) {
	return s.view.KeyPolicy(s.ctx, k)
}

// now is the state that the index has.
func (c *Consumer) now(ctx context.Context) (*state, error) {
	view, err := c.options.Index.View(ctx)
	return &state{ctx, view, c.options.Channel}, err
}

// look reads the rate card in force of a model anew. A model without one is offered by nobody.
func (c *Consumer) look(ctx context.Context, n model.Named) error {
	o, err := c.inForce(ctx, n)
	if fault := new(ledger.Fault); errors.As(err, &fault) && fault.Code != ledger.CodeInternal {
		o, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("read the rate card of %s: %w", n, err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if o == nil {
		delete(c.offers, n.String())
	} else {
		c.offers[n.String()] = o
	}
	return nil
}

func (c *Consumer) inForce(ctx context.Context, n model.Named) (*offer, error) {
	r, err := c.now(ctx)
	if err != nil {
		return nil, err
	}
	m, err := model.Load(r, "name", n)
	if err != nil {
		return nil, err
	}
	if m.State != model.Registered {
		return nil, ledger.Refuse(ledger.CodeState, "model %s is %s", n, m.State)
	}
	card, err := model.Offered(r, m)
	if err != nil {
		return nil, err
	}
	return c.offered(ctx, m, card)
}

func (c *Consumer) offered(ctx context.Context, m model.Model, card model.Card) (*offer, error) {
	subject, err := subjectOf(m)
	if err != nil {
		return nil, err
	}
	entry, err := c.options.Index.Entry(ctx, model.CardKey(model.CardName{Named: m.Named, Card: card.Card}))
	return &offer{card: card, subject: subject, since: entry.Time}, err
}

// agreed is the model under the card that a session has agreed to.
func (c *Consumer) agreed(ctx context.Context, n model.CardName, digest merkle.Hash) (*offer, error) {
	r, err := c.now(ctx)
	if err != nil {
		return nil, err
	}
	m, err := model.Load(r, "model.name", n.Named)
	if err != nil {
		return nil, err
	}
	card, err := model.LoadAgreed(r, n, digest)
	if err != nil {
		return nil, err
	}
	return c.offered(ctx, m, card)
}

// Models lists the models that a rate card in force offers, by name.
func (c *Consumer) Models() []openai.Model {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	list := make([]openai.Model, 0, len(c.offers))
	for name, o := range c.offers {
		list = append(list, openai.Model{ID: name, Created: o.since.Unix(), OwnedBy: ledger.Owner(o.card.Name)})
	}
	slices.SortFunc(list, func(a, b openai.Model) int { return strings.Compare(a.ID, b.ID) })
	return list
}
