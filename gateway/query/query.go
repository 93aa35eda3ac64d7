// Package query runs the ledger's own query functions over the index, as they run on a peer: an answer comes from one
// height, and costs no call to a peer.
package query

import (
	"context"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Functions answers the query functions of a channel from its index, for one caller.
type Functions struct {
	Index    *index.Index
	Registry *ledger.Registry
	Channel  string
	Caller   ledger.Caller
}

// New answers from an index as the gateway itself, an operator of its organisation.
func New(from *index.Index, channel, msp string) *Functions {
	return &Functions{Index: from, Registry: rules.New(nil), Channel: channel, Caller: ledger.Caller{MSP: msp, Enrolment: "gateway", Roles: []ledger.Role{ledger.Operator}}}
}

// Evaluate runs a function on the state as it is now. What the rules refuse is a *[ledger.Fault].
func (f *Functions) Evaluate(ctx context.Context, function string, request any) ([]byte, error) {
	document, err := ledger.Encode(request)
	if err != nil {
		return nil, err
	}
	view, err := f.Index.View(ctx)
	if err != nil {
		return nil, err
	}
	return f.Over(ctx, view, function, document)
}

// Over runs a function on the state at the height of a view.
func (f *Functions) Over(ctx context.Context, view *index.View, function string, document []byte) ([]byte, error) {
	outcome, err := f.Registry.Execute(&state{view, ctx, f.Channel, f.Caller}, function, document)
	if err != nil {
		return nil, err
	}
	return outcome.Response, nil
}

// Evaluator runs query functions.
type Evaluator interface {
	Evaluate(ctx context.Context, function string, request any) (answer []byte, err error)
}

// Ask runs a function and decodes its answer.
func Ask[Res any](ctx context.Context, on Evaluator, function string, request any) (response Res, err error) {
	answer, err := on.Evaluate(ctx, function, request)
	if err == nil {
		err = ledger.DecodeAnswer(answer, &response)
	}
	return response, err
}

// state is a view as the ledger's rules want it.
type state struct {
	view    *index.View
	ctx     context.Context
	channel string
	caller  ledger.Caller
}

func (s *state) TxID() string          { return strings.Repeat("0", 64) }
func (s *state) Channel() string       { return s.channel }
func (s *state) Time() time.Time       { return time.Now() }
func (s *state) Caller() ledger.Caller { return s.caller }

func (s *state) States(keys []ledger.Key) ([][]byte, error) { return s.view.States(s.ctx, keys) }

func (s *state) Range(prefix, from ledger.Key, limit int) ([]ledger.Entry, ledger.Key, error) {
	return s.view.Range(s.ctx, prefix, from, limit)
}

func (s *state) KeyPolicy(key ledger.Key) (ledger.Policy, bool, error) {
	return s.view.KeyPolicy(s.ctx, key)
}
