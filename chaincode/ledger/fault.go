package ledger

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// Code says what kind of refusal a [Fault] is. Codes are stable: clients decide by them.
type Code string

const (
	CodeInvalid      Code = "invalid"      // the request itself is wrong; Field names the place
	CodeForbidden    Code = "forbidden"    // this caller may not do this
	CodeNotFound     Code = "not_found"    // what the request names does not exist
	CodeExists       Code = "exists"       // the name is taken by other content
	CodeState        Code = "state"        // the thing exists but is not in a state that allows this
	CodeInsufficient Code = "insufficient" // not enough credits
	CodeLicence      Code = "licence"      // the terms of the data do not allow this; the message names every failure
	CodeInternal     Code = "internal"     // a defect of the chaincode or of its ledger; never the caller's doing
)

// Fault is a refusal that the caller can understand: a stable code, a sentence, and the field of the request at fault
// where there is one.
type Fault struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

func (f *Fault) Error() string {
	if f.Field == "" {
		return fmt.Sprintf("%s: %s", f.Code, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.Code, f.Field, f.Message)
}

// Invalid is the fault of a malformed request.
func Invalid(field, format string, args ...any) *Fault {
	return &Fault{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Refuse is a fault of any code, without a field.
func Refuse(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At returns the fault with the field that caused it.
func (f *Fault) At(field string) *Fault {
	return &Fault{Code: f.Code, Message: f.Message, Field: field}
}

// Within returns the fault with its field inside an item of a list, as items.3.tokens.
func (f *Fault) Within(list string, item int) *Fault {
	field := fmt.Sprintf("%s.%d", list, item)
	if f.Field != "" {
		field += "." + f.Field
	}
	return f.At(field)
}

// AsFault returns err as a fault; an error that is none becomes an internal one.
func AsFault(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Code: CodeInternal, Message: err.Error()}
}

// Wire is the form in which a fault crosses Fabric, whose chaincode errors are a single string: the fault as JSON.
func (f *Fault) Wire() string {
	data, err := json.Marshal(f)
	if err != nil { // a sentence that is not UTF-8
		return fmt.Sprintf(`{"code":%q,"message":"fault with an unprintable message"}`, f.Code)
	}
	return string(data)
}

// ParseFault reads what [Fault.Wire] wrote; ok is false for any other string.
func ParseFault(message string) (f *Fault, ok bool) {
	f = new(Fault)
	if err := json.Unmarshal([]byte(message), f, json.RejectUnknownMembers(true)); err != nil || f.Code == "" {
		return nil, false
	}
	return f, true
}
