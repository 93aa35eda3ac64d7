package fabric

import (
	"context"
	"fmt"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// Height is how many blocks a peer of the client's own organisation has.
func (c *Client) Height(ctx context.Context) (uint64, error) {
	proposal, err := c.network.GetContract("qscc").NewProposal("GetChainInfo", client.WithArguments(c.channel),
		client.WithEndorsingOrganizations(c.identity.MspID()))
	if err != nil {
		return 0, fmt.Errorf("ask for the height of channel %s: %w", c.channel, err)
	}
	answer, err := proposal.EvaluateWithContext(ctx)
	if err != nil {
		return 0, explain("ask for the height of channel "+c.channel, err)
	}
	info := &common.BlockchainInfo{}
	if err := proto.Unmarshal(answer, info); err != nil {
		return 0, fmt.Errorf("ask for the height of channel %s: %w", c.channel, err)
	}
	return info.GetHeight(), nil
}

// Event is what a valid transaction said about itself.
type Event struct {
	Block   uint64
	TxID    string
	Name    string // "approval.finalised/1"
	Payload []byte // a JSON document
}

// Events streams the events of the chaincode's valid transactions, from the given block on, until the context ends; then,
// or when the connection breaks, the channel is closed.
func (c *Client) Events(ctx context.Context, from uint64) (<-chan Event, error) {
	source, err := c.network.ChaincodeEvents(ctx, c.name, client.WithStartBlock(from))
	if err != nil {
		return nil, explain("follow the events of channel "+c.channel, err)
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		for e := range source {
			select {
			case events <- Event{Block: e.BlockNumber, TxID: e.TransactionID, Name: e.EventName, Payload: e.Payload}:
			case <-ctx.Done(): // the source ends soon, but waits for a reader until then
			}
		}
	}()
	return events, nil
}
