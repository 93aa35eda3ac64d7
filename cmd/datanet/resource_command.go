package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/request"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// newResources makes the commands of the table, in their groups, and adds those that are more than one function.
func newResources() []*cobra.Command {
	functions := map[string]*ledger.Function{}
	for _, f := range rules.New(nil).Functions() {
		functions[f.Name] = f
	}
	var made []*cobra.Command
	for _, g := range groups {
		group := newGroup(g.name, g.short)
		for _, r := range resources {
			if r.group == g.name {
				group.AddCommand(newResource(r, functions[r.function]))
			}
		}
		if more := others[g.name]; more != nil {
			group.AddCommand(more()...)
		}
		made = append(made, group)
	}
	return made
}

// newGroup is a command that only holds others. A word that is none of them is a mistake.
func newGroup(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() }}
}

// others are commands of a group that are more than one function.
var others = map[string]func() []*cobra.Command{
	"claim":        func() []*cobra.Command { return []*cobra.Command{newSettleNow()} },
	"account":      func() []*cobra.Command { return []*cobra.Command{newStatement(), newEarnings()} },
	"contribution": func() []*cobra.Command { return append(newLosses(), newAdd(), newRevise(), newGet()) },
	"validate":     func() []*cobra.Command { return []*cobra.Command{newQueue(), newNext(), newVote(), newAttest()} },
	"proposal":     func() []*cobra.Command { return []*cobra.Command{newDrawSecret()} },
	"sampling":     func() []*cobra.Command { return []*cobra.Command{newSamplingDraw()} },
	"model":        func() []*cobra.Command { return []*cobra.Command{newModelTrain(), newModelArtifacts()} },
	"ticket":       func() []*cobra.Command { return []*cobra.Command{newTicketDownload()} },
}

// argument is a word of a command's use.
type argument struct {
	field    string
	optional bool
	id       bool // a random one is drawn when it is left out
}

var capitals = regexp.MustCompile(`\[?[A-Z]+\]?`)

func (r resource) arguments() []argument {
	var list []argument
	for _, word := range strings.Fields(r.use)[1:] {
		if !capitals.MatchString(word) {
			continue
		}
		name := strings.Trim(word, "[]")
		field, given := r.fields[name]
		if !given {
			field = strings.ToLower(name)
		}
		list = append(list, argument{field: field, optional: strings.HasPrefix(word, "["), id: name == "ID"})
	}
	return list
}

func newResource(r resource, f *ledger.Function) *cobra.Command {
	words := r.arguments()
	required, taken := 0, []string{}
	for _, w := range words {
		taken = append(taken, w.field)
		if !w.optional {
			required++
		}
	}
	command := &cobra.Command{
		Use:     r.use,
		Short:   strings.TrimSuffix(f.Doc, "."),
		Long:    f.Doc + mayCall(f),
		Example: "  " + r.example,
		Args:    arguments(cobra.RangeArgs(required, len(words))),
	}
	if r.example == "" {
		command.Example = ""
	}
	if r.short != "" {
		command.Short = r.short
	}
	if f.Query {
		at := readFlags(command)
		listing := slices.Contains(jsonNames(f), "cursor")
		if listing {
			command.Flags().Bool("all", false, "read the list to its end")
		}
		fields := request.New(command.Flags(), f.Request, taken)
		command.RunE = func(command *cobra.Command, args []string) error { return r.read(command, fields, words, args, at) }
		return command
	}
	write := writeFlags(command)
	from := command.Flags().String("from", "", "a JSON or YAML file with the request, or - for standard input; flags replace parts of it")
	fields := request.New(command.Flags(), f.Request, taken)
	if r.extra != nil {
		r.extra(command)
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		return r.write(command, fields, words, args, *from, write)
	}
	return command
}

func mayCall(f *ledger.Function) string {
	if f.Query || len(f.Access.Roles) == 0 || len(f.Access.Roles) == len(ledger.Roles) {
		return ""
	}
	names := make([]string, len(f.Access.Roles))
	for i, role := range f.Access.Roles {
		names[i] = string(role)
	}
	return "\n\nFor the roles: " + strings.Join(names, ", ") + "."
}

func jsonNames(f *ledger.Function) []string {
	var names []string
	for i := range f.Request.NumField() {
		sf := f.Request.Field(i)
		if sf.Anonymous && sf.Name == "PageRequest" {
			names = append(names, "limit", "cursor")
		}
	}
	if f.Request.Name() == "PageRequest" {
		names = append(names, "limit", "cursor")
	}
	return names
}

// given pairs the arguments with their fields and completes the optional ones.
func given(command *cobra.Command, words []argument, args []string) (map[string]string, error) {
	values := map[string]string{}
	for i, w := range words {
		switch {
		case i < len(args):
			values[w.field] = args[i]
		case w.id:
			values[w.field] = client.NewID()
		case w.field == "key":
			c, err := connect(command)
			if err != nil {
				return nil, err
			}
			defer c.Close()
			if values[w.field], err = spendingKey(command.Context(), c); err != nil {
				return nil, err
			}
		case w.field == "account":
			account, err := ownAccount(command)
			if err != nil {
				return nil, err
			}
			values[w.field] = account
		}
	}
	return values, nil
}

