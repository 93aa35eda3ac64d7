package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/access"
)

// ReleaseID is the id under which a holder records a release that was asked for by [Client.Fetch] or [Client.Release].
func ReleaseID(id, msp string) string { return releaseID(id, msp) }

// Release has a holder record a release of what is in the store already, as for a second validator of an organisation.
// The holders are asked one after another until one does.
func (c *Client) Release(ctx context.Context, h access.Handover, holders ...string) error {
	failures := []error{errors.New("no holder's gateway released it")}
	for _, msp := range c.order(holders) {
		asked := h
		asked.ID = releaseID(h.ID, msp)
		err := c.release(ctx, msp, asked)
		if err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", msp, err))
	}
	return fmt.Errorf("release contents of %s: %w", h.Datanet, errors.Join(failures...))
}
