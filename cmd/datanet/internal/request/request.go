// Package request makes the request document of a ledger function from a command line: each field of the request's Go
// type is a flag, so that a new function needs no code of its own.
//
// The rules: a field mediaType is the flag --media-type, a field inside another struct is --licence-purposes. Lists are
// given by repeating the flag or with commas. A struct of two plain fields is written "first@second", as in
// --snapshots PoetrySocietyMSP/persian-poetry@3; any other value that is no plain one is JSON. Bytes and JSON are text, or
// the content of a file as @FILE. A time is RFC 3339, a date, or a number of days from now as 30d. A list of plain values
// that the ledger wants in another order is sorted, wherever it was given.
package request

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// maxFile bounds a file that a value names, in bytes.
const maxFile = ledger.MaxDocument

// Fields are the flags of one request.
type Fields struct {
	request reflect.Type
	flags   *pflag.FlagSet
	fields  []field
	now     func() time.Time
}

type field struct {
	path []string // of names in the document
	flag string
	kind reflect.Type
	list bool
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
	valueType = reflect.TypeFor[jsontext.Value]()
	textType  = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// New adds a flag for every field of the request but those in taken, which arguments fill.
func New(flags *pflag.FlagSet, request reflect.Type, taken []string) *Fields {
	f := &Fields{request: request, flags: flags, now: time.Now}
	skip := map[string]bool{}
	for _, name := range taken {
		skip[name] = true
	}
	f.add(request, nil, skip)
	return f
}

func (f *Fields) add(t reflect.Type, path []string, skip map[string]bool) {
	for _, m := range members(t) {
		here := append(append([]string(nil), path...), m.name)
		if skip[strings.Join(here, ".")] {
			continue
		}
		kind := m.kind
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if nested(kind) {
			f.add(kind, here, skip)
			continue
		}
		one := field{path: here, flag: flagName(here), kind: kind}
		if kind.Kind() == reflect.Slice && kind != bytesType && kind != valueType {
			one.list, one.kind = true, kind.Elem()
		}
		if f.flags.Lookup(one.flag) != nil {
			continue // another flag of the command has this name; --from can give the field
		}
		f.fields = append(f.fields, one)
		switch {
		case one.list && plain(one.kind):
			f.flags.StringSlice(one.flag, nil, usage(one))
		case one.list:
			f.flags.StringArray(one.flag, nil, usage(one))
		case one.kind.Kind() == reflect.Bool:
			f.flags.Bool(one.flag, false, usage(one))
		default:
			f.flags.String(one.flag, "", usage(one))
		}
	}
}

// member is a member of the JSON object that a struct becomes.
type member struct {
	name string
	kind reflect.Type
}

// members are in the order of the struct's fields; those of an embedded struct without a name of its own are the outer
// one's.
func members(t reflect.Type) (list []member) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case name == "-" || !sf.IsExported() && !sf.Anonymous:
		case name == "" && sf.Anonymous && sf.Type.Kind() == reflect.Struct:
			list = append(list, members(sf.Type)...)
		case name != "":
			list = append(list, member{name, sf.Type})
		}
	}
	return list
}

// nested structs get a flag for each of their fields.
func nested(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != timeType && !reflect.PointerTo(t).Implements(textType)
}

func plain(t reflect.Type) bool { return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice }

