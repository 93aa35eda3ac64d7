package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// burst is what became of a number of calls.
type burst struct {
	count     int
	elapsed   time.Duration
	latencies []time.Duration // ascending
}

// fire makes so many calls from so many clients at once, each of which makes its next one when the last is answered. A
// call that fails ends the burst.
func fire(ctx context.Context, clients, count int, do func(ctx context.Context, client, number int) error) (burst, error) {
	var made atomic.Int64
	took := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for client := range clients {
		group.Go(func() error {
			for {
				number := int(made.Add(1)) - 1
				if number >= count {
					return nil
				}
				called := time.Now()
				if err := do(ctx, client, number); err != nil {
					return err
				}
				took[client] = append(took[client], time.Since(called))
			}
		})
	}
	err := group.Wait()
	b := burst{count: count, elapsed: time.Since(begun), latencies: slices.Concat(took...)}
	slices.Sort(b.latencies)
	return b, err
}

func (b burst) rate() float64 { return float64(b.count) / b.elapsed.Seconds() }

// quantile is the latency that a share of the calls did not exceed.
func (b burst) quantile(share float64) time.Duration {
	return b.latencies[min(len(b.latencies)-1, int(share*float64(len(b.latencies))))]
}
