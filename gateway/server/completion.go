package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/index"
)

const (
	// completeSoon is the wait after an erasure was refused for the first time: its leaf may be about to be retired. Each
	// further wait is twice as long, up to completeLate: claims may have to be attested first, for days.
	completeSoon = 2 * time.Second
	completeLate = 10 * time.Minute
)

// completion completes the erasures of what stands in the organisation's own datanets, once every holder has
// acknowledged. The index tells which those are, and the ledger's rules whether anything else has to come first. Another
// one that completes the same erasure does no harm: the ledger answers a repetition as done.
type completion struct {
	organisation string
	index        *index.Index
	functions    exchange.Functions
	log          *slog.Logger
	refused      map[contribution.Named]delay
}

// delay is when a refused erasure is tried again.
type delay struct {
	until time.Time
	wait  time.Duration
}

// run looks whenever a holder has acknowledged, and from time to time, until the context ends.
func (c *completion) run(ctx context.Context) {
	asked := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { watch(ctx, c.index, "erasure-slot", asked) })
	for {
		wait := eraseEvery
		if next, err := c.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.log.Error("complete erasures", "error", err)
		} else if !next.IsZero() {
			wait = min(wait, max(time.Until(next), 0))
		}
		timer := time.NewTimer(wait)
		select {
		case <-asked:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// look completes what can be, and tells when a refused one is to be tried again.
func (c *completion) look(ctx context.Context, now time.Time) (next time.Time, err error) {
	refused := map[contribution.Named]delay{}
	var failures []error
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := c.index.Entries(ctx, index.Filter{Kind: "erasure", State: string(erasure.Erasing)}, page)
		if err != nil {
			return time.Time{}, err
		}
		for _, entry := range found.Items {
			var e erasure.Erasure
			if err := ledger.DecodeAnswer(entry.Value, &e); err != nil {
				return time.Time{}, err
			}
			if ledger.Owner(e.Datanet) != c.organisation {
				continue
			}
			later, waits := c.refused[e.Named]
			if !waits || !now.Before(later.until) {
				if waits, err = c.complete(ctx, e.Named); err != nil {
					failures, waits = append(failures, err), true
				}
				later.wait = min(max(2*later.wait, completeSoon), completeLate)
				later.until = now.Add(later.wait)
			}
			if waits {
				refused[e.Named] = later
				if next.IsZero() || later.until.Before(next) {
					next = later.until
				}
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			c.refused = refused
			return next, errors.Join(failures...)
		}
	}
}

// complete completes an erasure that every holder has acknowledged; waits tells that it was refused for now.
func (c *completion) complete(ctx context.Context, n contribution.Named) (waits bool, err error) {
	open, err := c.index.Entries(ctx, index.Filter{Kind: "erasure-slot", Within: []string{n.Datanet, n.ID}, State: index.OpenSlot}, ledger.PageRequest{Limit: 1})
	if err != nil || len(open.Items) > 0 {
		return false, err
	}
	_, err = c.functions.Submit(ctx, "erasure:Complete", n)
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault) && fault.Code == ledger.CodeState:
		c.log.Debug("an erasure is not completed yet", "datanet", n.Datanet, "contribution", n.ID, "reason", fault.Message)
		return true, nil
	case err != nil:
		return true, err
	}
	c.log.Info("an erasure is complete", "datanet", n.Datanet, "contribution", n.ID)
	return false, nil
}
