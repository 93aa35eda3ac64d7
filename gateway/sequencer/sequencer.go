// Package sequencer records what votes have decided, and seals what is approved, for the datanets of the gateway's
// organisation.
//
// For each of them one worker keeps the contributions that wait. It learns of them from the events of the ledger, and by
// asking for all that is missing whenever it begins to follow them, so it needs no memory of its own: after a restart it
// goes on from what the ledger says.
//
//	approval.voted ──► voted ──(quiet for a while)──► approval:FinaliseBatch
//	approval.finalised ──► waiting ──(quiet for a while, or a page's worth)──► seal:Append
//	withdrawn, erasing ──► seal:Left ──────────────────────────────────────► seal:Retire
//
// A request names how many leaves there are before it, so of two sequencers, or of a request that came twice, one is
// refused or answered as done.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// Ledger is the network as a curator of the organisation sees it; [*fabric.Client] is one.
type Ledger interface {
	Evaluate(ctx context.Context, call fabric.Call) ([]byte, error)
	Submit(ctx context.Context, call fabric.Call) (*fabric.Committed, error)
	Height(ctx context.Context) (uint64, error)
	Events(ctx context.Context, from uint64) (<-chan fabric.Event, error)
}

// Options say for whom and how often to seal.
type Options struct {
	Organisation string        // MSP ID, whose datanets are sealed
	Quiet        time.Duration // how long nothing more must have been approved before what waits is sealed; 0 is 2 s
	Longest      time.Duration // how long anything waits at most where approvals do not stop coming; 0 is 30 s
	Log          *slog.Logger  // nil: none
}

const (
	quiet   = 2 * time.Second
	longest = 30 * time.Second
	// patience bounds one call.
	patience = time.Minute
	// shortest and slowest bound the pause after a failure.
	shortest = 250 * time.Millisecond
	slowest  = 30 * time.Second
)

type sequencer struct {
	Options
	ledger  Ledger
	workers map[string]*worker // by datanet
	running sync.WaitGroup
}

// Run seals until the context ends. Failures are logged, and what failed is done again.
func Run(ctx context.Context, l Ledger, options Options) {
	if options.Quiet == 0 {
		options.Quiet = quiet
	}
	if options.Longest == 0 {
		options.Longest = longest
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s := &sequencer{Options: options, ledger: l, workers: map[string]*worker{}}
	defer s.running.Wait()
	for failures := 0; ; failures++ {
		began, err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if began {
			failures = 0
		}
		s.Log.Warn("the sequencer lost the ledger's events and begins again", "error", err)
		if pause(ctx, failures) != nil {
			return
		}
	}
}

// follow seals what waits and then what the events tell, until they end. began tells whether it came to the events.
func (s *sequencer) follow(ctx context.Context) (began bool, err error) {
	height, err := s.ledger.Height(ctx)
	if err != nil {
		return false, err
	}
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := s.ledger.Events(following, height)
	if err != nil {
		return false, err
	}
	names, err := s.own(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		s.worker(ctx, name).lookAgain()
	}
	for event := range events {
		s.take(ctx, event)
	}
	return true, errors.New("the stream of events ended")
}

// own lists the organisation's datanets.
func (s *sequencer) own(ctx context.Context) (names []string, err error) {
	req := ledger.PageRequest{Limit: ledger.MaxPage}
	for {
		page, err := query[ledger.Page[datanet.Datanet]](ctx, s, "datanet:List", req)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			if ledger.Owner(d.Name) == s.Organisation {
				names = append(names, d.Name)
			}
		}
		if req.Cursor = page.Next; req.Cursor == "" {
			return names, nil
		}
	}
}

// left is what concerns a sequencer in an event of a contribution that leaves.
type left struct {
	Datanet string `json:"datanet"`
}

// change is what concerns a sequencer in the other events: votes, or contributions as they stand now.
type change struct {
	Slots         []contribution.Named `json:"slots"`
	Contributions []struct {
		Datanet string             `json:"datanet"`
		ID      string             `json:"id"`
		State   contribution.State `json:"state"`
	} `json:"contributions"`
}

func (s *sequencer) take(ctx context.Context, event fabric.Event) {
	var l left
	var c change
	var err error
	switch event.Name {
	case "erasure.requested/1":
		err = json.Unmarshal(event.Payload, &l)
	case "approval.voted/1", "approval.finalised/1", "contribution.withdrawn/1":
		err = json.Unmarshal(event.Payload, &c)
	default:
		return
	}
	if err != nil {
		s.Log.Error("an event does not read as it should", "event", event.Name, "transaction", event.TxID, "error", err)
		return
	}
	if l.Datanet != "" && ledger.Owner(l.Datanet) == s.Organisation {
		s.worker(ctx, l.Datanet).left()
	}
	for _, slot := range c.Slots {
		if ledger.Owner(slot.Datanet) == s.Organisation {
			s.worker(ctx, slot.Datanet).votedOn(slot.ID)
		}
	}
	for _, changed := range c.Contributions {
		switch {
		case ledger.Owner(changed.Datanet) != s.Organisation:
		case changed.State == contribution.Approved:
			s.worker(ctx, changed.Datanet).approved(changed.ID)
		case changed.State == contribution.Withdrawn:
			s.worker(ctx, changed.Datanet).left()
		}
	}
}

// worker returns the datanet's worker, which it starts when there is none.
func (s *sequencer) worker(ctx context.Context, name string) *worker {
	w, ok := s.workers[name]
	if !ok {
		w = &worker{sequencer: s, datanet: name, news: make(chan struct{}, 1), waiting: map[string]bool{}, voted: map[string]bool{}}
		s.workers[name] = w
		s.running.Go(func() { w.run(ctx) })
	}
	return w
}

func query[Res any](ctx context.Context, s *sequencer, function string, request any) (response Res, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := s.ledger.Evaluate(ctx, fabric.Call{Function: function, Request: request, Endorsers: []string{s.Organisation}})
	if err != nil {
		return response, err
	}
	return response, ledger.DecodeAnswer(answer, &response)
}

func submit[Res any](ctx context.Context, s *sequencer, function string, request any) (response Res, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	committed, err := s.ledger.Submit(ctx, fabric.Call{Function: function, Request: request})
	if err != nil {
		return response, fmt.Errorf("%s: %w", function, err)
	}
	return response, ledger.DecodeAnswer(committed.Response, &response)
}

// pause waits longer after each failure, by a random part so that gateways do not come all at once.
func pause(ctx context.Context, failures int) error {
	d := min(shortest<<min(failures, 10), slowest)
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
