// Package load sends calls to a network at a bounded number in flight and measures what becomes of them.
//
// It is a closed loop: the next call of a slot is made when the fate of the one before is known. Fates are read from
// blocks, as a client with much traffic does, not asked for one transaction at a time, and are known when the blocks of
// all peers have told them: so no peer lags behind unseen, and no burst leaves work for the next.
package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// patience is how long a fate is waited for: longer than the ordering service needs to replace a leader.
const patience = 60 * time.Second

// Attempt is one call to make.
type Attempt struct {
	Client *fabric.Client
	Call   fabric.Call
	// Settle, unless nil, is told the transaction's id and whether it is valid. It may be called by several goroutines
	// at once.
	Settle func(txID string, valid bool)
}

// Burst is how many calls to make.
type Burst struct {
	Attempts int
	InFlight int
	// Next makes the next attempt. It is called by one goroutine at a time.
	Next func() (Attempt, error)
}

// Result is what became of the attempts of a burst.
type Result struct {
	Valid     int
	Conflicts int // invalid by a conflict, or simulated on different states by the endorsers
	// Failed were neither, and Failure is the first reason.
	Failed  int
	Failure error
	// Elapsed is from the first call until the last fate was known.
	Elapsed time.Duration
	// Latencies are those of valid transactions, from call to commit by the last peer, in no order.
	Latencies []time.Duration
}

// Generator fires bursts.
type Generator struct {
	peers   int
	guard   sync.Mutex
	waiting map[string]*wait
	broken  chan struct{}
	valid   atomic.Int64
}

// Valid is how many transactions of all bursts are valid so far.
func (g *Generator) Valid() int { return int(g.valid.Load()) }

// wait is for a transaction's fate, until the given number of peers have told it.
type wait struct {
	missing int
	fate    chan peer.TxValidationCode
}

// NewGenerator follows the blocks of each follower's peer, from the first on, until the context ends.
func NewGenerator(ctx context.Context, followers ...*fabric.Client) (*Generator, error) {
	g := &Generator{peers: len(followers), waiting: map[string]*wait{}, broken: make(chan struct{})}
	var once sync.Once
	for _, follower := range followers {
		blocks, err := follower.Outcomes(ctx, 0)
		if err != nil {
			return nil, err
		}
		go func() {
			for block := range blocks {
				g.tell(block.Outcomes)
			}
			once.Do(func() { close(g.broken) })
		}()
	}
	return g, nil
}

func (g *Generator) tell(outcomes []fabric.Outcome) {
	g.guard.Lock()
	defer g.guard.Unlock()
	for _, o := range outcomes {
		w, ok := g.waiting[o.TxID]
		if !ok {
			continue
		}
		if w.missing--; w.missing == 0 {
			w.fate <- o.Code
			delete(g.waiting, o.TxID)
		}
	}
}

func (g *Generator) expect(txID string) <-chan peer.TxValidationCode {
	w := &wait{missing: g.peers, fate: make(chan peer.TxValidationCode, 1)}
	g.guard.Lock()
	defer g.guard.Unlock()
	g.waiting[txID] = w
	return w.fate
}

// Fire makes the attempts of a burst and returns when the fate of each is known. Attempts that fail are counted; an
// error means that the burst could not be carried out.
func (g *Generator) Fire(ctx context.Context, b Burst) (Result, error) {
	var guard sync.Mutex
	var result Result
	started, made := time.Now(), 0
	next := func() (Attempt, bool, error) {
		guard.Lock()
		defer guard.Unlock()
		if made == b.Attempts {
			return Attempt{}, false, nil
		}
		made++
		attempt, err := b.Next()
		return attempt, true, err
	}
	slots, ctx := errgroup.WithContext(ctx)
	for range b.InFlight {
		slots.Go(func() error {
			for {
				attempt, more, err := next()
				if err != nil || !more {
					return err
				}
				called := time.Now()
				txID, err := g.attempt(ctx, attempt)
				latency := time.Since(called)
				if attempt.Settle != nil {
					attempt.Settle(txID, err == nil)
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				guard.Lock()
				result.count(err, latency)
				guard.Unlock()
			}
		})
	}
	err := slots.Wait()
	result.Elapsed = time.Since(started)
	return result, err
}

// attempt makes one call; nil means that its transaction is valid.
func (g *Generator) attempt(ctx context.Context, a Attempt) (txID string, err error) {
	endorsed, err := a.Client.Endorse(ctx, a.Call)
	if err != nil {
		return "", err
	}
	fate := g.expect(endorsed.TxID())
	var unknown *fabric.UnknownError
	if err := endorsed.Order(ctx); err != nil && !errors.As(err, &unknown) {
		return endorsed.TxID(), err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case code := <-fate:
		if code != peer.TxValidationCode_VALID {
			return endorsed.TxID(), &fabric.InvalidError{TxID: endorsed.TxID(), Code: code}
		}
		g.valid.Add(1)
		return endorsed.TxID(), nil
	case <-timer.C:
		return endorsed.TxID(), fmt.Errorf("transaction %s is in no block after %s", endorsed.TxID(), patience)
	case <-g.broken:
		return endorsed.TxID(), errors.New("a peer's stream of blocks has ended")
	case <-ctx.Done():
		return endorsed.TxID(), context.Cause(ctx)
	}
}

func (r *Result) count(err error, latency time.Duration) {
	switch {
	case err == nil:
		r.Valid++
		r.Latencies = append(r.Latencies, latency)
	case conflict(err):
		r.Conflicts++
	default:
		r.Failed++
		if r.Failure == nil {
			r.Failure = err
		}
	}
}

// conflict recognises what comes of two transactions on the same keys: invalidity at commit, or endorsements that
// differ because one of the peers had committed the other transaction already.
func conflict(err error) bool {
	var invalid *fabric.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Conflict()
	}
	return strings.Contains(err.Error(), "ProposalResponsePayloads do not match")
}
