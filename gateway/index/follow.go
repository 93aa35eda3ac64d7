package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/gateway/block"
)

// Source is where blocks come from: a peer. The channel gives the blocks from the given number on, and is closed when
// the connection ends.
type Source interface {
	Blocks(ctx context.Context, from uint64) (<-chan *common.Block, error)
}

// Bounds of what one SQL transaction takes in while the index catches up.
const (
	maxBlocks = 256
	maxWrites = 10_000
	maxBytes  = 16 << 20
)

// ahead is how many blocks are decoded before they are written.
const ahead = 32

// The pauses between attempts to reach the source.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

var errEmptied = errors.New("the index was emptied and is filled again")

// Follow indexes the source's blocks until ctx ends, and then returns nil. When the source fails it begins again after
// a pause; it gives up only on a source whose blocks are of another channel ([ErrOtherChannel]).
func (x *Index) Follow(ctx context.Context, source Source) error {
	pause := firstPause
	for {
		before, _ := x.Height(ctx)
		err := x.follow(ctx, source)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrOtherChannel) {
			return err
		}
		after, _ := x.Height(ctx)
		if after > before {
			pause = firstPause
		}
		x.log.Warn("blocks do not come; trying again", "height", after, "error", err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		pause = min(2*pause, lastPause)
	}
}

// follow indexes what one connection to the source gives.
func (x *Index) follow(ctx context.Context, source Source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x.mu.Lock()
	emptied := x.emptied
	x.mu.Unlock()
	go func() {
		select {
		case <-emptied:
			cancel(errEmptied)
		case <-ctx.Done():
		}
	}()
	height, err := x.stored(ctx)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	x.advance(height)
	blocks, err := source.Blocks(ctx, height)
	if err != nil {
		return fmt.Errorf("ask for blocks from %d on: %w", height, err)
	}
	decoded, failed := x.decode(ctx, blocks)
	for {
		batch, ok := gather(decoded)
		if len(batch) > 0 {
			if err := x.apply(ctx, batch); err != nil {
				return err
			}
		}
		if !ok {
			return <-failed
		}
	}
}

// decode decodes blocks ahead of those that are written. The second channel gives the reason when the first one ends.
func (x *Index) decode(ctx context.Context, blocks <-chan *common.Block) (<-chan block.Block, <-chan error) {
	decoded, failed := make(chan block.Block, ahead), make(chan error, 1)
	decoder := block.NewDecoder(x.chaincode)
	go func() {
		defer close(decoded)
		for {
			select {
			case b, ok := <-blocks:
				if !ok {
					failed <- errors.New("the peer ended the connection")
					return
				}
				one, err := decoder.Decode(b)
				if err != nil {
					failed <- err
					return
				}
				select {
				case decoded <- one:
				case <-ctx.Done():
					failed <- context.Cause(ctx)
					return
				}
			case <-ctx.Done():
				failed <- context.Cause(ctx)
				return
			}
		}
	}()
	return decoded, failed
}

// gather waits for a block and takes with it those that wait behind, as far as one SQL transaction should hold them.
// ok is false when no more will come.
func gather(blocks <-chan block.Block) (batch []block.Block, ok bool) {
	b, ok := <-blocks
	writes, bytes := 0, 0
	for ok {
		batch = append(batch, b)
		for _, tx := range b.Transactions {
			writes++
			for _, w := range tx.Writes {
				writes++
				bytes += len(w.Key) + len(w.Value)
			}
			for _, g := range tx.Guards {
				writes++
				bytes += len(g.Key) + len(g.Policy)
			}
		}
		if len(batch) == maxBlocks || writes >= maxWrites || bytes >= maxBytes {
			return batch, true
		}
		select {
		case b, ok = <-blocks:
		default:
			return batch, true
		}
	}
	return batch, false
}
