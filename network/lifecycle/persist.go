package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

const (
	// retryInterval is shorter than a block takes, so that a retry costs
	// little of a network's start.
	retryInterval = 100 * time.Millisecond

	// statusTimeout is how long a transaction whose submission failed is
	// given to turn up in a block. Several blocks fit into it, and one that
	// comes later does no harm: the next attempt finds its work done.
	statusTimeout = time.Second
)

// refusals are the answers of Fabric's lifecycle that stay the same however
// often one asks.
var refusals = []string{
	"requested sequence is",
	"access denied",
	"permission denied",
	"is not a member of",
}

// persist attempts a lifecycle transaction until it is done, the reason for
// failure is lasting, or the context ends. What counts is not the answer but
// the state: an attempt may report failure and yet have taken effect.
func (p *Peer) persist(ctx context.Context, channelName string, attempt func(context.Context) error, done func(context.Context) (bool, error)) error {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	var last error
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if err == nil {
			if err = attempt(ctx); err == nil {
				return nil
			}
			err = p.settle(ctx, channelName, err)
			if err == nil {
				return nil
			}
		}
		if isPermanent(err) || refused(err) {
			// It may be permanent because it is done.
			if ok, again := done(ctx); again == nil && ok {
				return nil
			}
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last attempt failed: %w", context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

// settle asks what became of a transaction that was endorsed but whose
// submission or status failed. On BFT the gateway reports such failures for
// transactions that the orderers have accepted. It returns nil if the
// transaction is valid, and the original error if that remains unknown.
func (p *Peer) settle(ctx context.Context, channelName string, err error) error {
	var (
		submit *client.SubmitError
		lost   *client.CommitStatusError
		id     string
	)
	switch {
	case errors.As(err, &submit):
		id = submit.TransactionID
	case errors.As(err, &lost):
		id = lost.TransactionID
	default:
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answer, asked := p.commitStatus(ctx, channelName, id)
	switch {
	case asked != nil:
		return err
	case valid(answer.GetResult()):
		return nil
	default:
		return fmt.Errorf("transaction %s: %s: %w", id, answer.GetResult(), err)
	}
}

func (p *Peer) commitStatus(ctx context.Context, channelName, transactionID string) (*gateway.CommitStatusResponse, error) {
	creator, err := proto.Marshal(&msp.SerializedIdentity{Mspid: p.id.MspID(), IdBytes: p.id.Credentials()})
	if err != nil {
		return nil, err
	}
	request, err := proto.Marshal(&gateway.CommitStatusRequest{ChannelId: channelName, TransactionId: transactionID, Identity: creator})
	if err != nil {
		return nil, err
	}
	signature, err := p.id.Sign(request)
	if err != nil {
		return nil, err
	}
	return gateway.NewGatewayClient(p.conn).CommitStatus(ctx, &gateway.SignedCommitStatusRequest{Request: request, Signature: signature})
}

func refused(err error) bool {
	text := err.Error()
	for _, r := range refusals {
		if strings.Contains(text, r) {
			return true
		}
	}
	return false
}
