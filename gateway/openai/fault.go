package openai

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// Code names a fault, for programs. Codes are stable.
type Code string

const (
	CodeInvalid      Code = "invalid_request"
	CodeUnsupported  Code = "unsupported_parameter"
	CodeTooLarge     Code = "request_too_large"
	CodeUnauthorized Code = "invalid_api_key"
	CodeForbidden    Code = "forbidden"
	CodeNotFound     Code = "model_not_found"
	CodeRate         Code = "rate_limit_exceeded"
	CodeUpstream     Code = "upstream_unavailable"
	CodeInternal     Code = "server_error"

	// A host's, of sessions and vouchers.
	CodeSessionUnknown Code = "session_unknown"
	CodeSessionExpired Code = "session_expired"
	CodeVoucher        Code = "voucher_invalid"
	CodeWindow         Code = "window"
	CodeFunds          Code = "funds"
	CodeExposure       Code = "exposure"
	CodeBusy           Code = "busy"
	CodeInProgress     Code = "in_progress"
	CodeConflict       Code = "conflict"
	CodeSettled        Code = "settled"
	CodeCap            Code = "cap"

	// A consumer's, to its own people.
	CodeQuota  Code = "insufficient_quota"
	CodeBudget Code = "budget_exceeded"
	CodeHost   Code = "host_answer_invalid"
)

// meaning is how a code is sent: its status, OpenAI's type, and whether the same request may succeed soon.
type meaning struct {
	status int
	kind   string
	retry  bool
}

const (
	invalidRequest = "invalid_request_error"
	serverError    = "server_error"
)

var meanings = map[Code]meaning{
	CodeInvalid:        {http.StatusBadRequest, invalidRequest, false},
	CodeUnsupported:    {http.StatusBadRequest, invalidRequest, false},
	CodeTooLarge:       {http.StatusRequestEntityTooLarge, invalidRequest, false},
	CodeUnauthorized:   {http.StatusUnauthorized, "authentication_error", false},
	CodeForbidden:      {http.StatusForbidden, "permission_error", false},
	CodeNotFound:       {http.StatusNotFound, invalidRequest, false},
	CodeRate:           {http.StatusTooManyRequests, "rate_limit_error", true},
	CodeUpstream:       {http.StatusServiceUnavailable, serverError, true},
	CodeInternal:       {http.StatusInternalServerError, serverError, true},
	CodeSessionUnknown: {http.StatusNotFound, invalidRequest, false},
	CodeSessionExpired: {http.StatusGone, invalidRequest, false},
	CodeVoucher:        {http.StatusBadRequest, invalidRequest, false},
	CodeWindow:         {http.StatusTooManyRequests, "rate_limit_error", true},
	CodeFunds:          {http.StatusPaymentRequired, "insufficient_quota", false},
	CodeExposure:       {http.StatusTooManyRequests, "rate_limit_error", true},
	CodeBusy:           {http.StatusServiceUnavailable, serverError, true},
	CodeInProgress:     {http.StatusConflict, invalidRequest, true},
	CodeConflict:       {http.StatusConflict, invalidRequest, false},
	CodeSettled:        {http.StatusGone, invalidRequest, false},
	CodeCap:            {http.StatusBadRequest, invalidRequest, false},
	CodeQuota:          {http.StatusTooManyRequests, "insufficient_quota", false},
	CodeBudget:         {http.StatusTooManyRequests, "insufficient_quota", false},
	CodeHost:           {http.StatusBadGateway, serverError, false},
}

// Error is a fault as it is sent: {"error": {…}}.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"message"`
	Type    string `json:"type"`
	Param   string `json:"param"`
	Code    Code   `json:"code"`
	// After is when a repetition makes sense, if known.
	After time.Duration `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Refuse is a fault with a code; param names the member of the body at fault, if one is.
func Refuse(code Code, param, format string, args ...any) *Error {
	m, ok := meanings[code]
	if !ok {
		m = meanings[CodeInternal]
	}
	return &Error{Status: m.status, Type: m.kind, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// Again tells whether the same request may succeed soon.
func (e *Error) Again() bool { return meanings[e.Code].retry }

// wireError is an error with null where OpenAI has null.
type wireError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *Code   `json:"code"`
	} `json:"error"`
}

// Encode is the body that is sent.
func (e *Error) Encode() []byte {
	var w wireError
	w.Error.Message, w.Error.Type = e.Message, e.Type
	if e.Param != "" {
		w.Error.Param = &e.Param
	}
	if e.Code != "" {
		w.Error.Code = &e.Code
	}
	b, err := json.Marshal(&w)
	if err != nil { // a message or a name that is not UTF-8
		return Refuse(CodeInternal, "", "the fault cannot be shown").Encode()
	}
	return b
}

// Write answers a request with the fault. OpenAI's clients repeat by themselves unless they are told that it is no use.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Should-Retry", strconv.FormatBool(e.Again()))
	if e.After > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.After+time.Second-1)/time.Second), 10))
	}
	body := e.Encode()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	w.Write(body)
}

// ReadError is the fault in the body of an answer with a status that tells of one. What is no fault of this shape becomes
// one that quotes nothing of it.
func ReadError(status int, body []byte) *Error {
	var w wireError
	if err := json.Unmarshal(body, &w); err != nil || w.Error.Message == "" {
		return &Error{Status: status, Type: serverError, Code: CodeInternal, Message: fmt.Sprintf("the answer has the status %d", status)}
	}
	e := &Error{Status: status, Message: w.Error.Message, Type: w.Error.Type}
	if w.Error.Param != nil {
		e.Param = *w.Error.Param
	}
	if w.Error.Code != nil {
		e.Code = *w.Error.Code
	}
	return e
}
