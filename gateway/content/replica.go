package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
)

// Replicas of other members' contents arrive as uploads do, in pieces, each durable; the sender's head comes first. They
// count only once their records open the commitment on the ledger. Counts and fingerprint are not compared: that the
// ledger's are right is for validators to find, who have to read the content for it.

// BeginReplica begins to receive the content of a contribution as the ledger has it, or goes on with what was received:
// [Info.Received] says where. It fails with [ErrMismatch] when the head does not open the descriptor's commitment, with
// [ErrErased] when the contribution was erased here.
func (s *Store) BeginReplica(ctx context.Context, of contribution.Contribution, head Head) (Info, error) {
	size, err := head.check(s.options.Limits)
	if err != nil {
		return Info{}, err
	}
	if attribution.CommitDescriptor(head.DescriptorSalt, head.Descriptor).String() != of.Descriptor {
		return Info{}, fmt.Errorf("the descriptor: %w", ErrMismatch)
	}
	r := row{Info: Info{ID: newID(), Replica: true, Account: of.Contributor, Place: of.Name(), Commitment: of.Commitment, Size: size}}
	for {
		held, err := s.Find(ctx, of.Name(), of.Commitment)
		if err == nil {
			again, err := s.continued(ctx, held, head)
			if err != nil || again {
				return held, err
			}
		} else if !errors.Is(err, ErrNotFound) {
			return Info{}, err
		}
		info, created, err := s.begin(ctx, r, dossier{Files: head.Files, Rules: head.Rules, Salt: head.Salt, DescriptorSalt: head.DescriptorSalt, Descriptor: head.Descriptor,
			Prepared: Prepared{MediaType: of.MediaType, Commitment: of.Commitment, Descriptor: of.Descriptor, Records: of.Records, Tokens: of.Tokens, Fingerprint: of.Fingerprint}})
		if err != nil || created {
			return info, err
		}
	}
}

// continued tells whether what is held goes on with this head. What another sender began with another head is dropped:
// only one of them can open the commitment.
func (s *Store) continued(ctx context.Context, held Info, head Head) (bool, error) {
	if held.State == Ready {
		return true, nil
	}
	c, err := s.open(ctx, held.ID)
	if err != nil {
		return false, err
	}
	if c.Head().equal(head) {
		return true, nil
	}
	return false, s.drop(ctx, held.ID)
}

// AppendReplica is [Store.Append] for a replica.
func (s *Store) AppendReplica(ctx context.Context, id string, offset int64, body io.Reader) (Info, error) {
	c, err := s.replica(ctx, id)
	if err != nil {
		return Info{}, err
	}
	return s.append(ctx, c, offset, body)
}

// FinishReplica reads a replica that is all there and keeps it if its records open the commitment. Else it is dropped,
// and the answer is [ErrMismatch].
func (s *Store) FinishReplica(ctx context.Context, id string) (Info, error) {
	c, err := s.replica(ctx, id)
	switch {
	case err != nil:
		return Info{}, err
	case c.State == Ready:
		return c.Info, nil
	case c.Received < c.Size:
		return c.Info, &OffsetError{Received: c.Received}
	}
	m, err := c.ingest(ctx, func([]byte) error { return nil })
	if ctx.Err() != nil {
		return c.Info, ctx.Err()
	}
	if err == nil && attribution.CommitRoot(c.Salt, m.Root).String() != c.Commitment {
		err = errors.New("other records")
	}
	if err != nil {
		return c.Info, errors.Join(fmt.Errorf("contribution %s of %s: %w: %w", c.Place.ID, c.Place.Datanet, ErrMismatch, err), s.drop(ctx, id))
	}
	s.fail(stepRead)
	done := c.dossier
	done.Manifest = m
	if err := s.ready(ctx, c, done, c.Commitment); err != nil && !errors.Is(err, ErrFinished) {
		return c.Info, err
	}
	c, err = s.open(ctx, id)
	if err != nil {
		return Info{}, err
	}
	return c.Info, s.replaced(ctx, c.Info)
}

func (s *Store) replica(ctx context.Context, id string) (*Content, error) {
	c, err := s.open(ctx, id)
	if err == nil && !c.Replica {
		return nil, ErrNotFound
	}
	return c, err
}

// Drop erases a replica that is no longer needed, as that of a rejected contribution. It may be received again.
func (s *Store) Drop(ctx context.Context, id string) error {
	if _, err := s.replica(ctx, id); err != nil {
		return err
	}
	return s.drop(ctx, id)
}

func (h Head) equal(o Head) bool {
	return slices.Equal(h.Files, o.Files) && equalRules(h.Rules, o.Rules) && h.Salt == o.Salt && h.DescriptorSalt == o.DescriptorSalt &&
		bytes.Equal(h.Descriptor, o.Descriptor)
}
