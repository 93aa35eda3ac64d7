package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"google.golang.org/grpc"
)

// Broadcast hands an envelope, such as a configuration update, to the first of
// the orderers that accepts it. Acceptance is not commitment: wait for the
// effect with AwaitConfig.
func Broadcast(ctx context.Context, orderers []grpc.ClientConnInterface, envelope *common.Envelope) error {
	if len(orderers) == 0 {
		return errors.New("broadcast: no orderer to send to")
	}
	var faults []error
	for _, conn := range orderers {
		err := broadcast(ctx, conn, envelope)
		if err == nil {
			return nil
		}
		faults = append(faults, err)
		if isPermanent(err) || ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("broadcast: %w", errors.Join(faults...))
}

func broadcast(ctx context.Context, conn grpc.ClientConnInterface, envelope *common.Envelope) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := orderer.NewAtomicBroadcastClient(conn).Broadcast(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(envelope); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	switch answer.GetStatus() {
	case common.Status_SUCCESS:
		return nil
	case common.Status_BAD_REQUEST, common.Status_FORBIDDEN, common.Status_REQUEST_ENTITY_TOO_LARGE:
		return permanent{fmt.Errorf("the orderer refuses it with %s: %s", answer.GetStatus(), answer.GetInfo())}
	default:
		return fmt.Errorf("the orderer answers %s: %s", answer.GetStatus(), answer.GetInfo())
	}
}

// AwaitConfig waits until the peer has a configuration that satisfies the
// condition, and returns it.
func (p *Peer) AwaitConfig(ctx context.Context, channelName string, condition func(*common.Config) bool) (*common.Config, error) {
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		config, err := p.Config(ctx, channelName)
		if err == nil && condition(config) {
			return config, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("peer of %s: wait for configuration of %s: %w", p.id.MspID(), channelName, errors.Join(context.Cause(ctx), err))
		case <-ticker.C:
		}
	}
}
