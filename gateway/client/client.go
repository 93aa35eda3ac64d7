// Package client calls a gateway's REST API in Go.
//
// A request that fails for a while is sent again, with jitter, until the context ends or the attempts are used up; a
// write may be sent again since it always carries an idempotency key. What remains is one of
//
//   - *[Problem]: the gateway's answer (RFC 9457), to be decided upon by its code;
//   - *[UnknownError]: a write whose outcome is not known; the same call with the same key finds it out;
//   - *[UnreachableError]: the gateway did not answer at all.
//
// Reads and writes carry the ledger's own Go types. A write is signed by the gateway, which keeps the account's key, or
// here: [Submit] reads what it signs, so that a gateway can neither change the request nor use another one's signature.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

const (
	// maxAnswer bounds a JSON answer, in bytes: a page of a thousand items.
	maxAnswer = 64 << 20
	// maxProblem bounds a problem, in bytes.
	maxProblem = 1 << 20
	// attempts is how often a request is sent at most.
	attempts = 6
	// patience is how long requests are sent again, whatever attempts are left: a gateway tries for long itself.
	patience = 30 * time.Second
	// firstPause and longestPause bound the time between two attempts.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
)

// Options say which gateway, and who calls.
type Options struct {
	// Gateway is the base URL, "https://host:port".
	Gateway string
	// Roots are the authorities of the gateway's TLS certificate; nil: those of the system.
	Roots *x509.CertPool
	// Identity is the caller's own certificate and key; nil with a token.
	Identity *Identity
	// Token is an API key or an OIDC token, "" with an identity.
	Token string
	// Timeout bounds the wait for the first byte of an answer; 0 is two minutes.
	Timeout time.Duration
	// Notice is told when something is tried again; nil: nobody is.
	Notice func(string)
}

// Client calls one gateway as one caller. It is safe for concurrent use.
type Client struct {
	base     *url.URL
	http     *http.Client
	identity *Identity
	token    string
	notice   func(string)
}

// New makes a client. It does not connect yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Gateway)
	if err != nil || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, fmt.Errorf("%q is not the URL of a gateway: expected https://host:port", o.Gateway)
	}
	if base.Scheme != "https" {
		return nil, fmt.Errorf("the gateway %s must be called over https", o.Gateway)
	}
	if o.Identity != nil && o.Token != "" {
		return nil, errors.New("call the gateway with an identity or with a token, not with both")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	config := &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS13}
	if o.Identity != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Identity.tls(), nil }
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: o.Timeout,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
	}
	notice := o.Notice
	if notice == nil {
		notice = func(string) {}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a gateway does not redirect
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: stay}, identity: o.Identity, token: o.Token, notice: notice}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Identity is the caller's own, nil for a caller with a token.
func (c *Client) Identity() *Identity { return c.identity }

// Path joins the parts of a path, escaped. A name of a datanet or model is two parts, which Path makes of its slash.
func Path(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, part := range parts {
		for _, piece := range strings.Split(part, "/") {
			b.WriteByte('/')
			b.WriteString(url.PathEscape(piece))
		}
	}
	return b.String()
}

// Meta is what an answer says besides its document.
type Meta struct {
	Status      int
	Height      uint64 // blocks of the state that a read comes from
	Transaction string // of a write
	Block       uint64 // of a write
	Replayed    bool   // the outcome of an earlier request with the same key
	ETag        string
}

func metaOf(r *http.Response) Meta {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(r.Header.Get(name), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return Meta{Status: r.StatusCode, Height: number("Datanet-Height"), Transaction: r.Header.Get("Datanet-Transaction"),
		Block: number("Datanet-Block"), Replayed: r.Header.Get("Idempotency-Replayed") == "true", ETag: r.Header.Get("ETag")}
}

// call is one request, which may be sent several times.
type call struct {
	method string
	path   string // with its prefix, escaped
	query  url.Values
	header http.Header
	body   []byte
	// repeatable marks a POST that may be sent twice without a key.
	repeatable bool
}

// Get reads a resource.
func Get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, Meta, error) {
	var value T
	data, meta, err := c.Raw(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return value, meta, err
	}
	if err := ledger.DecodeAnswer(data, &value); err != nil {
		return value, meta, fmt.Errorf("read %s: %w", path, err)
	}
	return value, meta, nil
}

