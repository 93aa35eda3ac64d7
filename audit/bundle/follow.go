package bundle

import (
	"context"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
)

// Follow appends blocks from a peer's stream until the bundle has the given height. It fails when the stream ends before,
// or is silent for too long; what was appended by then stays, and another Follow goes on there. Progress, unless nil, is
// told of each block.
func (w *Writer) Follow(ctx context.Context, blocks <-chan *common.Block, height uint64, silence time.Duration, progress func(*common.Block)) error {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for w.Next() < height {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return fmt.Errorf("the peer sent nothing for %s after block %d: repeat the export to go on", silence, w.Next())
		case block, open := <-blocks:
			if !open {
				return fmt.Errorf("the peer ended the stream before block %d: repeat the export to go on", w.Next())
			}
			if err := w.Append(block); err != nil {
				return err
			}
			timer.Reset(silence)
			if progress != nil {
				progress(block)
			}
		}
	}
	return nil
}
