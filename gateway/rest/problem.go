package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is why a request failed (RFC 9457). Clients decide by Code and Retryable; the sentence is for people.
type Problem struct {
	Type           string `json:"type" doc:"A URI reference that is the same for all problems of a code." format:"uri-reference"`
	Title          string `json:"title" doc:"What the code means."`
	Status         int    `json:"status" doc:"The HTTP status."`
	Detail         string `json:"detail,omitzero" doc:"What is wrong here, and what to do about it."`
	Code           string `json:"code" doc:"A stable word to decide by."`
	Field          string `json:"field,omitzero" doc:"The part of the request at fault."`
	Request        string `json:"request,omitzero" doc:"The request's id, which the gateway's log names too."`
	Transaction    string `json:"transaction,omitzero" doc:"The id of the transaction, if there was one."`
	ValidationCode string `json:"validationCode,omitzero" doc:"Why the peers found the transaction invalid, in Fabric's word."`
	Organisation   string `json:"organisation,omitzero" doc:"The MSP ID of the organisation that failed."`
	Retryable      bool   `json:"retryable" doc:"Whether the same request may succeed later without any change."`

	// retryAfter is in seconds, 0 for none.
	retryAfter int
	// cause is for the log and never shown.
	cause error
}

func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s", p.Status, p.Code, cmp.Or(p.Detail, p.Title))
}
func (p *Problem) Unwrap() error { return p.cause }

// kind is what all problems of a code share.
type kind struct {
	status    int
	title     string
	retryable bool
}

// Codes of problems that are the gateway's own; the ledger's are those of its faults.
const (
	codeUnauthenticated = "unauthenticated"
	codeUnknownRoute    = "no_such_route"
	codeMethod          = "method_not_allowed"
	codeMediaType       = "unsupported_media_type"
	codeTooLarge        = "too_large"
	codeRange           = "range_not_satisfiable"
	codeOffset          = "offset"
	codeRate            = "too_many_requests"
	codeKey             = "key_conflict"
	codeConflict        = "conflict"
	codeDisagreement    = "disagreement"
	codeInvalidated     = "invalidated"
	codeRefused         = "refused_by_orderers"
	codeUnknown         = "outcome_unknown"
	codeUnavailable     = "unavailable"
	codeBehind          = "behind"
	codeTimeout         = "timeout"
	codeGone            = "gone"
	codeNoKey           = "no_key"
	codeTurn            = "out_of_turn"
)

// kinds is the one table of codes and HTTP statuses.
var kinds = map[string]kind{
	string(ledger.CodeInvalid):      {http.StatusUnprocessableEntity, "The request is not valid", false},
	string(ledger.CodeForbidden):    {http.StatusForbidden, "The caller may not do this", false},
	string(ledger.CodeNotFound):     {http.StatusNotFound, "It does not exist", false},
	string(ledger.CodeExists):       {http.StatusConflict, "The name is taken by other content", false},
	string(ledger.CodeState):        {http.StatusConflict, "It is not in a state that allows this", false},
	string(ledger.CodeInsufficient): {http.StatusPaymentRequired, "There are not enough credits", false},
	string(ledger.CodeLicence):      {http.StatusForbidden, "The terms of the data do not allow this", false},
	string(ledger.CodeInternal):     {http.StatusInternalServerError, "Something is wrong inside", false},
	codeUnauthenticated:             {http.StatusUnauthorized, "Who calls is not known", false},
	codeUnknownRoute:                {http.StatusNotFound, "There is no such path", false},
	codeMethod:                      {http.StatusMethodNotAllowed, "The path does not have this method", false},
	codeMediaType:                   {http.StatusUnsupportedMediaType, "The body has another media type than the route takes", false},
	codeTooLarge:                    {http.StatusRequestEntityTooLarge, "The request is too large", false},
	codeRange:                       {http.StatusRequestedRangeNotSatisfiable, "The content does not have this range", false},
	codeOffset:                      {http.StatusConflict, "The upload is at another offset", true},
	codeRate:                        {http.StatusTooManyRequests, "The caller sends too many requests", true},
	codeKey:                         {http.StatusConflict, "The idempotency key was used for another request", false},
	codeConflict:                    {http.StatusConflict, "Other transactions came first each time", true},
	codeDisagreement:                {http.StatusServiceUnavailable, "The endorsers' answers differ", true},
	codeInvalidated:                 {http.StatusConflict, "The peers found the transaction invalid", false},
	codeRefused:                     {http.StatusForbidden, "The ordering service refused the transaction", false},
	codeUnknown:                     {http.StatusGatewayTimeout, "The outcome of the transaction is not known yet", true},
	codeUnavailable:                 {http.StatusServiceUnavailable, "Not available now", true},
	codeBehind:                      {http.StatusServiceUnavailable, "The index has not reached this height", true},
	codeTimeout:                     {http.StatusServiceUnavailable, "The request took too long", true},
	codeGone:                        {http.StatusGone, "It was erased", false},
	codeNoKey:                       {http.StatusForbidden, "The gateway keeps no key of the account", false},
	codeTurn:                        {http.StatusConflict, "The transaction waits for another signature", true},
}

