package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-admin-sdk/pkg/chaincode"
	adminchannel "github.com/hyperledger/fabric-admin-sdk/pkg/channel"
	"github.com/hyperledger/fabric-admin-sdk/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/network/channel"
)

// Peer acts on an organisation's peer as its administrator. Some queries work
// for other identities too. It may be used concurrently.
type Peer struct {
	conn grpc.ClientConnInterface
	id   identity.SigningIdentity
}

// NewPeer uses a connection that the caller keeps and closes.
func NewPeer(conn grpc.ClientConnInterface, id identity.SigningIdentity) *Peer {
	return &Peer{conn: conn, id: id}
}

// Join makes the peer a part of the channel whose genesis block it is given.
func (p *Peer) Join(ctx context.Context, genesis *common.Block) error {
	_, name, err := channel.ConfigOf(genesis)
	if err != nil {
		return fmt.Errorf("peer of %s: join channel: %w", p.id.MspID(), err)
	}
	joined, err := p.joined(ctx, name)
	if err != nil || joined {
		return err
	}
	err = adminchannel.JoinChannel(ctx, p.conn, p.id, genesis)
	if err == nil {
		return nil
	}
	// Somebody else may have been faster, or the answer was lost.
	if joined, again := p.joined(ctx, name); again == nil && joined {
		return nil
	}
	return fmt.Errorf("peer of %s: join channel %s: %w", p.id.MspID(), name, err)
}

func (p *Peer) joined(ctx context.Context, name string) (bool, error) {
	channels, err := adminchannel.ListChannelOnPeer(ctx, p.conn, p.id)
	if err != nil {
		return false, fmt.Errorf("peer of %s: list channels: %w", p.id.MspID(), err)
	}
	for _, c := range channels {
		if c.GetChannelId() == name {
			return true, nil
		}
	}
	return false, nil
}

// Install puts the package on the peer.
func (p *Peer) Install(ctx context.Context, pkg Package) error {
	installed, err := p.Installed(ctx, pkg.ID)
	if err != nil || installed {
		return err
	}
	admin := chaincode.NewPeer(p.conn, p.id)
	_, err = admin.Install(ctx, bytes.NewReader(pkg.Bytes))
	if err == nil {
		return nil
	}
	if installed, again := p.Installed(ctx, pkg.ID); again == nil && installed {
		return nil
	}
	return fmt.Errorf("peer of %s: install %s: %w", p.id.MspID(), pkg.ID, err)
}

// Installed says whether the peer has the package.
func (p *Peer) Installed(ctx context.Context, packageID string) (bool, error) {
	result, err := chaincode.NewPeer(p.conn, p.id).QueryInstalled(ctx)
	if err != nil {
		return false, fmt.Errorf("peer of %s: list installed chaincode: %w", p.id.MspID(), err)
	}
	for _, c := range result.GetInstalledChaincodes() {
		if c.GetPackageId() == packageID {
			return true, nil
		}
	}
	return false, nil
}

// ConfigBlock is the channel's latest configuration block that the peer has.
func (p *Peer) ConfigBlock(ctx context.Context, channelName string) (*common.Block, error) {
	block, err := adminchannel.GetConfigBlock(ctx, p.conn, p.id, channelName)
	if err != nil {
		return nil, fmt.Errorf("peer of %s: fetch configuration of %s: %w", p.id.MspID(), channelName, err)
	}
	// A refusal arrives as an empty block: the SDK drops the status.
	if block.GetHeader() == nil {
		return nil, fmt.Errorf("peer of %s: fetch configuration of %s: the peer has not joined the channel, or refuses this identity", p.id.MspID(), channelName)
	}
	return block, nil
}

// Config is the channel's latest configuration that the peer has.
func (p *Peer) Config(ctx context.Context, channelName string) (*common.Config, error) {
	block, err := p.ConfigBlock(ctx, channelName)
	if err != nil {
		return nil, err
	}
	config, _, err := channel.ConfigOf(block)
	if err != nil {
		return nil, fmt.Errorf("peer of %s: %w", p.id.MspID(), err)
	}
	return config, nil
}

// Height is the number of blocks that the peer has committed, and the hash of
// the last one's header.
func (p *Peer) Height(ctx context.Context, channelName string) (height uint64, lastHash []byte, err error) {
	info, err := adminchannel.GetBlockChainInfo(ctx, p.conn, p.id, channelName)
	if err == nil && info.GetHeight() == 0 {
		err = errors.New("the peer has not joined the channel, or refuses this identity")
	}
	if err != nil {
		return 0, nil, fmt.Errorf("peer of %s: ask for height of %s: %w", p.id.MspID(), channelName, err)
	}
	return info.GetHeight(), info.GetCurrentBlockHash(), nil
}
