package rest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// operation is one method of one path: what the API document says of it, and what it does.
type operation struct {
	id, method, path string
	tag              string
	summary, doc     string
	// scope is what an API key needs. An open operation asks for no caller at all; one between gateways is for the
	// gateways of other members, and for nobody else.
	scope identity.Scope
	open  bool
	peers bool
	// roles are those of which the caller must hold one; none: anybody of the organisation.
	roles []ledger.Role
	// either is for people and for the gateways of other members. The faults of an openAI operation have OpenAI's shape.
	either, openAI bool
	// params are besides those of the path, which are strings unless they are listed.
	params []*huma.Param
	// request is the Go type of the body, or body its description; neither means that there is none. Only one of type
	// bytes is not read by [call.decode].
	request reflect.Type
	body    *huma.RequestBody
	// answers are the good ones; problems are the codes besides those that every operation may answer with.
	answers  []answer
	problems []string
	// limit bounds how long the operation may take; 0 stands for readLimit, a negative one for no limit.
	limit  time.Duration
	handle func(*call) error
}

// answer is a good answer of an operation.
type answer struct {
	status  int
	doc     string
	of      reflect.Type // nil: no body
	schema  *huma.Schema // of a body that is no Go type
	media   string       // "" is JSON
	also    []string     // media types of the same as a text, which the caller may ask for
	headers map[string]string
}

// readLimit bounds an operation that says nothing else.
const readLimit = 30 * time.Second

// everywhere are the codes of problems that every operation may answer with.
var everywhere = []string{string(ledger.CodeInvalid), codeTooLarge, codeRate, string(ledger.CodeInternal), codeUnavailable}

// known are those of operations that ask who calls.
var known = []string{codeUnauthenticated, string(ledger.CodeForbidden)}

// add puts an operation into the API document and the router.
func (a *API) add(op *operation) {
	described := &huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.doc,
		Tags: []string{op.tag}, Parameters: slices.Clone(op.params), Responses: map[string]*huma.Response{},
	}
	listed := map[string]bool{}
	for _, p := range op.params {
		listed[p.In+p.Name] = true
	}
	for _, name := range pathParams(op.path) {
		if !listed["path"+name] {
			described.Parameters = append(described.Parameters, pathParam(name, &huma.Schema{Type: huma.TypeString}, ""))
		}
	}
	if op.request != nil {
		described.RequestBody = a.jsonBody(op.request, op.id+"-request")
	} else if op.body != nil {
		described.RequestBody = op.body
	}
	for _, ans := range op.answers {
		more := a.response(ans, op.id)
		if before := described.Responses[strconv.Itoa(ans.status)]; before != nil { // in another form
			maps.Copy(before.Content, more.Content)
			continue
		}
		described.Responses[strconv.Itoa(ans.status)] = more
	}
	codes := slices.Concat(everywhere, op.problems)
	if op.open {
		described.Security = []map[string][]string{}
	} else {
		codes = append(codes, known...)
		described.Security = security
	}
	if described.RequestBody != nil {
		codes = append(codes, codeMediaType)
	}
	for status, words := range byStatus(codes) {
		described.Responses[strconv.Itoa(status)] = a.problems(status, words)
	}
	if op.openAI {
		a.describeFaults(described)
	}
	a.huma.OpenAPI().AddOperation(described)
	a.huma.Adapter().Handle(described, func(ctx huma.Context) { a.serve(op, ctx) })
	a.operations = append(a.operations, op)
}

func byStatus(codes []string) map[int][]string {
	words := map[int][]string{}
	for _, code := range codes {
		status := kinds[code].status
		if !slices.Contains(words[status], code) {
			words[status] = append(words[status], code)
		}
	}
	return words
}

