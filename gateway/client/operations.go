package client

import (
	"context"
	"net/http"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// What the gateway does besides the ledger's functions. Paths stand here and nowhere else in this package.

// Caller is who the gateway takes the caller for, and which gateway it is.
type Caller struct {
	Account      ledger.Account   `json:"account"`
	Roles        []ledger.Role    `json:"roles"`
	Method       identity.Method  `json:"method"`
	Scopes       []identity.Scope `json:"scopes,omitempty"`
	Organisation string           `json:"organisation"`
	Channel      string           `json:"channel"`
}

// WhoAmI asks who the caller is.
func (c *Client) WhoAmI(ctx context.Context) (Caller, error) {
	who, _, err := Get[Caller](ctx, c, Path("whoami"), nil)
	return who, err
}

// Enrol uses an invitation. It is safe to repeat with the same certificate request.
func (c *Client) Enrol(ctx context.Context, request identity.EnrolRequest) (identity.Enrolment, error) {
	return Do[identity.Enrolment](ctx, c, http.MethodPost, Path("enrolments"), request)
}

// Renew asks for the caller's next certificate; request is PKCS #10 in PEM.
func (c *Client) Renew(ctx context.Context, request string) (identity.Enrolment, error) {
	return Do[identity.Enrolment](ctx, c, http.MethodPost, Path("enrolments", "renew"), struct {
		Request string `json:"request"`
	}{request})
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
	return Do[NewAPIKey](ctx, c, http.MethodPost, Path("api-keys"), request)
}

// Keys lists the API keys of the caller's account.
func (c *Client) Keys(ctx context.Context) ([]identity.Key, error) {
	page, _, err := Get[ledger.Page[identity.Key]](ctx, c, Path("api-keys"), nil)
	return page.Items, err
}

// RevokeKey ends an API key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := Do[ledger.Nothing](ctx, c, http.MethodDelete, Path("api-keys", id), nil)
	return err
}

// Transaction is a write through this gateway, or any transaction of the index.
type Transaction struct {
	Transaction    string        `json:"transaction"`
	State          string        `json:"state"`
	Function       string        `json:"function,omitempty"`
	Block          uint64        `json:"block,omitempty"`
	Time           *time.Time    `json:"time,omitempty"`
	Fault          *ledger.Fault `json:"fault,omitempty"`
	ValidationCode string        `json:"validationCode,omitempty"`
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

// SnapshotContentPath is where a ticket's content of one datanet is downloaded, as JSON Lines.
func SnapshotContentPath(ticket, datanet string) string {
	return Path("tickets", ticket, "contents", datanet)
}
