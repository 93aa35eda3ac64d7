package rest

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// People is what the API needs of package identity, besides knowing who calls.
type People interface {
	CreateKey(ctx context.Context, p identity.Principal, request identity.KeyRequest) (token string, key identity.Key, err error)
	Keys(ctx context.Context, p identity.Principal) ([]identity.Key, error)
	RevokeKey(ctx context.Context, p identity.Principal, id string) error
	Invite(ctx context.Context, p identity.Principal, request identity.InvitationRequest) (code string, invitation identity.Invitation, err error)
	Invitations(ctx context.Context, p identity.Principal, limit int) ([]identity.Invitation, error)
	RevokeInvitation(ctx context.Context, p identity.Principal, id string) error
	Enrol(ctx context.Context, request identity.EnrolRequest) (identity.Enrolment, error)
	Renew(ctx context.Context, p identity.Principal, request string) (identity.Enrolment, error)
	Kept(ctx context.Context, p identity.Principal) ([]identity.KeptCertificate, error)
	Retire(ctx context.Context, p identity.Principal, enrolment string) error
	KeptOf(p identity.Principal) (certificate *identity.KeptCertificate, err error)
}

// Whoami is who the gateway takes the caller for.
type Whoami struct {
	Account      ledger.Account   `json:"account"`
	Organisation string           `json:"organisation" doc:"The gateway's, by its MSP ID."`
	Roles        []ledger.Role    `json:"roles"`
	Method       identity.Method  `json:"method" enum:"certificate,oidc,apikey" doc:"How the caller has shown who it is."`
	Scopes       []identity.Scope `json:"scopes"`
	Key          string           `json:"key,omitzero" doc:"The API key's id."`
	// Kept is the certificate of the account, if the gateway keeps its key.
	Kept *identity.KeptCertificate `json:"kept,omitzero" doc:"The certificate by which the gateway signs for the account, if it keeps the key."`
}

// NewKey is a new API key, with its token.
type NewKey struct {
	Token string       `json:"token" doc:"The key itself. It is shown this once."`
	Key   identity.Key `json:"key"`
}

// NewInvitation is a new invitation, with its code.
type NewInvitation struct {
	Code       string              `json:"code" doc:"For the one who is invited. It is shown this once."`
	Invitation identity.Invitation `json:"invitation"`
}

// Renewal asks for a new certificate of the same key.
type Renewal struct {
	Request string `json:"request,omitzero" doc:"A certificate request for the key of the present certificate, PKCS #10 in PEM. Without it the certificate is renewed whose key the gateway keeps."`
}

// Items is a list that is given whole.
type Items[T any] struct {
	Items []T `json:"items"`
}

func itemsOf[T any](items []T) Items[T] {
	if items == nil {
		items = []T{}
	}
	return Items[T]{items}
}

