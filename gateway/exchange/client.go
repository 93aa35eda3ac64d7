package exchange

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/fingerprint"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// Client fetches from other members' gateways.
type Client struct {
	http      *http.Client
	addresses map[string]string

	mu       sync.Mutex
	fetching map[string]chan struct{} // by commitment; closed when the fetch ends
	away     map[string]time.Time     // gateways that did not answer, by MSP ID, and until when they are asked last
}

// awayFor is how long a gateway that did not answer is asked after the others: connecting to one in vain may take long.
const awayFor = 30 * time.Second

// NewClient returns a client that reaches gateways at the base URLs of their organisations, by MSP ID. transport speaks
// TLS 1.3 with the client certificate of this gateway and verifies each gateway's by its organisation's authority; it
// should bound how long headers take.
func NewClient(transport http.RoundTripper, addresses map[string]string) *Client {
	never := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &http.Client{Transport: transport, CheckRedirect: never}, addresses: addresses, fetching: map[string]chan struct{}{}, away: map[string]time.Time{}}
}

// Holders are the organisations that may hand on a contribution, in the order in which to ask them: the contributor's,
// the datanet's owner, and those that the ledger says have custody of it.
func Holders(c contribution.Contribution, custody ...string) []string {
	holders := []string{c.Contributor.MSP()}
	for _, msp := range append([]string{ledger.Owner(c.Datanet)}, custody...) {
		if !slices.Contains(holders, msp) {
			holders = append(holders, msp)
		}
	}
	return holders
}

// Fetch has the content of a contribution in the store: it is there, or the holders are asked one after another until
// one hands it over. h says by what right it is fetched and which contributions are, this one among them; each holder
// records it on the ledger under an id of its own that follows from h.ID, so that a repetition is the same release. What
// does not open the commitment is not kept.
func (c *Client) Fetch(ctx context.Context, store *content.Store, of contribution.Contribution, h access.Handover, holders ...string) (content.Info, error) {
	end, err := c.begin(ctx, of.Commitment)
	if err != nil {
		return content.Info{}, err
	}
	defer end()
	info, err := store.Find(ctx, of.Name(), of.Commitment)
	if err == nil && info.State == content.Ready || errors.Is(err, content.ErrErased) {
		return info, err
	}
	failures := []error{errors.New("no holder's gateway handed it over")}
	for _, msp := range c.order(holders) {
		if info, err = c.fetchFrom(ctx, store, of, h, msp); err == nil {
			return info, nil
		}
		if errors.Is(err, content.ErrErased) {
			return info, err
		}
		failures = append(failures, fmt.Errorf("%s: %w", msp, err))
	}
	return content.Info{}, fmt.Errorf("fetch contribution %s of %s: %w", of.ID, of.Datanet, errors.Join(failures...))
}

// order puts those last that did not answer a moment ago.
func (c *Client) order(holders []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	ordered := slices.Clone(holders)
	slices.SortStableFunc(ordered, func(a, b string) int {
		return cmp.Compare(rank(now, c.away[a]), rank(now, c.away[b]))
	})
	return ordered
}

func rank(now, until time.Time) int {
	if now.Before(until) {
		return 1
	}
	return 0
}

// answered notes whether a gateway could be reached.
func (c *Client) answered(msp string, reached bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reached {
		delete(c.away, msp)
	} else {
		c.away[msp] = time.Now().Add(awayFor)
	}
}