func (a *API) problems(status int, codes []string) *huma.Response {
	text := http.StatusText(status) + "; code"
	for i, code := range codes {
		if i > 0 {
			text += " or"
		}
		text += " " + code
	}
	r := &huma.Response{Description: text, Content: map[string]*huma.MediaType{
		problemType: {Schema: a.schema(reflect.TypeFor[Problem](), "")}}}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		r.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	return r
}

func (a *API) response(ans answer, id string) *huma.Response {
	r := &huma.Response{Description: ans.doc}
	schema := ans.schema
	if ans.of != nil {
		schema = a.schema(ans.of, id+"-response")
	}
	if schema != nil {
		media := ans.media
		if media == "" {
			media = jsonType
		}
		r.Content = map[string]*huma.MediaType{media: {Schema: schema}}
		for _, media := range ans.also {
			r.Content[media] = &huma.MediaType{Schema: text()}
		}
	}
	for name, doc := range ans.headers {
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		r.Headers[name] = &huma.Param{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return r
}

func (a *API) jsonBody(t reflect.Type, hint string) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(t, hint)}}}
}

func (a *API) schema(t reflect.Type, hint string) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(t, true, hint)
}

// security are the ways to show who calls; any one is enough.
var security = []map[string][]string{{"certificate": {}}, {"token": {}}}

const jsonType = "application/json"

// call is one request to an operation.
type call struct {
	api       *API
	op        *operation
	principal identity.Principal
	w         http.ResponseWriter
	r         *http.Request
	huma      huma.Context
	query     url.Values
}

func (c *call) ctx() context.Context { return c.r.Context() }

// serve runs an operation and shows its failure.
func (a *API) serve(op *operation, ctx huma.Context) {
	r, w := humachi.Unwrap(ctx)
	c := &call{api: a, op: op, w: w, r: r, huma: ctx}
	note := noteOf(r.Context())
	note.operation = op.id
	if err := a.run(c); err != nil {
		problem := problemOf(err)
		note.fail(problem)
		if note.written() {
			panic(http.ErrAbortHandler) // what was sent so far must not look complete
		}
		problem.write(w, note.request)
	}
}

func (a *API) run(c *call) error {
	limit := c.op.limit
	if limit == 0 {
		limit = readLimit
	}
	if limit > 0 {
		ctx, cancel := context.WithTimeout(c.ctx(), limit)
		defer cancel()
		c.r = c.r.WithContext(ctx)
	}
	if err := a.admit(c); err != nil {
		return err
	}
	if limit < 0 {
		if err := c.readAll(); err != nil {
			return err
		}
	}
	if err := c.readQuery(); err != nil {
		return err
	}
	return c.op.handle(c)
}

// admit finds out who calls and whether the operation is for them.
func (a *API) admit(c *call) error {
	if c.op.open {
		return nil
	}
	principal, err := a.options.Authenticate(c.r)
	if err != nil {
		return err
	}
	c.principal = principal
	noteOf(c.ctx()).caller = callerName(principal)
	if err := a.rates.take(callerName(principal)); err != nil {
		return err
	}
	switch {
	case c.op.either && principal.Gateway != "":
	case c.op.peers:
		if principal.Gateway == "" {
			return newProblem(string(ledger.CodeForbidden), "this is for the gateways of other members")
		}
	case principal.Account == "":
		return newProblem(string(ledger.CodeForbidden), "this is for people of the gateway's own organisation")
	case !principal.May(c.op.scope):
		return newProblem(string(ledger.CodeForbidden), "the API key lacks the scope %q", c.op.scope)
	case len(c.op.roles) > 0 && !principal.Has(c.op.roles...):
		return newProblem(string(ledger.CodeForbidden), "this is for the role %s", ledger.AnyOf(c.op.roles))
	}
	return nil
}

func callerName(p identity.Principal) string {
	switch {
	case p.Gateway != "":
		return "gateway of " + p.Gateway
	case p.KeyID != "":
		return string(p.Account) + " key " + p.KeyID
	default:
		return string(p.Account)
	}
}

