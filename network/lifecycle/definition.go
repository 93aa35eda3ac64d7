package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-admin-sdk/pkg/chaincode"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Definition is what members approve. Its endorsement policy is always the
// channel's /Channel/Application/Endorsement, a majority of the members.
type Definition struct {
	Channel  string
	Name     string
	Version  string
	Sequence int64
}

func (d Definition) String() string {
	return fmt.Sprintf("%s version %s, sequence %d", d.Name, d.Version, d.Sequence)
}

func (d Definition) forAdmin(packageID string) *chaincode.Definition {
	return &chaincode.Definition{
		ChannelName: d.Channel,
		PackageID:   packageID,
		Name:        d.Name,
		Version:     d.Version,
		Sequence:    d.Sequence,
	}
}

// Approve records the organisation's consent to the definition, to be run from
// its own package. It tries again until the context ends while the reason may
// pass, such as a peer that has not yet heard of the orderers.
func (p *Peer) Approve(ctx context.Context, d Definition, packageID string) error {
	err := p.persist(ctx, d.Channel,
		func(ctx context.Context) error {
			return chaincode.NewGateway(p.conn, p.id).Approve(ctx, d.forAdmin(packageID))
		},
		func(ctx context.Context) (bool, error) { return p.approved(ctx, d, packageID) },
	)
	if err != nil {
		return fmt.Errorf("%s: approve %s: %w", p.id.MspID(), d, err)
	}
	return nil
}

// approved is no error if there is no approval yet.
func (p *Peer) approved(ctx context.Context, d Definition, packageID string) (bool, error) {
	result, err := chaincode.NewGateway(p.conn, p.id).QueryApproved(ctx, d.Channel, d.Name, d.Sequence)
	if err != nil {
		return false, nil
	}
	return result.GetVersion() == d.Version && result.GetSource().GetLocalPackage().GetPackageId() == packageID, nil
}

// Commit makes the definition the channel's. A majority of members must have
// approved it.
//
// It tries again until the context ends: an approval is answered when one peer
// has committed it, so the others may still disagree about who approved, which
// shows as proposal responses that do not match.
func (p *Peer) Commit(ctx context.Context, d Definition) error {
	err := p.persist(ctx, d.Channel,
		func(ctx context.Context) error {
			return chaincode.NewGateway(p.conn, p.id).Commit(ctx, d.forAdmin(""))
		},
		func(ctx context.Context) (bool, error) {
			committed, found, err := p.Committed(ctx, d.Channel, d.Name)
			if err != nil || !found || committed.Sequence < d.Sequence {
				return false, err
			}
			if committed != d {
				return false, permanent{fmt.Errorf("the channel already has %s", committed)}
			}
			return true, nil
		},
	)
	if err != nil {
		return fmt.Errorf("%s: commit %s: %w", p.id.MspID(), d, err)
	}
	return nil
}

// Committed is the definition that is in force, if there is one, as the peer
// knows it.
func (p *Peer) Committed(ctx context.Context, channelName, name string) (d Definition, found bool, err error) {
	result, err := chaincode.NewGateway(p.conn, p.id).QueryCommitted(ctx, channelName)
	if err != nil {
		return d, false, fmt.Errorf("%s: list committed chaincode: %w", p.id.MspID(), err)
	}
	for _, c := range result.GetChaincodeDefinitions() {
		if c.GetName() == name {
			return Definition{Channel: channelName, Name: name, Version: c.GetVersion(), Sequence: c.GetSequence()}, true, nil
		}
	}
	return d, false, nil
}

// permanent marks an error that trying again cannot cure.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func isPermanent(err error) bool {
	if errors.As(err, new(permanent)) {
		return true
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	return false
}

// valid is the only validation code that lets a transaction take effect.
func valid(code peer.TxValidationCode) bool { return code == peer.TxValidationCode_VALID }
