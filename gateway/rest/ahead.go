package rest

import (
	"context"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// Who validates goes through a queue. So once a validator has asked for a report, what waits behind it in the same datanet
// is prepared: released to the same person with one transaction, fetched, and reported on. Nothing is fetched of datanets
// that nobody of the organisation looks at.
const (
	// ahead is how many are prepared behind the one that was asked for; more are when half of them are not.
	ahead = 50
	// aheadTokens bounds the contributions that are prepared: a large one is fetched when somebody asks for it.
	aheadTokens = 200_000
	// aheadLimit bounds a preparation, aheadWait how long a request waits for the one that will release what it asks for.
	aheadLimit = 10 * time.Minute
	aheadWait  = 30 * time.Second
	// waitingPages bounds how much of a queue is looked through for the one that was asked for.
	waitingPages = 10
)

// preparation is what is prepared for one validator.
type preparation struct {
	of   contribution.Contribution
	to   ledger.Account
	ids  map[string]bool
	done chan struct{} // closed once all is released that can be
}

// preparations are those that wait or are under way, at most one of each validator and datanet.
type preparations struct {
	mutex sync.Mutex
	asked map[string]*preparation
	queue chan *preparation
}

func newPreparations() *preparations {
	return &preparations{asked: map[string]*preparation{}, queue: make(chan *preparation, 64)}
}

func (p *preparation) key() string { return string(p.to) + " " + p.of.Datanet }

// ask asks for what is behind a contribution. It does nothing while something is prepared, or when too much is.
func (p *preparations) ask(of contribution.Contribution, to ledger.Account) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	one := &preparation{of: of, to: to, done: make(chan struct{})}
	if p.asked[one.key()] != nil {
		return
	}
	select {
	case p.queue <- one:
		p.asked[one.key()] = one
	default:
	}
}

// begin says what a preparation is of.
func (p *preparations) begin(one *preparation, list []contribution.Contribution) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	one.ids = map[string]bool{}
	for _, c := range list {
		one.ids[c.ID] = true
	}
}

// released ends the waiting for a preparation, and lets another one be asked for.
func (p *preparations) released(one *preparation) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.asked, one.key())
	close(one.done)
}

// wait waits while a contribution is about to be released to somebody.
func (p *preparations) wait(ctx context.Context, of contribution.Contribution, to ledger.Account) {
	p.mutex.Lock()
	one := p.asked[(&preparation{of: of, to: to}).key()]
	covers := one != nil && one.ids[of.ID]
	p.mutex.Unlock()
	if !covers {
		return
	}
	timer := time.NewTimer(aheadWait)
	defer timer.Stop()
	select {
	case <-one.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// PrepareReviews prepares what validators will ask for next, until the context ends.
func (a *API) PrepareReviews(ctx context.Context) {
	for {
		select {
		case one := <-a.ahead.queue:
			if err := a.prepare(ctx, one); err != nil && ctx.Err() == nil {
				a.options.Log.Info("what a validator will ask for next could not be prepared", "datanet", one.of.Datanet, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (a *API) prepare(ctx context.Context, one *preparation) error {
	ctx, cancel := context.WithTimeout(ctx, aheadLimit)
	defer cancel()
	on := a.ledger()
	behind, err := a.behind(ctx, on, one)
	if err == nil && len(behind) > 0 {
		a.ahead.begin(one, behind)
		err = a.handAhead(ctx, on, one, behind)
	}
	a.ahead.released(one)
	if err != nil {
		return err
	}
	for _, of := range behind {
		info, err := a.options.Content.Find(ctx, of.Name(), of.Commitment)
		if err != nil || info.State != content.Ready {
			continue // whoever asks for it is told why
		}
		found, err := a.options.Content.Open(ctx, info.ID)
		if err != nil {
			return err
		}
		if _, err := a.review(ctx, on, of, found); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// behind are the contributions that stand next in the queue, if enough of them are not released to the validator yet.
func (a *API) behind(ctx context.Context, on query.Evaluator, one *preparation) (list []contribution.Contribution, err error) {
	seen, window := false, 0
	for page, pages := (ledger.PageRequest{Limit: ledger.MaxPage}), 0; pages < waitingPages; pages++ {
		found, err := a.options.Index.Entries(ctx, index.Filter{Kind: "contribution", Datanet: one.of.Datanet, Awaits: a.options.Organisation, Order: index.Oldest}, page)
		if err != nil {
			return nil, err
		}
		for _, entry := range found.Items {
			var c contribution.Contribution
			if err := ledger.DecodeAnswer(entry.Value, &c); err != nil {
				return nil, err
			}
			if !seen {
				seen = c.ID == one.of.ID
				continue
			}
			released, err := releasedToValidate(ctx, on, c.Name(), one.to)
			if err != nil {
				return nil, err
			}
			if !released && c.Tokens <= aheadTokens {
				list = append(list, c)
			}
			if window++; window == ahead {
				break
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" || window == ahead {
			break
		}
	}
	if window == ahead && len(list) < ahead/2 {
		return nil, nil
	}
	return list, nil
}

// handAhead has contributions released to a validator and fetched, and waits until the index knows of it.
func (a *API) handAhead(ctx context.Context, on query.Evaluator, one *preparation, list []contribution.Contribution) error {
	from := map[string][]contribution.Contribution{}
	for _, c := range list {
		from[c.Contributor.MSP()] = append(from[c.Contributor.MSP()], c)
	}
	holders := func(_ context.Context, c contribution.Contribution) ([]string, error) {
		return others(exchange.Holders(c), a.options.Organisation), nil
	}
	for _, some := range from {
		h := access.Handover{Named: access.Named{Datanet: one.of.Datanet}, To: one.to, Reason: access.Validation}
		if err := a.options.Exchange.Obtain(ctx, a.options.Content, h, some, holders); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, aheadWait)
	defer cancel()
	for {
		more := a.options.Index.Notify()
		known, err := releasedToValidate(ctx, on, list[len(list)-1].Name(), one.to)
		if err != nil || known {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// releasedToValidate tells whether a contribution was released to somebody to validate it.
func releasedToValidate(ctx context.Context, on query.Evaluator, n contribution.Named, to ledger.Account) (bool, error) {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := query.Ask[ledger.Page[access.Released]](ctx, on, "access:ReleasesOf", access.OfContribution{Named: n, PageRequest: page})
		if err != nil {
			return false, err
		}
		for _, r := range found.Items {
			if r.To == to && r.Reason == access.Validation {
				return true, nil
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return false, nil
		}
	}
}