func flagName(path []string) string {
	var b strings.Builder
	for i, name := range path {
		if i > 0 {
			b.WriteByte('-')
		}
		for _, r := range name {
			if unicode.IsUpper(r) {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

func usage(f field) string {
	if a, b, ok := pair(f.kind); ok {
		return a + "@" + b
	}
	switch {
	case f.kind == timeType:
		return "RFC 3339, a date, or days from now as 30d"
	case f.kind == bytesType:
		return "text, or @FILE"
	case known[f.kind] == "" && f.kind.Kind() != reflect.String && f.kind.Name() != "Amount" && reflect.PointerTo(f.kind).Implements(textType):
		return ""
	case f.kind.Kind() == reflect.Struct || f.kind.Kind() == reflect.Slice:
		return "JSON, or @FILE"
	case strings.HasSuffix(f.path[len(f.path)-1], "Ppm"):
		return "millionths"
	case f.kind.Name() == "Amount":
		return "micro-credits"
	case known[f.kind] != "":
		return known[f.kind]
	case f.kind.PkgPath() != "" && f.kind.Kind() == reflect.String:
		return strings.ToLower(f.kind.Name())
	case f.kind.Kind() == reflect.String:
		return ""
	case f.kind.Kind() == reflect.Bool:
		return ""
	}
	return "a number"
}

// pair tells whether a struct has exactly two plain fields, and their names.
func pair(t reflect.Type) (first, second string, ok bool) {
	if t.Kind() != reflect.Struct || t == timeType || reflect.PointerTo(t).Implements(textType) {
		return "", "", false
	}
	var names []string
	for _, m := range members(t) {
		if !plain(m.kind) && !reflect.PointerTo(m.kind).Implements(textType) {
			return "", "", false
		}
		names = append(names, m.name)
	}
	if len(names) != 2 {
		return "", "", false
	}
	return names[0], names[1], true
}

// Document makes the request: what the file from (JSON or YAML) says, then the flags that were given, then the
// arguments by the names of their fields. It is decoded and checked as the ledger does and returned as the ledger
// writes it.
func (f *Fields) Document(arguments map[string]string, from []byte) ([]byte, error) {
	document := map[string]any{}
	if len(from) > 0 {
		if err := yaml.Unmarshal(from, &document); err != nil {
			return nil, fmt.Errorf("the request is neither JSON nor YAML: %w", err)
		}
	}
	for _, one := range f.fields {
		if !f.flags.Changed(one.flag) {
			continue
		}
		value, err := f.value(one)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", one.flag, err)
		}
		if err := put(document, one.path, value); err != nil {
			return nil, err
		}
	}
	for name, text := range arguments {
		path := strings.Split(name, ".")
		kind, ok := kindOf(f.request, path)
		if !ok {
			return nil, fmt.Errorf("the request has no field %s", name)
		}
		value, err := f.parse(kind, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := put(document, path, value); err != nil {
			return nil, err
		}
	}
	return f.check(document)
}

func (f *Fields) check(document map[string]any) ([]byte, error) {
	text, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request := reflect.New(f.request)
	if err := ledger.Decode(text, request.Interface()); err != nil {
		return nil, err
	}
	for sorted := ""; ; {
		v, ok := request.Elem().Interface().(interface{ Validate() error })
		if !ok {
			break
		}
		err := v.Validate()
		if err == nil {
			break
		}
		var fault *ledger.Fault
		if !errors.As(err, &fault) || fault.Field == sorted || !sortList(request, strings.Split(fault.Field, ".")) {
			return nil, err
		}
		sorted = fault.Field
	}
	return ledger.Encode(request.Interface())
}

// sortList sorts the list of texts at a path of the document. It tells whether there is one.
func sortList(v reflect.Value, path []string) bool {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return false
		}
		v = v.Elem()
	}
	if len(path) == 0 {
		if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.String {
			return false
		}
		sort.Slice(v.Interface(), func(i, j int) bool { return v.Index(i).String() < v.Index(j).String() })
		return true
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		switch name, _, _ := strings.Cut(sf.Tag.Get("json"), ","); {
		case name == path[0]:
			return sortList(v.Field(i), path[1:])
		case name == "" && sf.Anonymous && sortList(v.Field(i), path):
			return true
		}
	}
	return false
}

// Flag is the name of the flag that gives a field of a fault, "" when there is none.
func (f *Fields) Flag(name string) string {
	for _, one := range f.fields {
		if strings.Join(one.path, ".") == name {
			return one.flag
		}
	}
	return ""
}

func put(document map[string]any, path []string, value any) error {
	at := document
	for _, name := range path[:len(path)-1] {
		inner, ok := at[name].(map[string]any)
		if !ok {
			if at[name] != nil {
				return fmt.Errorf("%s is given twice, in different forms", name)
			}
			inner = map[string]any{}
			at[name] = inner
		}
		at = inner
	}
	at[path[len(path)-1]] = value
	return nil
}

func kindOf(t reflect.Type, path []string) (reflect.Type, bool) {
	for _, name := range path {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil, false
		}
		found := false
		for _, m := range members(t) {
			if m.name == name {
				t, found = m.kind, true
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	return t, true
}

func (f *Fields) value(one field) (any, error) {
	if one.kind.Kind() == reflect.Bool && !one.list {
		return f.flags.GetBool(one.flag)
	}
	if !one.list {
		text, err := f.flags.GetString(one.flag)
		if err != nil {
			return nil, err
		}
		return f.parse(one.kind, text)
	}
	var (
		texts []string
		err   error
	)
	if plain(one.kind) {
		texts, err = f.flags.GetStringSlice(one.flag)
	} else {
		texts, err = f.flags.GetStringArray(one.flag)
	}
	if err != nil {
		return nil, err
	}
	list := make([]any, len(texts))
	for i, text := range texts {
		if list[i], err = f.parse(one.kind, text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// parse reads a text as a value of a type, in the form in which JSON has it.
func (f *Fields) parse(t reflect.Type, text string) (any, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		at, err := f.time(text)
		return at, err
	case t == bytesType:
		data, err := bytesOf(text)
		return base64.StdEncoding.EncodeToString(data), err
	case reflect.PointerTo(t).Implements(textType):
		return text, nil
	}
	if a, b, ok := pair(t); ok && !strings.HasPrefix(text, "{") {
		cut := strings.LastIndexByte(text, '@')
		if cut < 0 {
			return nil, fmt.Errorf("%q: expected %s@%s", ledger.Clip(text), a, b)
		}
		value := map[string]any{}
		for name, part := range map[string]string{a: text[:cut], b: text[cut+1:]} {
			kind, _ := kindOf(t, []string{name})
			parsed, err := f.parse(kind, part)
			if err != nil {
				return nil, err
			}
			value[name] = parsed
		}
		return value, nil
	}
	switch t.Kind() {
	case reflect.String:
		return text, nil
	case reflect.Bool:
		return strconv.ParseBool(text)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", ledger.Clip(text))
		}
		return n, nil
	}
	data, err := bytesOf(text)
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(data)
	if !value.IsValid() {
		return nil, fmt.Errorf("%q is not JSON", ledger.Clip(text))
	}
	return value, nil
}

func (f *Fields) time(text string) (string, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 36500 {
			return "", errors.New("days from now are written 30d")
		}
		return f.now().UTC().Truncate(time.Second).AddDate(0, 0, n).Format(time.RFC3339), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339), nil
		}
	}
	return "", fmt.Errorf("%q is not a time: expected 2027-01-31, 2027-01-31T12:00:00Z or 30d", ledger.Clip(text))
}

func bytesOf(text string) ([]byte, error) {
	path, ok := strings.CutPrefix(text, "@")
	if !ok {
		return []byte(text), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}