// placeholder is a part of a path that a field fills.
var placeholder = regexp.MustCompile(`\{([a-zA-Z.]+)\}`)

// readOptions say which state is read.
type readOptions struct {
	ledger    bool
	minHeight uint64
}

func readFlags(command *cobra.Command) *readOptions {
	o := &readOptions{}
	command.Flags().BoolVar(&o.ledger, "at-ledger", false, "read from the peer, not from the gateway's index")
	command.Flags().Uint64Var(&o.minHeight, "min-height", 0, "wait until the index has this many blocks")
	return o
}

func (o *readOptions) query(query url.Values) url.Values {
	if query == nil {
		query = url.Values{}
	}
	if o.ledger {
		query.Set("at", "ledger")
	}
	if o.minHeight > 0 {
		query.Set("min_height", fmt.Sprint(o.minHeight))
	}
	return query
}

func (r resource) read(command *cobra.Command, fields *request.Fields, words []argument, args []string, at *readOptions) error {
	values, err := given(command, words, args)
	if err != nil {
		return err
	}
	document, err := fields.Document(values, nil)
	if err != nil {
		return badRequest(fields, err)
	}
	path, query, err := r.target(document)
	if err != nil {
		return err
	}
	at.query(query)
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	if all, err := command.Flags().GetBool("all"); err == nil && all {
		return r.readAll(command, c, path, query)
	}
	data, meta, err := c.Raw(command.Context(), http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	return r.print(command, data, meta)
}

// target is the path of a read, and what of the request is left for its query.
func (r resource) target(document []byte) (string, url.Values, error) {
	var request map[string]jsontext.Value
	if err := json.Unmarshal(document, &request); err != nil {
		return "", nil, fmt.Errorf("read %s: %w", r.path, err)
	}
	used := map[string]bool{}
	var missing error
	path := placeholder.ReplaceAllStringFunc(r.path, func(word string) string {
		names := strings.Split(strings.Trim(word, "{}"), ".")
		used[names[0]] = true
		value := request[names[0]]
		if len(names) == 2 {
			var inner map[string]jsontext.Value
			if json.Unmarshal(value, &inner) == nil {
				value = inner[names[1]]
			}
		}
		text := textOf(value)
		if text == "" {
			missing = usageError{fmt.Errorf("%s is missing", strings.Join(names, " "))}
		}
		return escape(text)
	})
	query := url.Values{}
	for name, value := range request {
		if text := textOf(value); !used[name] && text != "" {
			query.Set(name, text)
		}
	}
	return "/v1" + path, query, missing
}

func escape(text string) string { return strings.TrimPrefix(client.Path(text), "/v1/") }

// textOf is a plain JSON value as text, "" for null.
func textOf(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
		return ""
	case 'n', 0:
		return ""
	}
	return string(value)
}

func (r resource) readAll(command *cobra.Command, c *client.Client, path string, query url.Values) error {
	list := ledger.Page[jsontext.Value]{Items: []jsontext.Value{}}
	for item, err := range client.All[jsontext.Value](command.Context(), c, path, query) {
		if err != nil {
			return err
		}
		list.Items = append(list.Items, item)
	}
	data, err := ledger.Encode(list)
	if err != nil {
		return err
	}
	return r.print(command, data, client.Meta{})
}

// writeOptions are those of every command that writes.
type writeOptions struct{ key string }

func writeFlags(command *cobra.Command) *writeOptions {
	o := &writeOptions{}
	command.Flags().StringVar(&o.key, "key", "", "idempotency key: repeat a command with the same key to find out an outcome that was not known")
	return o
}

func (r resource) write(command *cobra.Command, fields *request.Fields, words []argument, args []string, from string, o *writeOptions) error {
	text, err := readRequest(command, from)
	if err != nil {
		return err
	}
	if r.complete != nil && from == "" {
		if err := r.complete(command); err != nil {
			return err
		}
	}
	values, err := given(command, words, args)
	if err != nil {
		return err
	}
	document, err := fields.Document(values, text)
	if err != nil {
		return badRequest(fields, err)
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	data, written, err := c.SubmitRaw(command.Context(), r.function, o.key, document)
	if err != nil {
		return err
	}
	if r.after != nil {
		if err := r.after(command, c, data, written); err != nil {
			return err
		}
	}
	return printWritten(command, data, written)
}

// maxRequest bounds a file with a request, in bytes.
const maxRequest = ledger.MaxDocument

func readRequest(command *cobra.Command, from string) ([]byte, error) {
	if from == "" {
		return nil, nil
	}
	in := command.InOrStdin()
	if from != "-" {
		file, err := os.Open(from)
		if err != nil {
			return nil, usageError{err}
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(text) > maxRequest {
		return nil, usageError{fmt.Errorf("the request in %s has more than %d bytes", from, maxRequest)}
	}
	return text, nil
}

// badRequest is a mistake in the command line; it names the flag where there is one.
func badRequest(fields *request.Fields, err error) error {
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		if flag := fields.Flag(fault.Field); flag != "" {
			return usageError{fmt.Errorf("--%s: %s", flag, fault.Message)}
		}
	}
	return usageError{err}
}
