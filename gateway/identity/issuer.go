package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network"
)

const (
	// maxToken bounds an OIDC token, in bytes.
	maxToken = 16 << 10
	// maxDocument bounds what an issuer answers, in bytes.
	maxDocument = 1 << 20
	// issuerTimeout bounds one request to an issuer.
	issuerTimeout = 10 * time.Second
)

// algorithms that a token may be signed with. None of them uses a shared secret.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// Issuer is an OpenID Connect provider whose tokens the gateway accepts.
type Issuer struct {
	// URL is the issuer as its tokens name it, https unless on this machine.
	URL string
	// Audience must be among a token's audiences.
	Audience string
	// Claim names the person, "sub" or "email" say. An email counts only when the token says that it is verified.
	Claim string
	// Accounts maps values of the claim to enrolment ids. nil: the claim is the enrolment id itself.
	Accounts map[string]string
	// Client reaches the issuer; nil is one that trusts the system's authorities.
	Client *http.Client
}

func (i Issuer) validate() error {
	u, err := url.Parse(i.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("issuer %q is not a URL of host and path", i.URL)
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return fmt.Errorf("issuer %s must be reached over https", i.URL)
	case i.Audience == "":
		return fmt.Errorf("issuer %s: name the audience that its tokens must have", i.URL)
	case i.Claim == "":
		return fmt.Errorf("issuer %s: name the claim that says who the person is", i.URL)
	}
	for value, enrolment := range i.Accounts {
		if reserved(enrolment) {
			return fmt.Errorf("issuer %s: %q stands for the enrolment %q, which is no person's", i.URL, value, enrolment)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reserved enrolments belong to programs and to the administrator; nobody logs in as one of them.
func reserved(enrolment string) bool {
	return strings.EqualFold(enrolment, network.AdminUser) || strings.EqualFold(enrolment, GatewayEnrolment)
}

// issuer verifies one provider's tokens. It asks the provider for its keys when they are first needed and when a token
// names a key that is not known yet, so that the gateway starts and serves others while the provider is down.
type issuer struct {
	Issuer
	now    func() time.Time
	client *http.Client
	paced  *rate.Limiter

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
}

func newIssuer(i Issuer, now func() time.Time) (*issuer, error) {
	if err := i.validate(); err != nil {
		return nil, err
	}
	made := &issuer{Issuer: i, now: now, paced: rate.NewLimiter(rate.Every(time.Second), 5)}
	base := http.DefaultTransport
	timeout := issuerTimeout
	if i.Client != nil {
		if i.Client.Transport != nil {
			base = i.Client.Transport
		}
		if i.Client.Timeout > 0 {
			timeout = i.Client.Timeout
		}
	}
	made.client = &http.Client{Timeout: timeout, Transport: paced{base, made.paced}}
	return made, nil
}

// paced asks an issuer at a bounded pace and reads a bounded answer: a forged token must not make the gateway ask for
// keys each time.
type paced struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

var errTooOften = errors.New("the issuer was asked too often just now")

func (p paced) RoundTrip(r *http.Request) (*http.Response, error) {
	if !p.limit.Allow() {
		return nil, errTooOften
	}
	response, err := p.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", r.URL.Host, maxDocument)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// discovered is the verifier made from the issuer's own description.
func (i *issuer) discovered(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	// What is found here serves later requests too, so it must not end with this one.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), i.client)
	provider, err := oidc.NewProvider(ctx, i.URL)
	if err != nil {
		return nil, err
	}
	var endpoints struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&endpoints); err != nil {
		return nil, err
	}
	i.verifier = oidc.NewVerifier(i.URL, keySet{oidc.NewRemoteKeySet(ctx, endpoints.Keys)}, &oidc.Config{
		ClientID:             i.Audience,
		SupportedSigningAlgs: algorithms,
		Now:                  i.now,
	})
	return i.verifier, nil
}

// keySet tells a wrong signature from keys that could not be fetched, which the verifier's own error does not.
type keySet struct{ remote *oidc.RemoteKeySet }

// fetchFailed is the key of a context's *error, which says why keys could not be fetched.
type fetchFailed struct{}

func (k keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, token)
	if failed, ok := ctx.Value(fetchFailed{}).(*error); ok && err != nil && strings.HasPrefix(err.Error(), "fetching keys ") {
		*failed = err
	}
	return payload, err
}

// enrolment verifies a token and finds the enrolment that it stands for.
func (i *issuer) enrolment(ctx context.Context, token string) (string, error) {
	verifier, err := i.discovered(ctx)
	if err != nil {
		return "", refuse(CodeUnavailable, "the issuer %s cannot be reached now", i.URL)
	}
	var failed error
	verified, err := verifier.Verify(context.WithValue(ctx, fetchFailed{}, &failed), token)
	var expired *oidc.TokenExpiredError
	switch {
	case failed != nil && strings.Contains(failed.Error(), errTooOften.Error()):
		return "", refuse(CodeRate, "tokens whose keys are not known come too fast; if the issuer %s has new keys, send yours again", i.URL)
	case failed != nil:
		return "", refuse(CodeUnavailable, "the keys of the issuer %s cannot be fetched now", i.URL)
	case errors.As(err, &expired):
		return "", refuse(CodeUnauthenticated, "the token expired at %s; log in again", stamp(expired.Expiry))
	case err != nil:
		return "", refuse(CodeUnauthenticated, "the token is not valid: it must be signed by %s, for the audience %s, and be in its time", i.URL, i.Audience)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		return "", refuse(CodeUnauthenticated, "the token's claims cannot be read")
	}
	value, ok := claims[i.Claim].(string)
	if !ok || value == "" {
		return "", refuse(CodeForbidden, "the token has no claim %q", i.Claim)
	}
	if i.Claim == "email" && claims["email_verified"] != true {
		return "", refuse(CodeForbidden, "the issuer has not verified the token's email")
	}
	enrolment := value
	if i.Accounts != nil {
		if enrolment, ok = i.Accounts[value]; !ok {
			return "", refuse(CodeForbidden, "no account is mapped to this %s", i.Claim)
		}
	}
	if reserved(enrolment) {
		return "", refuse(CodeForbidden, "nobody logs in as %s", ledger.Clip(enrolment))
	}
	return enrolment, nil
}

// issuerOf reads the issuer that a token names, before anything is verified, only to choose who verifies it.
func issuerOf(token string) (string, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return "", false
	}
	return claims.Issuer, claims.Issuer != ""
}
