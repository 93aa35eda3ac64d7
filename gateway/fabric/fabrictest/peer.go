package fabrictest

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
)

// Listen serves the network as a peer does, over TLS on this machine, until the test ends, and returns its address. The
// chain has the network's blocks: it grows as the in-memory ledger commits, and from now on only through this network.
func (n *Network) Listen(t *testing.T, certificate tls.Certificate, chain *blocktest.Chain) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	gateway.RegisterGatewayServer(server, n)
	peer.RegisterDeliverServer(server, &delivery{network: n, chain: chain})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-done)
	})
	return listener.Addr().String()
}

// delivery streams whole blocks.
type delivery struct {
	peer.UnimplementedDeliverServer
	network *Network
	chain   *blocktest.Chain
}

func (d *delivery) Deliver(stream peer.Deliver_DeliverServer) error {
	envelope, err := stream.Recv()
	if err != nil {
		return err
	}
	payload, seek := &common.Payload{}, &orderer.SeekInfo{}
	if proto.Unmarshal(envelope.GetPayload(), payload) != nil || proto.Unmarshal(payload.GetData(), seek) != nil {
		return status.Error(codes.InvalidArgument, "this asks for no blocks")
	}
	for next := seek.GetStart().GetSpecified().GetNumber(); ; {
		d.network.mutex.Lock()
		var ready []*common.Block
		if next < uint64(len(d.chain.Blocks)) {
			ready = d.chain.Blocks[next:]
		}
		changed := d.network.changed
		d.network.mutex.Unlock()
		for _, b := range ready {
			next++
			if err := stream.Send(&peer.DeliverResponse{Type: &peer.DeliverResponse_Block{Block: b}}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}
