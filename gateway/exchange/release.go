package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
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

// Opening writes what opens the commitment of a contribution, in the form of package parts, under a release that a holder
// records. The holders are asked one after another until one answers. Nothing is kept here, and whoever reads it holds it
// against the commitment.
func (c *Client) Opening(ctx context.Context, of contribution.Contribution, h access.Handover, out io.Writer, holders ...string) error {
	failures := []error{errors.New("no holder's gateway handed it over")}
	for _, msp := range holders {
		asked := h
		asked.ID = releaseID(h.ID, msp)
		body, err := c.opening(ctx, of, asked, msp)
		if err == nil {
			_, err = io.Copy(out, body)
			return errors.Join(err, body.Close())
		}
		failures = append(failures, fmt.Errorf("%s: %w", msp, err))
	}
	return fmt.Errorf("fetch contribution %s of %s: %w", of.ID, of.Datanet, errors.Join(failures...))
}

func (c *Client) opening(ctx context.Context, of contribution.Contribution, h access.Handover, msp string) (io.ReadCloser, error) {
	if err := c.release(ctx, msp, h); err != nil {
		return nil, err
	}
	query := url.Values{"datanet": {of.Datanet}, "contribution": {of.ID}, "release": {h.ID}}
	response, err := c.do(ctx, msp, http.MethodGet, contentsPath+of.Commitment+"/opening", query, nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
