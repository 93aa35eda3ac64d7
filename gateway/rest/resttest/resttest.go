// Package resttest checks answers of a gateway against its API document, with a validator that is not ours.
package resttest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
)

// T is what a check needs of a test.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Validator judges answers. It is safe for concurrent use.
type Validator struct {
	t       T
	parsed  *parsed
	answers atomic.Int64
}

// parsed is a document that was read before; reading one takes seconds.
type parsed struct {
	mutex     sync.Mutex
	validator validator.Validator
	fault     string
}

var documents sync.Map // by digest, of *parsed

// New reads an API document, which has to be a valid one.
func New(t T, document []byte) *Validator {
	t.Helper()
	found, _ := documents.LoadOrStore(sha256.Sum256(document), new(parsed))
	p := found.(*parsed)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.validator == nil && p.fault == "" {
		p.validator, p.fault = parse(document)
	}
	if p.fault != "" {
		t.Fatalf("the API document cannot be read, or is not valid: %s", p.fault)
	}
	return &Validator{t: t, parsed: p}
}

func parse(document []byte) (validator.Validator, string) {
	model, err := libopenapi.NewDocument(document)
	if err != nil {
		return nil, err.Error()
	}
	v, faults := validator.NewValidator(model, config.WithFormatAssertions())
	if len(faults) > 0 {
		return nil, fmt.Sprint(faults)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		return nil, explain(faults)
	}
	return v, ""
}

// Answers is how many answers were judged.
func (v *Validator) Answers() int { return int(v.answers.Load()) }

// Transport passes requests on and fails the test for an answer that the document does not describe: an unknown field,
// a status or a media type that is not there. What is no operation of the document is not judged.
func (v *Validator) Transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil || !strings.HasPrefix(r.URL.Path, "/v1/") {
			return response, err
		}
		var body []byte
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
			if body, err = io.ReadAll(response.Body); err != nil {
				return response, err
			}
			if err := response.Body.Close(); err != nil {
				return response, err
			}
			response.Body = io.NopCloser(bytes.NewReader(body))
		}
		v.judge(r, response, body)
		return response, nil
	})
}

func (v *Validator) judge(r *http.Request, response *http.Response, body []byte) {
	v.t.Helper()
	if response.StatusCode == http.StatusNotFound && bytes.Contains(body, []byte(`"no_such_route"`)) || response.StatusCode == http.StatusMethodNotAllowed {
		return
	}
	v.answers.Add(1)
	v.parsed.mutex.Lock()
	defer v.parsed.mutex.Unlock()
	asked := r.Clone(r.Context())
	asked.Body = http.NoBody
	seen := *response
	seen.Body = io.NopCloser(bytes.NewReader(body))
	if ok, faults := v.parsed.validator.ValidateHttpResponse(asked, &seen); !ok {
		v.t.Errorf("%s %s answered %d, which the API document does not describe: %s\n%.2000s", r.Method, r.URL.Path, response.StatusCode, explain(faults), body)
	}
}

func explain(faults []*errors.ValidationError) string {
	var lines []string
	for _, f := range faults {
		lines = append(lines, f.Message+": "+f.Reason)
		for _, s := range f.SchemaValidationErrors {
			lines = append(lines, "  "+s.FieldPath+": "+s.Reason)
		}
	}
	return strings.Join(lines, "\n")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