// maxQuery bounds a query string in bytes.
const maxQuery = 8 << 10

// readQuery refuses a path that is no text, and parameters that the operation does not have, or that are given twice.
func (c *call) readQuery() error {
	if len(c.r.URL.RawQuery) > maxQuery {
		return newProblem(codeTooLarge, "a query string has at most %d bytes", maxQuery)
	}
	if !plainText(c.r.URL.Path) {
		return invalid("path", "must be text in UTF-8, without U+0000")
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return invalid("query", "the query string cannot be read")
	}
	for name, values := range query {
		if !plainText(name) || !plainText(values[0]) {
			return invalid("query", "must be text in UTF-8, without U+0000")
		}
		if !slices.ContainsFunc(c.op.params, func(p *huma.Param) bool { return p.In == "query" && p.Name == name }) {
			return invalid(ledger.Clip(name), "unknown query parameter")
		}
		if len(values) > 1 {
			return invalid(name, "given more than once")
		}
	}
	c.query = query
	return nil
}

func plainText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// param is a part of the path, unescaped.
func (c *call) param(name string) string { return c.huma.Param(name) }

// number is a whole number of a query, or the standard one when it is not given.
func (c *call) number(name string, standard, least, most int64) (int64, error) {
	text := c.query.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, invalid(name, "must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

// moment reads a time from the query, or a date, which is its midnight UTC; the zero time when there is none.
func (c *call) moment(name string) (time.Time, error) {
	text := c.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, invalid(name, "must be a time such as 2030-01-31T12:00:00Z, or a date such as 2030-01-31")
}

// readBody reads a JSON body whole, up to the ledger's limit of a document.
func (c *call) readBody() ([]byte, error) {
	if media := c.r.Header.Get("Content-Type"); media != "" {
		if kind, _, err := mime.ParseMediaType(media); err != nil || kind != jsonType {
			return nil, newProblem(codeMediaType, "send %s", jsonType)
		}
	}
	if err := c.readBy(c.api.options.BodyTimeout); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, ledger.MaxDocument))
	if err != nil {
		return nil, bodyError(err)
	}
	return data, c.readAll()
}

// readBy sets when the rest of the body must have come.
func (c *call) readBy(limit time.Duration) error {
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("bound the time to read the body: %w", err)
	}
	return nil
}

// readAll says that the body was read: what comes takes as long as it takes. A deadline that passes while the answer is
// made would be taken for the end of the connection.
func (c *call) readAll() error {
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("end the time to read the body: %w", err)
	}
	return nil
}

// bodyError tells a body that is too large, which its reader says, from one that breaks off.
func bodyError(err error) error {
	if p := problemOf(err); p.Code == codeTooLarge {
		return p
	}
	broken := invalid("body", "the body could not be read to its end")
	broken.cause = err
	return broken
}

// decode reads the body strictly into v: no unknown or repeated names, no other types.
func (c *call) decode(v any) error {
	data, err := c.readBody()
	if err != nil {
		return err
	}
	return ledger.Decode(data, v)
}

// answer sends a value as JSON.
func (c *call) answer(status int, v any) error {
	data, err := ledger.Encode(v)
	if err != nil {
		return err
	}
	return c.send(status, data)
}

// send sends a JSON document.
func (c *call) send(status int, data []byte) error {
	header := c.w.Header()
	header.Set("Content-Type", jsonType)
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	header.Set("Content-Length", strconv.Itoa(len(data)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data) // a client that is gone does not read it
	return nil
}

// nothing answers without a body.
func (c *call) nothing() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func pathParam(name string, schema *huma.Schema, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Schema: schema, Description: doc}
}

func queryParam(name string, schema *huma.Schema, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Schema: schema, Description: doc}
}

func headerParam(name string, required bool, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Required: required, Schema: &huma.Schema{Type: huma.TypeString}, Description: doc}
}

func text() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func whole(least, most float64) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most}
}
