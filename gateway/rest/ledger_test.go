package rest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// consortium is a ledger in memory behind what the API asks for.
type consortium struct {
	mutex  sync.Mutex
	ledger *rulestest.Consortium
	t      *testing.T
	people map[string]identity.Principal // by token
	kept   map[string]outbox.Entry       // by account and key
	asked  map[string]string             // the request of each kept entry

	unsigned map[string]outbox.Request // by transaction
	chain    *blocktest.Chain
	index    *index.Index
	// next is what the next write answers instead, once.
	next func(outbox.Request) (outbox.Entry, error)
}

func newConsortium(t *testing.T) *consortium {
	c := &consortium{t: t, people: map[string]identity.Principal{}, kept: map[string]outbox.Entry{}, asked: map[string]string{},
		unsigned: map[string]outbox.Request{}, chain: blocktest.New("datanet")}
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	c.index, err = index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, c.index.Apply(t.Context(), c.chain.Blocks[0]))
	follow := func(b *memledger.Block) { require.NoError(t, c.index.Apply(t.Context(), c.chain.Append(b))) }
	c.ledger = rulestest.Watched(t, follow, rulestest.A, rulestest.B, rulestest.C)
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

func (c *consortium) Evaluate(_ context.Context, function string, document []byte) ([]byte, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.ledger.Evaluate(memledger.Proposal{Caller: rulestest.User(rulestest.A, "gateway"), Function: function, Document: document}, "")
}

// Wait is the outbox's.
func (c *consortium) Wait(_ context.Context, account ledger.Account, txID string) (outbox.Entry, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, entry := range c.kept {
		if entry.Account == account && entry.TxID == txID {
			return entry, nil
		}
	}
	return outbox.Entry{}, outbox.ErrNone
}

// Prepare, Endorse and SubmitSigned take a message's bytes for its signature.
func (c *consortium) Prepare(_ context.Context, request outbox.Request, certificate []byte) (outbox.Prepared, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	txID := hash("signed", request.Account, request.Key)
	c.unsigned[txID] = request
	return outbox.Prepared{Entry: outbox.Entry{Account: request.Account, TxID: txID, State: outbox.Proposed}, Message: []byte("proposal " + txID)}, nil
}

func (c *consortium) Endorse(_ context.Context, account ledger.Account, txID string, signature []byte) (outbox.Prepared, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	request, known := c.unsigned[txID]
	switch {
	case !known || request.Account != account:
		return outbox.Prepared{}, outbox.ErrNone
	case string(signature) != "proposal "+txID:
		return outbox.Prepared{}, fabric.ErrSignature
	}
	return outbox.Prepared{Entry: outbox.Entry{Account: account, TxID: txID, State: outbox.Endorsed}, Message: []byte("transaction " + txID)}, nil
}

func (c *consortium) SubmitSigned(ctx context.Context, account ledger.Account, txID string, signature []byte) (outbox.Entry, error) {
	c.mutex.Lock()
	request, known := c.unsigned[txID]
	c.mutex.Unlock()
	switch {
	case !known || request.Account != account:
		return outbox.Entry{}, outbox.ErrNone
	case string(signature) != "transaction "+txID:
		return outbox.Entry{}, fabric.ErrSignature
	}
	return c.Submit(ctx, request)
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
