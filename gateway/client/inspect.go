package client

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"
)

// Inspection is what a connection shows of a gateway.
type Inspection struct {
	Certificate *x509.Certificate // the gateway's own
	// Offset is how far the gateway's clock is ahead of this machine's, to within a second and the time of a request.
	Offset time.Duration
	Took   time.Duration
}

// Inspect looks at the gateway's certificate and clock.
func (c *Client) Inspect(ctx context.Context) (Inspection, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/healthz", nil)
	if err != nil {
		return Inspection{}, fmt.Errorf("look at the gateway: %w", err)
	}
	begin := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		return Inspection{}, c.unreachable(err)
	}
	defer response.Body.Close()
	end := time.Now()
	found := Inspection{Took: end.Sub(begin)}
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		found.Certificate = response.TLS.PeerCertificates[0]
	}
	stamp, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return found, fmt.Errorf("look at the gateway's clock: %w", err)
	}
	// The header has whole seconds: what is within them is no offset.
	switch {
	case stamp.After(end):
		found.Offset = stamp.Sub(end)
	case stamp.Add(time.Second).Before(begin):
		found.Offset = stamp.Add(time.Second).Sub(begin)
	}
	return found, nil
}
