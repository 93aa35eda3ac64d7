package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/audit/bundle"
)

// passage is a block on its way from the reader, over a worker, to the one who applies it.
type passage struct {
	block   *common.Block
	size    int64
	checked *checked
	ready   chan struct{} // closed when it is checked
	applied chan struct{} // closed when it is applied; only for a configuration
	err     error         // of the reader, in place of a block
}

// blocks verifies all blocks: one goroutine reads them, workers check several at once what needs no state, this one
// applies them in order. After a configuration reading waits until it is applied.
func (v *verifier) blocks(ctx context.Context, r *bundle.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel(nil)
	toCheck, inOrder := make(chan *passage), make(chan *passage, mostBlocks)
	v.helpers = make(chan func())
	room := newRoom(mostBytes)
	group.Go(func() {
		defer close(inOrder)
		defer close(toCheck)
		v.read(ctx, r, room, toCheck, inOrder)
	})
	for range v.options.Workers {
		group.Go(func() { v.work(toCheck) })
	}
	for p := range inOrder {
		if p.err != nil {
			if !errors.Is(p.err, bundle.ErrDamaged) {
				return p.err
			}
			f := Finding{Severity: Forged, Rule: RuleBundle, Block: v.report.Height, Message: p.err.Error()}
			if v.cut = v.report.Height < r.Manifest.Height; v.cut {
				f.Message += "; from here on blocks are not checked, nor what rests on the state after the last one"
				v.state, v.rerun = nil, nil
			}
			v.find(f)
			return nil
		}
		select {
		case <-p.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		v.applyOrGiveUp(p.checked)
		room.leave(p.size)
		if p.applied != nil {
			close(p.applied)
		}
		if v.options.Progress != nil {
			v.options.Progress(v.report.Height-v.report.First, r.Manifest.Height-r.Manifest.First)
		}
	}
	return context.Cause(ctx)
}

func (v *verifier) read(ctx context.Context, r *bundle.Reader, room *room, toCheck, inOrder chan<- *passage) {
	for block, err := range r.Blocks() {
		p := &passage{block: block, err: err, ready: make(chan struct{})}
		if err == nil {
			p.size = sizeOf(block)
			if isConfiguration(block) {
				p.applied = make(chan struct{})
			}
			if !room.enter(ctx, p.size) {
				return
			}
			select {
			case toCheck <- p:
			case <-ctx.Done():
				return
			}
		}
		select {
		case inOrder <- p:
		case <-ctx.Done():
			return
		}
		if p.applied != nil {
			select {
			case <-p.applied:
			case <-ctx.Done():
				return
			}
		}
	}
}

// work checks blocks, and helps where it is asked to while there are none.
func (v *verifier) work(toCheck <-chan *passage) {
	for {
		select {
		case p, open := <-toCheck:
			if !open {
				return
			}
			p.checked = v.checkBlock(p.block)
			close(p.ready)
		case help := <-v.helpers:
			help()
		}
	}
}

// share calls do for 0 to n-1, on this goroutine and on workers that are idle. A panic of any call becomes one here.
func (v *verifier) share(n int, do func(i int)) {
	var next atomic.Int64
	var panicked atomic.Value
	loop := func() {
		defer func() {
			if p := recover(); p != nil {
				panicked.CompareAndSwap(nil, fmt.Sprint(p))
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var helped sync.WaitGroup
	for range min(v.options.Workers, n) - 1 {
		helped.Add(1)
		select {
		case v.helpers <- func() { defer helped.Done(); loop() }:
		default:
			helped.Done()
		}
	}
	loop()
	helped.Wait()
	if p := panicked.Load(); p != nil {
		panic(p)
	}
}

// room bounds the bytes on the way. One block has always room.
type room struct {
	guard sync.Mutex
	free  int64
	size  int64
	left  chan struct{}
}

func newRoom(size int64) *room { return &room{free: size, size: size, left: make(chan struct{}, 1)} }

// enter waits for room, and returns false when the context ends. Only one goroutine may enter.
func (r *room) enter(ctx context.Context, bytes int64) bool {
	for {
		r.guard.Lock()
		if r.free >= bytes || r.free == r.size {
			r.free -= bytes
			r.guard.Unlock()
			return true
		}
		r.guard.Unlock()
		select {
		case <-r.left:
		case <-ctx.Done():
			return false
		}
	}
}

func (r *room) leave(bytes int64) {
	r.guard.Lock()
	r.free += bytes
	r.guard.Unlock()
	select {
	case r.left <- struct{}{}:
	default:
	}
}
