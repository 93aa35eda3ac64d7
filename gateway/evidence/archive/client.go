package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

// maxAbout bounds what is read of a description, in bytes.
const maxAbout = 4 << 20

// Client reads the archives of hosts' gateways.
type Client struct {
	http      *http.Client
	addresses map[string]string
}

// NewClient returns a client that reaches gateways at the base URLs of their organisations, by MSP ID; transport as of
// [exchange.NewClient].
func NewClient(transport http.RoundTripper, addresses map[string]string) *Client {
	never := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &http.Client{Transport: transport, CheckRedirect: never}, addresses: addresses}
}

// ErrMalformed is an answer that no honest host gives. Every other failure but an *[exchange.Refusal] may pass.
var ErrMalformed = errors.New("the host's gateway does not answer as the protocol says")

// About asks what a settlement is of.
func (c *Client) About(ctx context.Context, n claim.Named) (about About, err error) {
	body, err := c.ask(ctx, n, http.MethodGet, "", nil, nil)
	if err != nil {
		return about, err
	}
	defer body.Close()
	document, err := io.ReadAll(io.LimitReader(body, maxAbout+1))
	if err != nil {
		return about, err
	}
	if len(document) > maxAbout || json.Unmarshal(document, &about, json.RejectUnknownMembers(true)) != nil {
		return about, ErrMalformed
	}
	return about, nil
}

// Leaves streams the leaves of sessions, each from a place on to where the settlement has brought it, USE/1 after USE/1.
// The caller knows how many there are, and closes it.
func (c *Client) Leaves(ctx context.Context, n claim.Named, from ...Place) (io.ReadCloser, error) {
	return c.ask(ctx, n, http.MethodPost, "/leaves", nil, encodePlaces(from))
}

// Receipts calls each with the receipt of every use in turn, which is nil where the session discloses nothing.
func (c *Client) Receipts(ctx context.Context, n claim.Named, of []Place, each func(i int, receipt []byte) error) error {
	return c.frames(ctx, n, "/receipts", nil, of, each)
}

// Texts calls each with the evidence of every use in turn, EVIDENCE/1, which is nil where the session discloses nothing.
// rate is at which the attestor draws, in ppm: the same for all of a settlement.
func (c *Client) Texts(ctx context.Context, n claim.Named, rate int, of []Place, each func(i int, encoded []byte) error) error {
	return c.frames(ctx, n, "/texts", url.Values{"rate": {strconv.Itoa(min(rate, use.All))}}, of, each)
}

func (c *Client) frames(ctx context.Context, n claim.Named, route string, query url.Values, of []Place, each func(i int, frame []byte) error) error {
	for at := 0; at < len(of); at += MaxPlaces {
		some := of[at:min(at+MaxPlaces, len(of))]
		body, err := c.ask(ctx, n, http.MethodPost, route, query, encodePlaces(some))
		if err != nil {
			return err
		}
		in := bufio.NewReaderSize(body, 64<<10)
		for i := range some {
			frame, err := readFrame(in)
			if err == nil {
				if len(frame) == 0 {
					frame = nil
				}
				err = each(at+i, frame)
			}
			if err != nil {
				return errors.Join(err, body.Close())
			}
		}
		if err := body.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) ask(ctx context.Context, n claim.Named, method, route string, query url.Values, body []byte) (io.ReadCloser, error) {
	base, ok := c.addresses[n.Host.MSP()]
	if !ok {
		return nil, fmt.Errorf("ask the gateway of %s: its address is not configured", n.Host.MSP())
	}
	path := Prefix + url.PathEscape(string(n.Host)) + "/" + url.PathEscape(n.ID) + route
	request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the gateway of %s: %w", n.Host.MSP(), err)
	}
	request.URL.RawQuery = query.Encode()
	if body != nil {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway of %s: %w", n.Host.MSP(), err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, exchange.ReadRefusal(response)
	}
	return response.Body, nil
}
