package server

import (
	"context"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
)

// block reads one block from the own peer, for audits.
func (s *Server) block(ctx context.Context, number uint64) (*common.Block, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks, err := s.self.Blocks(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("ask the peer for block %d: %w", number, err)
	}
	select {
	case b, ok := <-blocks:
		if ok {
			return b, nil
		}
		return nil, fmt.Errorf("ask the peer for block %d: the connection ended", number)
	case <-ctx.Done():
		return nil, fmt.Errorf("ask the peer for block %d: %w", number, ctx.Err())
	}
}
