package streaming

import (
	"context"
	"math/bits"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution"
)

// minSpan is the least length of a span, in tokens.
const minSpan = attribution.MinSpan

// A window is the numbers at positions [start, end) with some before and after them, as they are in the file.
type window struct {
	data       []byte
	from       int64 // position of the first number in data
	start, end int64
}

// workersMemory bounds what all workers of a scan hold, in bytes, if they are more than one.
const workersMemory = 256 << 20

// scan goes once over the positions below limit: it cuts them into windows with so many numbers before and
// after them, as far as there are any, and gives each to one of the workers that visitor makes, one per
// processor, or fewer where each needs much memory. A worker sees its windows in ascending order.
func (s *stream) scan(ctx context.Context, limit int64, before, after int64, memory int, visitor func() func(*window)) error {
	// Numbers before a window are read twice; a window is long enough that this costs little.
	length := s.piece * (1 + 4*before/s.piece)
	var next atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	for range min(int64(runtime.GOMAXPROCS(0)), (limit+length-1)/length, int64(max(1, workersMemory/max(1, memory)))) {
		visit := visitor()
		workers.Go(func() error {
			var buffer []byte
			for {
				start := (next.Add(1) - 1) * length
				if start >= limit {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				w := window{from: max(0, start-before), start: start, end: min(start+length, s.positions)}
				data, err := s.read(w.from, min(w.end+after, s.positions), buffer)
				if err != nil {
					return err
				}
				buffer = data
				if err := s.check(data[4*(w.start-w.from):4*(w.end-w.from)], w.start); err != nil {
					return err
				}
				w.data = data
				visit(&w)
			}
		})
	}
	return workers.Wait()
}

// A filter says of most runs of minSpan numbers at the cost of one probe that they are not in a set. It
// never says so of one that is.
type filter struct {
	bits  []uint64
	shift int
}

func newFilter(runs int) *filter {
	// One bit in 256 is set at most, and the bits of a short text stay in the first-level cache.
	log := max(13, bits.Len(uint(runs))+8)
	return &filter{bits: make([]uint64, 1<<(log-6)), shift: 64 - log}
}

// A key stands for the last minSpan numbers: what came before is shifted out. Different numbers may share it.
type key uint64

func (k key) then(number uint32) key { return k<<21 ^ key(number) }

func (f *filter) slot(k key) uint64 { return uint64(k<<1) * 0x9E3779B97F4A7C15 >> f.shift }

func (f *filter) add(run []uint32) {
	var k key
	for _, number := range run {
		k = k.then(number)
	}
	slot := f.slot(k)
	f.bits[slot>>6] |= 1 << (slot & 63)
}

func (f *filter) has(k key) bool {
	slot := f.slot(k)
	return f.bits[slot>>6]>>(slot&63)&1 != 0
}
