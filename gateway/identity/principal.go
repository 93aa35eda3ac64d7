// Package identity says who a request to the gateway comes from, and lets an organisation take in new people.
//
// A caller shows one of three things: the certificate of an organisation's identity authority as a TLS client, an OIDC
// token whose claim the configuration maps to an enrolment, or an API key that this gateway issued. Each leads to a
// [Principal], whose account is always one of the gateway's own organisation; people of other organisations go to
// their own gateway. The one exception are other members' gateways, which fetch content they have a right to.
//
// The life of a person: an operator makes an [Invitation] and hands its code over; the person sends code and
// certificate request; the organisation's authority signs a certificate for a fresh pseudonym; later the old
// certificate asks for the next one. Codes and API keys are kept as SHA-256 hashes only.
package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// GatewayEnrolment is the enrolment id of every organisation's gateway.
const GatewayEnrolment = "gateway"

// Method is how a caller has shown who it is.
type Method string

const (
	Certificate Method = "certificate"
	OIDC        Method = "oidc"
	APIKey      Method = "apikey"
)

// Scope is a part of what a principal may do, to which an API key can be confined.
type Scope string

const (
	Read    Scope = "read"    // everything that only reads the ledger
	Write   Scope = "write"   // transactions
	Content Scope = "content" // uploads and downloads of content
	Use     Scope = "use"     // use of models, which spends the key's budget
	Admin   Scope = "admin"   // invitations, API keys, settings
)

// Scopes lists every scope.
var Scopes = []Scope{Read, Write, Content, Use, Admin}

// Principal is who a request comes from.
type Principal struct {
	Account     ledger.Account // "" for a gateway of another organisation
	Gateway     string         // MSP ID of another member's gateway, "" otherwise
	Roles       []ledger.Role  // as the certificate says; the ledger judges by the certificate alone
	Method      Method
	Scopes      []Scope       // an API key's; nil for the other methods, which have every scope
	KeyID       string        // an API key's id
	Budget      *money.Amount // an API key's; nil: no limit
	Certificate []byte        // DER of the client certificate, of that method only
}

// May tells whether the principal may do what belongs to a scope. Another organisation's gateway has no scope: only
// the routes between gateways ask for [Principal.Gateway].
func (p Principal) May(scope Scope) bool {
	if p.Account == "" || p.Gateway != "" {
		return false
	}
	switch p.Method {
	case Certificate, OIDC:
		return slices.Contains(Scopes, scope)
	case APIKey:
		return slices.Contains(p.Scopes, scope)
	default:
		return false
	}
}

// Has tells whether the principal holds one of the roles.
func (p Principal) Has(roles ...ledger.Role) bool {
	return ledger.Caller{Roles: p.Roles}.Has(roles...)
}

// Enrolment is the account's part after its organisation.
func (p Principal) Enrolment() string {
	_, enrolment, _ := strings.Cut(string(p.Account), ":")
	return enrolment
}

// Code says what kind of refusal an [Error] is. Codes are stable: clients decide by them.
type Code string

const (
	CodeUnauthenticated Code = "unauthenticated"   // who calls is not known: HTTP 401
	CodeForbidden       Code = "forbidden"         // the caller is known and may not: 403
	CodeInvalid         Code = "invalid"           // the request itself is wrong: 422
	CodeNotFound        Code = "not_found"         // what it names does not exist: 404
	CodeState           Code = "state"             // an invitation that is used, a key that is revoked: 409
	CodeInsufficient    Code = "insufficient"      // the API key's budget is spent: 402
	CodeUnavailable     Code = "unavailable"       // the OIDC issuer cannot be reached; try again: 503
	CodeRate            Code = "too_many_requests" // tokens with unknown keys come faster than the issuer may be asked: 429
)

// Error is a refusal that the caller can understand. It never holds a secret.
type Error struct {
	Code    Code
	Field   string // of the request, where one is at fault
	Message string
}

func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s: %s: %s", e.Code, e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}