// newProblem makes a problem of a code; an unknown code is an internal one, which never occurs unless a table is wrong.
func newProblem(code string, format string, args ...any) *Problem {
	k, known := kinds[code]
	if !known {
		code, k = string(ledger.CodeInternal), kinds[string(ledger.CodeInternal)]
	}
	p := &Problem{Type: "/problems/" + code, Title: k.title, Status: k.status, Code: code, Retryable: k.retryable}
	if format != "" {
		p.Detail = fmt.Sprintf(format, args...)
	}
	if k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests {
		p.retryAfter = 1
	}
	return p
}

// invalid is the problem of a part of the request.
func invalid(field, format string, args ...any) *Problem {
	p := newProblem(string(ledger.CodeInvalid), format, args...)
	p.Field = field
	return p
}

// problemOf turns any failure into what the caller is shown. What it does not know is internal: its text goes to the log
// alone.
func problemOf(err error) *Problem {
	var (
		problem      *Problem
		fault        *ledger.Fault
		refusal      *identity.Error
		invalidated  *fabric.InvalidError
		disagreement *fabric.DisagreementError
		unavailable  *fabric.UnavailableError
		refused      *fabric.RefusedError
		unknown      *fabric.UnknownError
		tooLarge     *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
	case errors.As(err, &fault):
		problem = ofFault(fault)
	case errors.As(err, &refusal):
		problem = newProblem(string(refusal.Code), "%s", refusal.Message)
		problem.Field = refusal.Field
	case errors.Is(err, outbox.ErrConflictingKey):
		problem = newProblem(codeKey, "choose a new key for a new request")
	case errors.Is(err, outbox.ErrPending):
		problem = newProblem(codeUnavailable, "the request is still being endorsed; send it again with the same key")
	case errors.Is(err, outbox.ErrNone):
		problem = newProblem(string(ledger.CodeNotFound), "there is no such transaction")
	case errors.Is(err, outbox.ErrOutOfTurn):
		problem = newProblem(codeTurn, "prepare it again with the same key")
	case errors.Is(err, fabric.ErrSignature):
		problem = invalid("signature", "%v", fabric.ErrSignature)
	case errors.Is(err, ErrNoKey):
		problem = newProblem(codeNoKey, "sign yourself, with /v1/transactions/prepare")
	case errors.As(err, &tooLarge):
		problem = newProblem(codeTooLarge, "at most %d bytes are taken", tooLarge.Limit)
	case errors.As(err, &invalidated):
		code := codeInvalidated
		if invalidated.Conflict() {
			code = codeConflict
		}
		problem = newProblem(code, "transaction %s is invalid: %s", invalidated.TxID, invalidated.Code)
		problem.Transaction, problem.ValidationCode = invalidated.TxID, invalidated.Code.String()
	case errors.As(err, &unknown):
		problem = newProblem(codeUnknown, "ask for /v1/transactions/%s, or send the same request again", unknown.TxID)
		problem.Transaction = unknown.TxID
	case errors.As(err, &refused):
		problem = newProblem(codeRefused, "")
		problem.Transaction, problem.Organisation = refused.TxID, refused.Organisation
	case errors.As(err, &disagreement):
		problem = newProblem(codeDisagreement, "a peer may lag behind; send the same request again")
		problem.Organisation = disagreement.Organisation
	case errors.As(err, &unavailable):
		problem = newProblem(codeUnavailable, "a peer or an organisation could not be reached; nothing was submitted; send the same request again")
		problem.Organisation = unavailable.Organisation
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		problem = newProblem(codeTimeout, "send the same request again")
	default:
		problem = newProblem(string(ledger.CodeInternal), "the gateway's log says more under the request's id")
	}
	if problem.cause == nil && error(problem) != err {
		shown := *problem
		shown.cause = err
		problem = &shown
	}
	return problem
}

// ofFault is the problem of a refusal by the rules. An internal fault is a defect, whose text is not for callers.
func ofFault(f *ledger.Fault) *Problem {
	if f.Code == ledger.CodeInternal {
		return newProblem(string(ledger.CodeInternal), "the gateway's log says more under the request's id")
	}
	p := newProblem(string(f.Code), "%s", f.Message)
	p.Field = f.Field
	return p
}

// write sends the problem.
func (p *Problem) write(w http.ResponseWriter, request string) {
	shown := *p
	shown.Request = request
	header := w.Header()
	for _, name := range []string{"ETag", "Last-Modified", "Cache-Control", "Content-Length", "Content-Range", "Accept-Ranges"} {
		header.Del(name)
	}
	header.Set("Content-Type", problemType)
	header.Set("Cache-Control", "no-store")
	if shown.retryAfter > 0 {
		header.Set("Retry-After", fmt.Sprint(shown.retryAfter))
	}
	if shown.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="datanet"`)
	}
	body, err := json.Marshal(&shown)
	if err != nil { // a detail that is not UTF-8
		shown.Detail, shown.Field = "", ""
		body, _ = json.Marshal(&shown)
	}
	w.WriteHeader(shown.Status)
	_, _ = w.Write(body) // a client that is gone does not read it
}