// begin waits until nobody else fetches the same content.
func (c *Client) begin(ctx context.Context, commitment string) (end func(), err error) {
	for {
		c.mu.Lock()
		other, busy := c.fetching[commitment]
		if !busy {
			mine := make(chan struct{})
			c.fetching[commitment] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.fetching, commitment)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) fetchFrom(ctx context.Context, store *content.Store, of contribution.Contribution, h access.Handover, msp string) (content.Info, error) {
	h.ID = releaseID(h.ID, msp)
	if err := c.release(ctx, msp, h); err != nil {
		return content.Info{}, err
	}
	offset := int64(-1)
	for {
		info, err := c.receive(ctx, store, of, h.ID, msp)
		if err == nil || ctx.Err() != nil || info.Received <= offset || errors.Is(err, content.ErrMismatch) {
			return info, err
		}
		offset = info.Received // the connection broke, but some bytes came
	}
}

// releaseID is the id under which a holder records a release.
func releaseID(id, msp string) string {
	sum := sha256.Sum256([]byte("DATANET-RELEASE/1\x00" + id + "\x00" + msp))
	return hex.EncodeToString(sum[:16])
}

// release asks a holder to record a release.
func (c *Client) release(ctx context.Context, msp string, h access.Handover) error {
	document, err := ledger.Encode(h)
	if err != nil {
		return err
	}
	response, err := c.do(ctx, msp, http.MethodPost, releasesPath, nil, document)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// receive goes on with a replica where it stands. What it returns as received is durable, also when it fails.
func (c *Client) receive(ctx context.Context, store *content.Store, of contribution.Contribution, release, msp string) (content.Info, error) {
	at := int64(0)
	if held, err := store.Find(ctx, of.Name(), of.Commitment); err == nil && held.State == content.Uploading {
		at = held.Received
	}
	for range 2 {
		info, err := c.receiveFrom(ctx, store, of, release, msp, at)
		var offset *content.OffsetError
		if !errors.As(err, &offset) || offset.Received == at {
			return info, err
		}
		// What was held began with another head, and is dropped.
		at = offset.Received
	}
	return content.Info{}, errors.New("somebody else receives the same content")
}

func (c *Client) receiveFrom(ctx context.Context, store *content.Store, of contribution.Contribution, release, msp string, at int64) (content.Info, error) {
	query := url.Values{"datanet": {of.Datanet}, "contribution": {of.ID}, "release": {release}, "offset": {strconv.FormatInt(at, 10)}}
	response, err := c.do(ctx, msp, http.MethodGet, contentsPath+of.Commitment, query, nil)
	if err != nil {
		return content.Info{}, err
	}
	defer response.Body.Close()
	head, err := readHead(response.Body)
	if err != nil {
		return content.Info{}, err
	}
	info, err := store.BeginReplica(ctx, of, head)
	if err != nil || info.State == content.Ready {
		return info, err
	}
	if info.Received < info.Size {
		if info, err = store.AppendReplica(ctx, info.ID, at, response.Body); err != nil {
			return info, err
		}
	}
	if info.Received < info.Size {
		return info, io.ErrUnexpectedEOF
	}
	return store.FinishReplica(ctx, info.ID)
}

// FetchSecret has the fingerprint secret of the epoch in force in the store, from the first of the members' gateways
// that hands over the one that the ledger's check value is of.
func (c *Client) FetchSecret(ctx context.Context, store *content.Store, epoch contribution.Epoch, members ...string) error {
	_, err := store.Secret(ctx, epoch.Check)
	if !errors.Is(err, content.ErrNoSecret) {
		return err
	}
	failures := []error{errors.New("no member's gateway handed it over")}
	for _, msp := range members {
		if err = c.secretFrom(ctx, store, epoch, msp); err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", msp, err))
	}
	return fmt.Errorf("fetch the fingerprint secret of epoch %d: %w", epoch.Epoch, errors.Join(failures...))
}

func (c *Client) secretFrom(ctx context.Context, store *content.Store, epoch contribution.Epoch, msp string) error {
	response, err := c.do(ctx, msp, http.MethodGet, secretsPath+strconv.Itoa(epoch.Epoch), nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	document, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil {
		return err
	}
	var handed handedSecret
	if err := json.Unmarshal(document, &handed, json.RejectUnknownMembers(true)); err != nil || handed.Epoch != epoch.Epoch {
		return errors.New("the answer is no fingerprint secret of this epoch") // what json says may quote it
	}
	return store.AddSecret(ctx, epoch.Check, fingerprint.Secret(handed.Secret))
}

// do sends a request; the answer's body is the caller's to close.
func (c *Client) do(ctx context.Context, msp, method, path string, query url.Values, body []byte) (*http.Response, error) {
	base, ok := c.addresses[msp]
	if !ok {
		return nil, errors.New("its gateway's address is not configured")
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask its gateway: %w", err)
	}
	request.URL.RawQuery = query.Encode()
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if ctx.Err() == nil {
		c.answered(msp, err == nil)
	}
	if err != nil {
		return nil, fmt.Errorf("ask its gateway: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, ReadRefusal(response)
	}
	return response, nil
}
