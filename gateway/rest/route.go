package rest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// binding is a route with its function, and where each field of the function's request comes from.
type binding struct {
	route
	function *ledger.Function
	// parts are the fields that the path fills, by their names in the request, and query those of query parameters.
	parts map[string][]string
	query map[string]field
	body  reflect.Type // of a command: what the path does not fill; nil when nothing is left
	names map[string]bool
}

// field is a scalar of a request.
type field struct {
	name string // as in the JSON document, parts separated by dots
	kind reflect.Kind
}

// addRoutes adds the table of routes. A route that does not fit its function is a defect.
func (a *API) addRoutes() error {
	functions := map[string]*ledger.Function{}
	for _, f := range a.registry.Functions() {
		functions[f.Name] = f
	}
	for _, r := range routes {
		f := functions[r.function]
		if f == nil {
			return fmt.Errorf("route %s %s: no function %s", r.method, r.path, r.function)
		}
		if !f.Query && a.options.Outbox == nil {
			continue
		}
		b, err := bind(r, f)
		if err != nil {
			return fmt.Errorf("route %s %s: %w", r.method, r.path, err)
		}
		if f.Query {
			a.add(a.read(b))
		} else {
			a.add(a.write(b))
		}
	}
	return nil
}

// bind finds out which field of the request each part of the path fills, and what is left for query or body.
func bind(r route, f *ledger.Function) (*binding, error) {
	b := &binding{route: r, function: f, parts: map[string][]string{}, query: map[string]field{}, names: map[string]bool{}}
	if f.Query != (r.method == get) {
		return nil, fmt.Errorf("%s is not for this method", r.function)
	}
	names := pathParams(r.path)
	if r.name != "" {
		b.parts[r.name] = []string{"organisation", "name"}
		names = slices.DeleteFunc(names, func(n string) bool { return n == "organisation" || n == "name" })
	}
	for _, name := range names {
		target := name
		if other, given := r.fields[name]; given {
			target = other
		}
		b.parts[target] = []string{name}
	}
	left := map[string]reflect.StructField{}
	for name, sf := range jsonFields(f.Request) {
		left[name] = sf
	}
	for target := range b.parts {
		if _, ok := scalar(f.Request, target); !ok {
			return nil, fmt.Errorf("the request of %s has no field %s that a path can fill", r.function, target)
		}
		top, _, _ := strings.Cut(target, ".")
		delete(left, top)
	}
	for name, sf := range left {
		b.names[name] = true
		if !f.Query {
			continue
		}
		kind, ok := scalar(f.Request, name)
		if !ok {
			if sf.Type.Kind() == reflect.Pointer { // only another route fills it
				delete(b.names, name)
				continue
			}
			return nil, fmt.Errorf("field %s of %s cannot be a query parameter", name, r.function)
		}
		b.query[name] = field{name, kind}
	}
	if !f.Query {
		b.body = bodyType(f.Request, b.names)
	}
	return b, nil
}

// request makes the function's request document from path, query and body, and checks it as the ledger will.
func (b *binding) request(c *call) ([]byte, error) {
	fields := map[string]any{}
	for target, names := range b.parts {
		values := make([]string, len(names))
		for i, name := range names {
			values[i] = c.param(name)
		}
		kind, _ := scalar(b.function.Request, target)
		if err := set(fields, target, kind, strings.Join(values, "/")); err != nil {
			return nil, err
		}
	}
	for name, f := range b.query {
		if c.query.Has(name) {
			if err := set(fields, f.name, f.kind, c.query.Get(name)); err != nil {
				return nil, err
			}
		}
	}
	if !b.function.Query {
		if err := b.addBody(c, fields); err != nil {
			return nil, err
		}
	}
	document, err := json.Marshal(fields, json.Deterministic(true))
	if err != nil { // a path that is not UTF-8
		return nil, invalid("path", "not valid UTF-8")
	}
	return b.check(document)
}

// check decodes the document as the ledger does, and returns it as the ledger writes it: equal requests have equal
// documents.
func (b *binding) check(document []byte) ([]byte, error) {
	request, err := b.decode(document)
	if err != nil {
		return nil, err
	}
	return ledger.Encode(request)
}

