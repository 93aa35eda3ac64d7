package fabric

import (
	"context"
	"fmt"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// Order hands the transaction to the ordering service and does not wait for its commit, for clients that follow the
// blocks (see [Client.Outcomes]) instead of asking for each transaction. The error is a [*RefusedError] when the
// transaction will never be ordered, and an [*UnknownError] when it may yet be.
func (e *Endorsed) Order(ctx context.Context) error {
	return order(ctx, e.transaction)
}

func order(ctx context.Context, tx *client.Transaction) error {
	if _, err := tx.SubmitWithContext(ctx); err != nil {
		if refused := refusal(tx.TransactionID(), err); refused != nil {
			return refused
		}
		return &UnknownError{TxID: tx.TransactionID(), Cause: err}
	}
	return nil
}

// Outcome is what became of an ordered transaction.
type Outcome struct {
	TxID string
	Code peer.TxValidationCode
}

// BlockOutcomes is what became of the transactions of one block, in their order.
type BlockOutcomes struct {
	Block    uint64
	Outcomes []Outcome
}

// Outcomes streams what became of the transactions of each block that the peer commits, from the given block on, until
// the context ends; then, or when the connection breaks, the channel is closed.
func (c *Client) Outcomes(ctx context.Context, from uint64) (<-chan BlockOutcomes, error) {
	blocks, err := c.network.FilteredBlockEvents(ctx, client.WithStartBlock(from))
	if err != nil {
		return nil, fmt.Errorf("follow the blocks of channel %s: %w", c.channel, err)
	}
	outcomes := make(chan BlockOutcomes)
	go func() {
		defer close(outcomes)
		for block := range blocks {
			next := BlockOutcomes{Block: block.GetNumber()}
			for _, tx := range block.GetFilteredTransactions() {
				next.Outcomes = append(next.Outcomes, Outcome{TxID: tx.GetTxid(), Code: tx.GetTxValidationCode()})
			}
			select {
			case outcomes <- next:
			case <-ctx.Done():
				return
			}
		}
	}()
	return outcomes, nil
}
