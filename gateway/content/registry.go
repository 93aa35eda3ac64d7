package content

import (
	"context"
	"errors"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Registry is what the ledger knows of contributions.
type Registry interface {
	// Contribution shows a contribution in its latest revision, or fails with a *[ledger.Fault] of code not_found.
	Contribution(ctx context.Context, n contribution.Named) (contribution.Contribution, error)
}

// registered is a contribution, the zero one when it was never registered.
func registered(ctx context.Context, r Registry, n contribution.Named) (contribution.Contribution, error) {
	c, err := r.Contribution(ctx, n)
	var fault *ledger.Fault
	if errors.As(err, &fault) && fault.Code == ledger.CodeNotFound {
		return contribution.Contribution{}, nil
	}
	return c, err
}

// Prune drops the replicas that nobody has a use for: of rejected contributions, and of revisions that a later one has
// replaced. It returns the ids of what it dropped.
func (s *Store) Prune(ctx context.Context, r Registry) (dropped []string, err error) {
	for after := ""; ; {
		page, err := s.List(ctx, Held{After: after, Limit: 100})
		if err != nil || len(page) == 0 {
			return dropped, err
		}
		for _, info := range page {
			after = info.ID
			if !info.Replica || info.State == Uploading {
				continue
			}
			c, err := registered(ctx, r, info.Place)
			if err != nil {
				return dropped, err
			}
			if c.State == "" || c.State != contribution.Rejected && c.Commitment == info.Commitment {
				continue
			}
			if err := s.drop(ctx, info.ID); err != nil {
				return dropped, err
			}
			dropped = append(dropped, info.ID)
		}
	}
}
