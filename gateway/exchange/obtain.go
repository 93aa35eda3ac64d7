package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
)

const (
	// together is how many contributions one release names.
	together = 500
	// refusals bounds how many are asked for alone in vain.
	refusals = 8
	// releaseWindow is how long one release is asked for under the same id.
	releaseWindow = 48 * time.Hour
)

// Obtain has the contents of contributions in the store, released for the right that h says; it names datanet, recipient
// and reason. The contributions are of that datanet and of members of one organisation. What is in the store already is
// released without being sent. holders tells whom to ask for a contribution, without this gateway's own organisation.
// Where they are refused together, each is asked for alone, until too many are refused.
func (c *Client) Obtain(ctx context.Context, store *content.Store, h access.Handover, list []contribution.Contribution,
	holders func(context.Context, contribution.Contribution) ([]string, error)) error {
	for some := range slices.Chunk(list, together) {
		err := c.obtain(ctx, store, h, some, holders)
		if err == nil {
			continue
		}
		var refusal *Refusal
		if len(some) == 1 || !errors.As(err, &refusal) {
			return err
		}
		var failures []error
		for i := range some {
			if err := c.obtain(ctx, store, h, some[i:i+1], holders); err != nil {
				if failures = append(failures, err); len(failures) == refusals || ctx.Err() != nil {
					break
				}
			}
		}
		if len(failures) > 0 {
			return errors.Join(failures...)
		}
	}
	return nil
}

func (c *Client) obtain(ctx context.Context, store *content.Store, h access.Handover, some []contribution.Contribution,
	holders func(context.Context, contribution.Contribution) ([]string, error)) error {
	h.Contributions = nil
	for _, of := range some {
		h.Contributions = append(h.Contributions, of.ID)
	}
	h.ID = obtainID(h, time.Now())
	from, err := holders(ctx, some[0])
	if err != nil {
		return err
	}
	fetched := false
	for _, of := range some {
		info, err := store.Find(ctx, of.Name(), of.Commitment)
		switch {
		case err == nil && info.State == content.Ready:
			continue
		case err != nil && !errors.Is(err, content.ErrNotFound):
			return err
		}
		if _, err := c.Fetch(ctx, store, of, h, from...); err != nil {
			return err
		}
		fetched = true
	}
	if fetched {
		return nil
	}
	return c.Release(ctx, h, from...)
}

// obtainID names a release by what it is of and for whom, so that asking again is the same release for some time.
func obtainID(h access.Handover, now time.Time) string {
	h.ID = ""
	document, err := ledger.Encode(h)
	if err != nil { // no handover that a right makes
		panic(fmt.Sprintf("exchange: %v", err))
	}
	sum := sha256.Sum256(fmt.Appendf(document, " obtain %d", now.Unix()/int64(releaseWindow/time.Second)))
	return hex.EncodeToString(sum[:16])
}