func (b *binding) decode(document []byte) (any, error) {
	request := reflect.New(b.function.Request)
	if err := ledger.Decode(document, request.Interface()); err != nil {
		return nil, err
	}
	if v, ok := request.Elem().Interface().(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return request.Interface(), nil
}

// examine checks a document that is to stay as it is.
func (b *binding) examine(document []byte) error {
	_, err := b.decode(document)
	return err
}

// addBody adds the fields of a command's body. Without fields of its own a command takes no body, or {}.
func (b *binding) addBody(c *call, fields map[string]any) error {
	data, err := c.readBody()
	if err != nil {
		return err
	}
	if len(data) == 0 && b.body == nil {
		return nil
	}
	var body map[string]jsontext.Value
	if err := ledger.Decode(data, &body); err != nil {
		return err
	}
	if body == nil {
		return invalid("body", "a JSON object is expected")
	}
	for name, value := range body {
		if !b.names[name] {
			return invalid(ledger.Clip(name), "unknown field")
		}
		fields[name] = value
	}
	return nil
}

// set puts a text into the document at a dotted path, in the JSON type of the field.
func set(fields map[string]any, target string, kind reflect.Kind, text string) error {
	var value any = text
	switch kind {
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return invalid(target, "%q is not a whole number", ledger.Clip(text))
		}
		value = n
	case reflect.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return invalid(target, "%q is neither true nor false", ledger.Clip(text))
		}
		value = v
	}
	at := fields
	path := strings.Split(target, ".")
	for _, name := range path[:len(path)-1] {
		inner, ok := at[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[name] = inner
		}
		at = inner
	}
	at[path[len(path)-1]] = value
	return nil
}

// parameters describes the path and the query.
func (b *binding) parameters() (list []*huma.Param) {
	for target, names := range b.parts {
		kind, _ := scalar(b.function.Request, target)
		for _, name := range names {
			list = append(list, pathParam(name, kindSchema(kind), ""))
		}
	}
	for name, f := range b.query {
		list = append(list, queryParam(name, kindSchema(f.kind), queryDocs[name]))
	}
	slices.SortFunc(list, func(x, y *huma.Param) int { return strings.Compare(x.In+x.Name, y.In+y.Name) })
	return list
}

var queryDocs = map[string]string{
	"limit":  fmt.Sprintf("How many items at most, up to %d; 0 stands for %d.", ledger.MaxPage, ledger.DefaultPage),
	"cursor": "Where to go on: the field next of the page before.",
	"msp":    "The organisation, by its MSP ID.",
}

func kindSchema(kind reflect.Kind) *huma.Schema {
	switch kind {
	case reflect.Int, reflect.Int64:
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	case reflect.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	default:
		return text()
	}
}

// pathParams are the names in braces.
func pathParams(path string) (names []string) {
	for _, part := range strings.Split(path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// jsonFields are the fields of a request by their names in JSON. Those of an embedded struct without a name of its own
// are fields of the request itself.
func jsonFields(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case sf.Anonymous && name == "":
			maps.Copy(fields, jsonFields(sf.Type))
		case name != "" && name != "-":
			fields[name] = sf
		}
	}
	return fields
}

// scalar is the kind of the field at a dotted path, if a text can fill it.
func scalar(t reflect.Type, target string) (reflect.Kind, bool) {
	name, rest, nested := strings.Cut(target, ".")
	sf, ok := jsonFields(t)[name]
	if !ok {
		return 0, false
	}
	ft := sf.Type
	if ft.Kind() == reflect.Pointer {
		ft = ft.Elem()
	}
	if nested {
		if ft.Kind() != reflect.Struct {
			return 0, false
		}
		return scalar(ft, rest)
	}
	switch ft.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
		return ft.Kind(), true
	}
	return 0, false
}

// bodyType is a struct of those fields of a request that the body fills; nil when there are none.
func bodyType(t reflect.Type, names map[string]bool) reflect.Type {
	var fields []reflect.StructField
	for name, sf := range jsonFields(t) {
		if names[name] {
			fields = append(fields, reflect.StructField{Name: sf.Name, Type: sf.Type, Tag: sf.Tag})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	slices.SortFunc(fields, func(a, b reflect.StructField) int { return strings.Compare(a.Name, b.Name) })
	return reflect.StructOf(fields)
}

// operationID is a function's name in the document, "token-transfer"; a second route of a function adds what it is of.
func (b *binding) operationID() string {
	domain, name, _ := strings.Cut(b.route.function, ":")
	id := domain + "-" + kebab(name)
	if b.name == "datanet" && domain == "model" {
		id += "-of-datanet"
	}
	return id
}

func kebab(name string) string {
	var out strings.Builder
	for i, r := range name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			out.WriteByte('-')
		}
		out.WriteString(strings.ToLower(string(r)))
	}
	return out.String()
}

// operation is what read and write routes have in common.
func (b *binding) operation(scope identity.Scope) *operation {
	domain, _, _ := strings.Cut(b.route.function, ":")
	doc := "Function " + b.route.function + " of the ledger."
	if roles := b.function.Access.Roles; len(roles) > 0 && len(roles) < len(ledger.Roles) {
		words := make([]string, len(roles))
		for i, role := range roles {
			words[i] = string(role)
		}
		doc += " Needs the role " + strings.Join(words, " or ") + "."
	}
	return &operation{id: b.operationID(), method: b.method, path: b.path, tag: domain, summary: strings.TrimSuffix(b.function.Doc, "."), doc: doc,
		scope: scope, params: b.parameters()}
}