// addPeople adds what is about callers, their keys and their enrolment.
func (a *API) addPeople() {
	a.add(&operation{id: "whoami", method: get, path: "/v1/whoami", tag: "people", summary: "Tells who the gateway takes the caller for", scope: identity.Read,
		answers: good[Whoami](http.StatusOK), handle: func(c *call) error {
			p := c.principal
			who := Whoami{Account: p.Account, Organisation: c.api.options.Organisation, Roles: p.Roles, Method: p.Method, Key: p.KeyID, Scopes: []identity.Scope{}}
			for _, scope := range identity.Scopes {
				if p.May(scope) {
					who.Scopes = append(who.Scopes, scope)
				}
			}
			if people := c.api.options.People; people != nil {
				var err error
				if who.Kept, err = people.KeptOf(p); err != nil {
					return err
				}
			}
			return c.answer(http.StatusOK, who)
		}})
	people := a.options.People
	if people == nil {
		return
	}
	state := []string{string(ledger.CodeState), string(ledger.CodeNotFound)}
	a.add(&operation{id: "create-key", method: post, path: "/v1/keys", tag: "people", summary: "Makes an API key for the caller's own account", scope: identity.Admin,
		request: reflect.TypeFor[identity.KeyRequest](), answers: good[NewKey](http.StatusCreated), problems: state,
		handle: func(c *call) error {
			var request identity.KeyRequest
			if err := c.decode(&request); err != nil {
				return err
			}
			token, key, err := people.CreateKey(c.ctx(), c.principal, request)
			if err != nil {
				return err
			}
			return c.answer(http.StatusCreated, NewKey{token, key})
		}})
	a.add(&operation{id: "list-keys", method: get, path: "/v1/keys", tag: "people", summary: "Lists the API keys of the caller's account", scope: identity.Read,
		answers: good[Items[identity.Key]](http.StatusOK), handle: func(c *call) error {
			keys, err := people.Keys(c.ctx(), c.principal)
			if err != nil {
				return err
			}
			if wallet := c.api.options.Wallet; wallet != nil {
				for i := range keys {
					spent, _ := wallet.Spent(keys[i].ID)
					keys[i].Spent = money.Amount(spent)
				}
			}
			return c.answer(http.StatusOK, itemsOf(keys))
		}})
	a.add(&operation{id: "revoke-key", method: http.MethodDelete, path: "/v1/keys/{id}", tag: "people", summary: "Ends an API key", scope: identity.Admin,
		answers: nothingMore, problems: state, handle: func(c *call) error {
			if err := people.RevokeKey(c.ctx(), c.principal, c.param("id")); err != nil {
				return err
			}
			return c.nothing()
		}})
	a.add(&operation{id: "create-invitation", method: post, path: "/v1/invitations", tag: "people", summary: "Invites a person to enrol", doc: "Needs the role operator.",
		scope: identity.Admin, request: reflect.TypeFor[identity.InvitationRequest](), answers: good[NewInvitation](http.StatusCreated), problems: state,
		handle: func(c *call) error {
			var request identity.InvitationRequest
			if err := c.decode(&request); err != nil {
				return err
			}
			code, invitation, err := people.Invite(c.ctx(), c.principal, request)
			if err != nil {
				return err
			}
			return c.answer(http.StatusCreated, NewInvitation{code, invitation})
		}})
	a.add(&operation{id: "list-invitations", method: get, path: "/v1/invitations", tag: "people", summary: "Lists the latest invitations", doc: "Needs the role operator.",
		scope: identity.Admin, params: []*huma.Param{queryParam("limit", whole(1, ledger.MaxPage), "How many at most.")},
		answers: good[Items[identity.Invitation]](http.StatusOK), problems: state, handle: func(c *call) error {
			limit, err := c.number("limit", ledger.DefaultPage, 1, ledger.MaxPage)
			if err != nil {
				return err
			}
			list, err := people.Invitations(c.ctx(), c.principal, int(limit))
			if err != nil {
				return err
			}
			return c.answer(http.StatusOK, itemsOf(list))
		}})
	a.add(&operation{id: "revoke-invitation", method: http.MethodDelete, path: "/v1/invitations/{id}", tag: "people", summary: "Ends an invitation that nobody has used",
		doc: "Needs the role operator.", scope: identity.Admin, answers: nothingMore, problems: state, handle: func(c *call) error {
			if err := people.RevokeInvitation(c.ctx(), c.principal, c.param("id")); err != nil {
				return err
			}
			return c.nothing()
		}})
	a.add(&operation{id: "enrol", method: post, path: "/v1/enrolments", tag: "people", summary: "Uses an invitation",
		doc:  "The code is all that is asked for. The same code with the same key is answered again as before.",
		open: true, request: reflect.TypeFor[identity.EnrolRequest](), answers: good[identity.Enrolment](http.StatusCreated),
		problems: append(state, known...), handle: func(c *call) error {
			var request identity.EnrolRequest
			if err := c.decode(&request); err != nil {
				return err
			}
			enrolment, err := people.Enrol(c.ctx(), request)
			if err != nil {
				return err
			}
			return c.answer(http.StatusCreated, enrolment)
		}})
	a.add(&operation{id: "list-kept-certificates", method: get, path: "/v1/kept-certificates", tag: "people", summary: "Lists the certificates of accounts whose keys the gateway keeps",
		doc: "The one that ends first stands first. Needs the role operator.", scope: identity.Admin, answers: good[Items[identity.KeptCertificate]](http.StatusOK),
		handle: func(c *call) error {
			list, err := people.Kept(c.ctx(), c.principal)
			if err != nil {
				return err
			}
			return c.answer(http.StatusOK, itemsOf(list))
		}})
	a.add(&operation{id: "retire-enrolment", method: post, path: "/v1/enrolments/{id}/retire", tag: "people", summary: "Ends what a person of the organisation can do through this gateway",
		doc: "For who has left: nobody is let in for the account any more, its API keys end, the key that the gateway keeps for it is destroyed, and its certificates are not renewed. " +
			"A certificate that the person holds is good at peers until it ends. To repeat it changes nothing. Needs the role operator.",
		scope: identity.Admin, answers: nothingMore, problems: state, handle: func(c *call) error {
			if err := people.Retire(c.ctx(), c.principal, c.param("id")); err != nil {
				return err
			}
			return c.nothing()
		}})
	a.add(&operation{id: "renew-enrolment", method: post, path: "/v1/enrolments/renew", tag: "people", summary: "Gets a new certificate for the present one's key",
		doc: "Show the present certificate; who shows none has the one renewed whose key the gateway keeps.", scope: identity.Admin, request: reflect.TypeFor[Renewal](), answers: good[identity.Enrolment](http.StatusOK), problems: state,
		handle: func(c *call) error {
			var request Renewal
			if err := c.decode(&request); err != nil {
				return err
			}
			enrolment, err := people.Renew(c.ctx(), c.principal, request.Request)
			if err != nil {
				return err
			}
			return c.answer(http.StatusOK, enrolment)
		}})
}

func good[T any](status int) []answer {
	return []answer{{status: status, doc: "The answer.", of: reflect.TypeFor[T]()}}
}

var nothingMore = []answer{{status: http.StatusNoContent, doc: "Done."}}
