package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/streaming"
)

// checks is how many answers the streaming engine is timed on.
const checks = 40

// streamingChecks measures what a validator's check costs that keeps no index.
func streamingChecks(ctx context.Context, b *bench) error {
	for _, megabytes := range []int{b.megabytes / 20, b.megabytes / 4, b.megabytes} {
		if err := b.check(ctx, megabytes); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) check(ctx context.Context, megabytes int) error {
	file, err := os.CreateTemp("", "datanet-bench-tokens-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	records, took, err := b.tokenise(ctx, file, megabytes)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	before := heap()
	engine, err := streaming.Open(file, info.Size())
	if err != nil {
		return err
	}
	n, _ := engine.Size()
	r := rand.New(rand.NewPCG(6, 1))
	answers := make([]attribution.Answer, checks)
	for i := range answers {
		answers[i] = attribution.Answer{Output: mixed(r, records), Tau: attribution.DefaultTau}
	}
	var times []time.Duration
	for _, a := range answers {
		start := time.Now()
		if _, err := engine.Receipt(ctx, a); err != nil {
			return err
		}
		times = append(times, time.Since(start))
	}
	start := time.Now()
	if _, err := engine.Receipts(ctx, answers...); err != nil {
		return err
	}
	together := time.Since(start)
	slices.Sort(times)
	at := fmt.Sprintf("at %d MB, %.1f M tokens", megabytes, float64(n)/1e6)
	limit := target{}
	if megabytes == 200 {
		limit = atMost(400)
	}
	b.table.add("streaming check "+at+", median", limit, times[len(times)/2].Seconds()*1e3, "ms",
		fmt.Sprintf("%d receipts in the same two passes %.0f ms", checks, together.Seconds()*1e3))
	b.table.add(fmt.Sprintf("tokenising %d MB for it, once", megabytes), target{}, took.Seconds(), "s")
	b.table.add(fmt.Sprintf("memory of the streaming engine at %d MB", megabytes), target{}, heap()-before, "MB")
	runtime.KeepAlive(engine)
	return nil
}

// tokenise writes the token stream of the large text and returns some of its records.
func (b *bench) tokenise(ctx context.Context, file *os.File, megabytes int) (records []string, took time.Duration, err error) {
	r := rand.New(rand.NewPCG(5, 2))
	seen, bytes := 0, 0
	w := streaming.NewWriter(file)
	for c, err := range largeText(b.text, megabytes*megabyte, nil) {
		if err != nil {
			return nil, 0, err
		}
		if err := w.Contribution(c.ID, c.Account); err != nil {
			return nil, 0, err
		}
		for record, err := range c.Records {
			if err != nil {
				return nil, 0, err
			}
			if err := context.Cause(ctx); err != nil {
				return nil, 0, err
			}
			if seen++; len(records) < 500 {
				records = append(records, string(record))
			} else if at := r.IntN(seen); at < len(records) {
				records[at] = string(record)
			}
			bytes += len(record)
			start := time.Now()
			if err := w.Record(record); err != nil {
				return nil, 0, err
			}
			took += time.Since(start)
		}
	}
	if bytes < megabytes*megabyte {
		return nil, 0, fmt.Errorf("%w: the large text has only %d MB", errNoInput, bytes/megabyte)
	}
	start := time.Now()
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	return records, took + time.Since(start), nil
}

// heap returns the memory in use, in MB.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalisers have freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
