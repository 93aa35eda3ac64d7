package ledger

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Access says who may call a function, as far as role and organisation decide it. What a caller may do to which
// resource (its own account, its own organisation's datanet) is for the rule.
type Access struct {
	// Roles: the caller holds one of them. Empty: any caller.
	Roles []Role
	// Founding marks the one function that may be called before the members are on the ledger.
	Founding bool
	// Duty marks what a suspended member still owes the others, and may therefore do.
	Duty bool
}

// Anyone may call; for a command this still means anyone of a member organisation.
var Anyone = Access{}

// For restricts a function to callers that hold one of the roles.
func For(roles ...Role) Access { return Access{Roles: roles} }

// Function is an entry of the chaincode's table of functions.
type Function struct {
	Name     string // "token:Transfer"
	Doc      string // a sentence for people
	Access   Access
	Query    bool         // a query gets no way to write
	Request  reflect.Type // the JSON document it takes
	Response reflect.Type // the JSON document it answers with

	decode func(doc []byte) (any, error)
	rule   func(b *buffer, request any) (any, error)
}

// A request may check itself; Validate returns a [Fault] that names the field. It sees no ledger.
type validator interface{ Validate() error }

// A request may name the keys that its rule will read, which are then fetched in one round trip. It is a hint: a rule
// may read others.
type prefetcher interface{ Reads(c Caller) []Key }

// Command makes the entry of a function that may write.
func Command[Req, Res any](name, doc string, access Access, rule func(Tx, Req) (Res, error)) *Function {
	return newFunction[Req, Res](name, doc, access, false, func(b *buffer, req Req) (Res, error) { return rule(b, req) })
}

// Query makes the entry of a function that only reads.
func Query[Req, Res any](name, doc string, access Access, rule func(Lister, Req) (Res, error)) *Function {
	return newFunction[Req, Res](name, doc, access, true, func(b *buffer, req Req) (Res, error) {
		return rule(lister{b}, req)
	})
}

func newFunction[Req, Res any](name, doc string, access Access, query bool, rule func(*buffer, Req) (Res, error)) *Function {
	return &Function{
		Name: name, Doc: doc, Access: access, Query: query,
		Request: reflect.TypeFor[Req](), Response: reflect.TypeFor[Res](),
		decode: func(doc []byte) (any, error) {
			var req Req
			if err := Decode(doc, &req); err != nil {
				return nil, err
			}
			if v, ok := any(req).(validator); ok {
				if err := v.Validate(); err != nil {
					return nil, err
				}
			}
			return req, nil
		},
		rule: func(b *buffer, req any) (any, error) { return rule(b, req.(Req)) },
	}
}

// Gate decides, before any rule runs, whether the caller may call the function at all.
type Gate interface {
	// Reads names the keys that Admit reads.
	Reads() []Key
	// Admit returns a "forbidden" fault when the caller may not call f.
	Admit(r Reader, f *Function) error
}

// Registry is the chaincode's table of functions behind its gate.
type Registry struct {
	gate      Gate
	functions map[string]*Function
	memory    *Memory
}

// NewRegistry builds the table. Two functions of one name are a defect and panic.
func NewRegistry(gate Gate, functions ...[]*Function) *Registry {
	reg := &Registry{gate: gate, functions: map[string]*Function{}}
	for _, f := range slices.Concat(functions...) {
		if _, twice := reg.functions[f.Name]; twice {
			panic("ledger: function " + f.Name + " registered twice")
		}
		reg.functions[f.Name] = f
	}
	return reg
}

// Remember lets rules take from a memory what they load. The store that they run on must then answer with the same bytes,
// unchanged, until a value is replaced.
func (reg *Registry) Remember(m *Memory) { reg.memory = m }

// Functions lists the table by name.
func (reg *Registry) Functions() []*Function {
	list := make([]*Function, 0, len(reg.functions))
	for _, f := range reg.functions {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *Function) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Execute runs one function on committed state. It returns what the transaction does, or a [Fault]; a panic in a rule
// becomes an internal fault.
func (reg *Registry) Execute(store Store, name string, doc []byte) (out *Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, Refuse(CodeInternal, "%s: panic: %v", name, p)
		}
	}()
	f, ok := reg.functions[name]
	if !ok {
		return nil, Refuse(CodeNotFound, "no function %q", Clip(name))
	}
	b := newBuffer(store, reg.memory)
	request, err := f.decode(doc)
	if err != nil {
		// Whoever may not call learns only that; so the gate speaks first.
		if denied := reg.gate.Admit(b, f); denied != nil {
			return nil, AsFault(denied)
		}
		return nil, AsFault(err)
	}
	reads := reg.gate.Reads()
	if p, ok := request.(prefetcher); ok {
		reads = append(slices.Clone(reads), p.Reads(store.Caller())...)
	}
	if err := b.Prefetch(reads...); err != nil {
		return nil, AsFault(err)
	}
	if err := reg.gate.Admit(b, f); err != nil {
		return nil, AsFault(err)
	}
	response, err := f.rule(b, request)
	if err != nil {
		return nil, AsFault(err)
	}
	if out, err = b.outcome(response); err != nil {
		return nil, AsFault(fmt.Errorf("%s: %w", name, err))
	}
	return out, nil
}

// Nothing is the request of a function that needs to know nothing: the document {}.
type Nothing struct{}