// Do sends a document to an operation of the gateway itself, one that writes nothing to the ledger. A nil body is none.
func Do[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var value T
	data, _, err := c.Raw(ctx, method, path, nil, body)
	if err != nil || len(data) == 0 {
		return value, err
	}
	if err := ledger.DecodeAnswer(data, &value); err != nil {
		return value, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return value, nil
}

// Raw is [Do] with the answer's document as it is. It also reads.
func (c *Client) Raw(ctx context.Context, method, path string, query url.Values, body any) ([]byte, Meta, error) {
	k := &call{method: method, path: path, query: query, header: http.Header{}}
	if body != nil {
		data, ok := body.([]byte)
		if !ok {
			var err error
			if data, err = ledger.Encode(body); err != nil {
				return nil, Meta{}, fmt.Errorf("%s %s: %w", method, path, err)
			}
		}
		k.body = data
	}
	return c.whole(ctx, k)
}

// Ask sends bytes of a media type to an operation that writes nothing, so that they may be sent again, and returns the
// answer's document as it is.
func (c *Client) Ask(ctx context.Context, path string, query url.Values, media string, body []byte) ([]byte, Meta, error) {
	return c.whole(ctx, &call{method: http.MethodPost, path: path, query: query, header: http.Header{"Content-Type": {media}}, body: body, repeatable: true})
}

// whole sends a call and reads the answer.
func (c *Client) whole(ctx context.Context, k *call) ([]byte, Meta, error) {
	response, err := c.send(ctx, k)
	if err != nil {
		return nil, Meta{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, Meta{}, c.unreachable(fmt.Errorf("%s %s: read the answer: %w", k.method, k.path, err))
	}
	if len(data) > maxAnswer {
		return nil, Meta{}, fmt.Errorf("%s %s: the answer is larger than %d bytes", k.method, k.path, maxAnswer)
	}
	return data, metaOf(response), nil
}

// send sends a call until it is answered by something other than a retryable problem. Only a call that may be repeated
// is: a read, or one with an idempotency key, or a PUT or DELETE, which the API makes repeatable.
func (c *Client) send(ctx context.Context, k *call) (*http.Response, error) {
	repeatable := k.repeatable || k.method != http.MethodPost && k.method != http.MethodPatch || k.header.Get(keyHeader) != ""
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		response, err := c.once(ctx, k)
		if err == nil {
			return response, nil
		}
		wait, again := pause(err, attempt)
		if !again || !repeatable || attempt == attempts || time.Since(begun) > patience || ctx.Err() != nil {
			return nil, err
		}
		c.notice(fmt.Sprintf("try again in %s: %v", wait.Round(10*time.Millisecond), err))
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// pause is how long to wait after a failure, and whether to try again at all.
func pause(err error, attempt int) (time.Duration, bool) {
	var (
		problem     *Problem
		unreachable *UnreachableError
	)
	longest := min(firstPause<<(attempt-1), longestPause)
	wait := longest/2 + rand.N(longest/2)
	switch {
	case errors.As(err, &problem):
		return max(wait, problem.RetryAfter), problem.Retryable
	case errors.As(err, &unreachable):
		return wait, !unreachable.permanent()
	default:
		return 0, false
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *Client) once(ctx context.Context, k *call) (*http.Response, error) {
	target := c.base.String() + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	request, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	for name, values := range k.header {
		request.Header[name] = values
	}
	if k.body != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, c.unreachable(err)
	case response.StatusCode >= 300 && response.StatusCode != http.StatusNotModified:
		defer response.Body.Close()
		return nil, problemOf(response)
	}
	return response, nil
}

// problemOf reads a problem; an answer that is none, from a proxy say, becomes one.
func problemOf(response *http.Response) *Problem {
	p := &Problem{}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil || json.Unmarshal(data, p) != nil || p.Code == "" {
		p = &Problem{Title: http.StatusText(response.StatusCode), Code: "http_" + strconv.Itoa(response.StatusCode),
			Detail:    "the answer is not one of a gateway's",
			Retryable: response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusGatewayTimeout}
	}
	p.Status = response.StatusCode
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		p.RetryAfter = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return p
}
