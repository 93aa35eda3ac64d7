package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// What the gateway does besides the ledger's functions. Paths stand here and nowhere else in this package.

// Caller is who the gateway takes the caller for, and which gateway it is.
type Caller struct {
	Account      ledger.Account   `json:"account"`
	Roles        []ledger.Role    `json:"roles"`
	Method       identity.Method  `json:"method"`
	Scopes       []identity.Scope `json:"scopes"`
	Organisation string           `json:"organisation"` // the gateway's, by its MSP ID
	// Kept is the certificate by which the gateway signs for the account, nil when it does not keep its key.
	Kept *identity.KeptCertificate `json:"kept,omitzero"`
}

// WhoAmI asks who the caller is.
func (c *Client) WhoAmI(ctx context.Context) (Caller, error) {
	who, _, err := Get[Caller](ctx, c, Path("whoami"), nil)
	return who, err
}

// Enrol uses an invitation. It is safe to repeat with the same certificate request.
func (c *Client) Enrol(ctx context.Context, request identity.EnrolRequest) (identity.Enrolment, error) {
	return repeatable[identity.Enrolment](ctx, c, Path("enrolments"), request)
}

// Renew asks for the caller's next certificate; request is PKCS #10 in PEM, or "" for the key that the gateway keeps.
func (c *Client) Renew(ctx context.Context, request string) (identity.Enrolment, error) {
	return repeatable[identity.Enrolment](ctx, c, Path("enrolments", "renew"), struct {
		Request string `json:"request,omitzero"`
	}{request})
}

// KeptCertificates lists the certificates of accounts whose keys the gateway keeps, the one that ends first first.
func (c *Client) KeptCertificates(ctx context.Context) ([]identity.KeptCertificate, error) {
	page, _, err := Get[ledger.Page[identity.KeptCertificate]](ctx, c, Path("kept-certificates"), nil)
	return page.Items, err
}

// Retire ends what a person of the organisation can do through its gateway.
func (c *Client) Retire(ctx context.Context, enrolment string) error {
	_, err := Do[ledger.Nothing](ctx, c, http.MethodPost, Path("enrolments", enrolment, "retire"), nil)
	return err
}

// Invited is an invitation with its code, which is shown this once.
type Invited struct {
	Code       string              `json:"code"`
	Invitation identity.Invitation `json:"invitation"`
}

// Invite makes an invitation.
func (c *Client) Invite(ctx context.Context, request identity.InvitationRequest) (Invited, error) {
	return Do[Invited](ctx, c, http.MethodPost, Path("invitations"), request)
}

// Invitations lists the latest invitations.
func (c *Client) Invitations(ctx context.Context) ([]identity.Invitation, error) {
	page, _, err := Get[ledger.Page[identity.Invitation]](ctx, c, Path("invitations"), nil)
	return page.Items, err
}

// RevokeInvitation ends an invitation that nobody has used.
func (c *Client) RevokeInvitation(ctx context.Context, id string) error {
	_, err := Do[ledger.Nothing](ctx, c, http.MethodDelete, Path("invitations", id), nil)
	return err
}

// NewAPIKey is an API key with its token, which is shown this once.
type NewAPIKey struct {
	Token string       `json:"token"`
	Key   identity.Key `json:"key"`
}

// CreateKey makes an API key for the caller's account.
func (c *Client) CreateKey(ctx context.Context, request identity.KeyRequest) (NewAPIKey, error) {
	return Do[NewAPIKey](ctx, c, http.MethodPost, Path("keys"), request)
}

// Keys lists the API keys of the caller's account.
func (c *Client) Keys(ctx context.Context) ([]identity.Key, error) {
	page, _, err := Get[ledger.Page[identity.Key]](ctx, c, Path("keys"), nil)
	return page.Items, err
}

// RevokeKey ends an API key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := Do[ledger.Nothing](ctx, c, http.MethodDelete, Path("keys", id), nil)
	return err
}

// Entry is a value of the ledger as a transaction wrote it.
type Entry struct {
	Key         []string       `json:"key"` // the kind, and the parts of the name
	Value       jsontext.Value `json:"value,omitzero"`
	Deleted     bool           `json:"deleted,omitzero"`
	Block       uint64         `json:"block"`
	Position    int            `json:"position"`
	Transaction string         `json:"transaction"`
	Time        *time.Time     `json:"time,omitempty"`
	By          ledger.Account `json:"by,omitzero"`
	Function    string         `json:"function,omitzero"`
}

// Listed reads a list of the index to its end: entries of one kind by filters, as
// Listed[contribution.Contribution](ctx, c, "contributions", url.Values{"awaits": {"AILabMSP"}}).
func Listed[T any](ctx context.Context, c *Client, list string, filter url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for entry, err := range All[Entry](ctx, c, Path("lists", list), filter) {
			var value T
			if err == nil {
				err = ledger.DecodeAnswer(entry.Value, &value)
			}
			if !yield(value, err) || err != nil {
				return
			}
		}
	}
}

// Readiness is what a gateway says of itself.
type Readiness struct {
	OK     bool            `json:"ok"`
	Checks map[string]bool `json:"checks"`
	// Peers are how many peers it knows, and how many of them accept connections.
	Peers struct {
		Configured int `json:"configured"`
		Reachable  int `json:"reachable"`
	} `json:"peers"`
}

// Ready asks the gateway for its own checks. The answer is no error when one of them fails.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var ready Readiness
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/readyz", nil)
	if err != nil {
		return ready, fmt.Errorf("ask whether the gateway is ready: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return ready, c.unreachable(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err == nil {
		err = ledger.DecodeAnswer(data, &ready)
	}
	if err != nil {
		return ready, fmt.Errorf("ask whether the gateway is ready: %w", err)
	}
	return ready, nil
}

// repeatable posts what is safe to repeat.
func repeatable[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	var value T
	document, err := ledger.Encode(body)
	if err != nil {
		return value, fmt.Errorf("%s: %w", path, err)
	}
	data, _, err := c.whole(ctx, &call{method: http.MethodPost, path: path, header: http.Header{}, body: document, repeatable: true})
	if err != nil {
		return value, err
	}
	if err := ledger.DecodeAnswer(data, &value); err != nil {
		return value, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

func transactionPath(id string, more ...string) string {
	return Path(append([]string{"transactions", id}, more...)...)
}

func uploadPath(id string, more ...string) string {
	return Path(append([]string{"uploads", id}, more...)...)
}

// ContentPath is where the content of a contribution is downloaded.
func ContentPath(datanet, id string) string {
	return Path("datanets", datanet, "contributions", id, "content")
}

// AboutPath is where a contribution's [About] is read.
func AboutPath(datanet, id string) string {
	return Path("datanets", datanet, "contributions", id, "about")
}

// ReportPath is where the gateway checks a contribution and reports on it, for a vote.
func ReportPath(datanet, id string) string {
	return Path("datanets", datanet, "contributions", id, "report")
}

// SnapshotContentPath is where a ticket's content of one datanet is downloaded, as JSON Lines.
func SnapshotContentPath(ticket, datanet string) string {
	return Path("tickets", ticket, "contents", datanet)
}
