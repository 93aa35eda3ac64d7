package rest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// consortium is a ledger in memory behind what the API asks for.
type consortium struct {
	mutex  sync.Mutex
	ledger *rulestest.Consortium
	t      *testing.T
	people map[string]identity.Principal // by token
	kept   map[string]outbox.Entry       // by account and key
	asked  map[string]string             // the request of each kept entry
	// next is what the next write answers instead, once.
	next func(outbox.Request) (outbox.Entry, error)
}

func newConsortium(t *testing.T) *consortium {
	c := &consortium{t: t, ledger: rulestest.New(t), people: map[string]identity.Principal{}, kept: map[string]outbox.Entry{}, asked: map[string]string{}}
	for _, role := range ledger.Roles {
		c.enrol(string(role)+"1", role)
	}
	c.enrol("operator2", ledger.Operator)
	return c
}

// enrol makes a person of A, whose name is the token.
func (c *consortium) enrol(name string, roles ...ledger.Role) identity.Principal {
	p := identity.Principal{Account: ledger.NewAccount(rulestest.A, name), Roles: roles, Method: identity.Certificate}
	c.people[name] = p
	return p
}

func (c *consortium) authenticate(r *http.Request) (identity.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, known := c.people[token]
	if !ok || !known {
		return p, &identity.Error{Code: identity.CodeUnauthenticated, Message: "who calls is not known"}
	}
	return p, nil
}

func caller(p identity.Principal) ledger.Caller {
	return ledger.Caller{MSP: p.Account.MSP(), Enrolment: p.Enrolment(), Roles: p.Roles}
}

// Submit is the outbox's: the same key answers as before.
func (c *consortium) Submit(ctx context.Context, request outbox.Request) (outbox.Entry, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	name := string(request.Account) + " " + request.Key
	if entry, known := c.kept[name]; known {
		if c.asked[name] != request.Function+string(request.Document) {
			return outbox.Entry{}, outbox.ErrConflictingKey
		}
		entry.Repeated = true
		return entry, nil
	}
	if next := c.next; next != nil {
		c.next = nil
		return next(request)
	}
	var who identity.Principal
	for _, p := range c.people {
		if p.Account == request.Account {
			who = p
		}
	}
	entry := outbox.Entry{Account: request.Account, Key: request.Key, Function: request.Function, TxID: hash(name), Attempt: 1, State: outbox.Committed}
	envelope, flag, err := c.ledger.Invoke(memledger.Proposal{Caller: caller(who), Function: request.Function, Document: request.Document})
	switch {
	case err != nil:
		entry.State, entry.Fault = outbox.Failed, ledger.AsFault(err)
	case flag != memledger.Valid:
		entry.State, entry.Code = outbox.Failed, string(flag)
	default:
		entry.Response, entry.Block = envelope.Response, c.ledger.Height()-1
	}
	c.kept[name], c.asked[name] = entry, request.Function+string(request.Document)
	return entry, nil
}

func (c *consortium) Get(_ context.Context, account ledger.Account, txID string) (outbox.Entry, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, entry := range c.kept {
		if entry.Account == account && entry.TxID == txID {
			return entry, nil
		}
	}
	return outbox.Entry{}, outbox.ErrNone
}

func (c *consortium) Evaluate(_ context.Context, function string, document []byte) ([]byte, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.ledger.Evaluate(memledger.Proposal{Caller: rulestest.User(rulestest.A, "gateway"), Function: function, Document: document}, "")
}

// View is the index's.
func (c *consortium) View(context.Context) (rest.View, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return &view{height: c.ledger.Height(), entries: slices.Clone(c.ledger.State())}, nil
}

func (c *consortium) WaitHeight(ctx context.Context, height uint64) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.ledger.Height() >= height {
		return nil
	}
	return context.DeadlineExceeded
}

// view is a copy of the state, in the order of keys.
type view struct {
	height  uint64
	entries []*memledger.Entry
}

func (v *view) Height() uint64 { return v.height }

func (v *view) States(_ context.Context, keys []ledger.Key) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		for _, e := range v.entries {
			if e.Key == key {
				values[i] = e.Value
			}
		}
	}
	return values, nil
}

func (v *view) Range(_ context.Context, prefix, from ledger.Key, limit int) (found []ledger.Entry, next ledger.Key, err error) {
	for _, e := range v.entries {
		if !strings.HasPrefix(string(e.Key), string(prefix)) || e.Key < from {
			continue
		}
		if len(found) == limit {
			return found, e.Key, nil
		}
		found = append(found, ledger.Entry{Key: e.Key, Value: e.Value})
	}
	return found, "", nil
}

func hash(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return fmt.Sprintf("%x", sum)
}

// fingerprint tells whether anything on the ledger has changed.
func (c *consortium) fingerprint() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	parts := []any{c.ledger.Height()}
	for _, e := range c.ledger.State() {
		parts = append(parts, e.Key, string(e.Value))
	}
	require.NotEmpty(c.t, parts)
	return hash(parts...)
}
