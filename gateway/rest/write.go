package rest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// Outbox is what writes need of package outbox.
type Outbox interface {
	// Submit brings a request to the ledger, or answers as it did before. An entry that is still submitted when the
	// context ends has no outcome yet.
	Submit(ctx context.Context, request outbox.Request) (outbox.Entry, error)
	// Wait finds an account's transaction, after its outcome or the end of the context; or [outbox.ErrNone].
	Wait(ctx context.Context, account ledger.Account, txID string) (outbox.Entry, error)
	// Prepare, Endorse and SubmitSigned are for accounts whose holders sign themselves.
	Prepare(ctx context.Context, request outbox.Request, certificate []byte) (outbox.Prepared, error)
	Endorse(ctx context.Context, account ledger.Account, txID string, signature []byte) (outbox.Prepared, error)
	SubmitSigned(ctx context.Context, account ledger.Account, txID string, signature []byte) (outbox.Entry, error)
}

// ErrNoKey is an account whose key the gateway does not keep.
var ErrNoKey = errors.New("the gateway keeps no key of this account")

const (
	keyHeader         = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"
	transactionHeader = "Datanet-Transaction"
	blockHeader       = "Datanet-Block"

	// maxWait bounds what a caller may ask for in Prefer: wait, and margin what an answer takes besides.
	maxWait = 60 * time.Second
	margin  = 30 * time.Second
)

var writeHeaders = map[string]string{
	transactionHeader: "The transaction's id.",
	blockHeader:       "The number of the block that holds the transaction.",
	replayedHeader:    "true when this is the outcome of an earlier request with the same key.",
	"Location":        "Where to ask for the outcome.",
}

func some(headers map[string]string, names ...string) map[string]string {
	picked := map[string]string{}
	for _, name := range names {
		picked[name] = headers[name]
	}
	return picked
}

// writeProblems are the codes of problems that any write may have.
var writeProblems = []string{string(ledger.CodeNotFound), string(ledger.CodeExists), string(ledger.CodeState), string(ledger.CodeInsufficient),
	string(ledger.CodeLicence), codeKey, codeNoKey, codeTurn, codeConflict, codeDisagreement, codeInvalidated, codeRefused, codeUnknown, codeTimeout}

// waitParam lets the caller say how long to wait.
var waitParam = headerParam("Prefer", false, "wait=N: answer 202 when the outcome is not known after N seconds, at most 60.")

// write is the operation of a command.
func (a *API) write(b *binding) *operation {
	op := b.operation(identity.Write)
	named := b.method == put
	doc := "Names the request: the same key gets the same outcome, once. Up to 255 printable ASCII characters."
	if named {
		doc += " Without it the path is the name."
	}
	op.params = append(op.params, headerParam(keyHeader, !named, doc), waitParam)
	if b.body != nil {
		op.request = b.body
	} else {
		op.body = &huma.RequestBody{Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false}}}}
	}
	status := http.StatusOK
	if named {
		status = http.StatusCreated
	}
	op.answers = []answer{
		{status: status, doc: "The transaction is committed.", of: b.function.Response, headers: some(writeHeaders, transactionHeader, blockHeader, replayedHeader)},
		{status: http.StatusAccepted, doc: "The outcome is not known yet.", of: pendingType, headers: some(writeHeaders, transactionHeader, "Location")},
	}
	op.problems = writeProblems
	op.limit = maxWait + margin
	op.handle = func(c *call) error {
		document, err := b.request(c)
		if err != nil {
			return err
		}
		key, given, err := c.key(named)
		if err != nil {
			return err
		}
		wait, err := c.wait()
		if err != nil {
			return err
		}
		request := outbox.Request{Account: c.principal.Account, Key: key, Function: b.function.Name, Document: document}
		entry, err := c.submit(request, given, wait)
		if err != nil {
			return err
		}
		return c.outcome(entry, status)
	}
	return op
}

// key is the request's name: what the caller says, or for a PUT the path.
func (c *call) key(named bool) (key string, given bool, err error) {
	switch values := c.r.Header.Values(keyHeader); {
	case len(values) > 1:
		return "", false, invalid(keyHeader, "given more than once")
	case len(values) == 1:
		key = values[0]
		if key == "" || len(key) > outbox.MaxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "", false, invalid(keyHeader, "a key has 1 to %d printable ASCII characters", outbox.MaxKey)
		}
		return key, true, nil
	case named:
		sum := sha256.Sum256([]byte(c.op.id + " " + c.r.URL.Path))
		return "path:" + hex.EncodeToString(sum[:]), false, nil
	default:
		return "", false, invalid(keyHeader, "name the request, by random characters for instance, so that it can be repeated safely")
	}
}

// wait is how long the caller wants to wait for the outcome.
func (c *call) wait() (time.Duration, error) {
	for _, preference := range strings.Split(strings.Join(c.r.Header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || seconds < 0 {
			return 0, invalid("Prefer", "wait is a number of seconds")
		}
		return min(time.Duration(seconds)*time.Second, maxWait), nil
	}
	return c.api.options.WriteWait, nil
}

// submit brings a request to the ledger. A path that names the request names no content: when an earlier request of this
// path failed for good, or had other content, the ledger decides again, under a key of its own.
func (c *call) submit(request outbox.Request, given bool, wait time.Duration) (outbox.Entry, error) {
	ctx, cancel := context.WithTimeout(c.ctx(), wait)
	defer cancel()
	entry, err := c.api.options.Outbox.Submit(ctx, request)
	again := errors.Is(err, outbox.ErrConflictingKey) || err == nil && entry.Repeated && entry.State == outbox.Failed
	if given || !again {
		return entry, err
	}
	request.Key = "again:" + rand.Text()
	return c.api.options.Outbox.Submit(ctx, request)
}

// outcome answers with what became of a write.
func (c *call) outcome(entry outbox.Entry, status int) error {
	header := c.w.Header()
	noteOf(c.ctx()).transaction = entry.TxID
	if entry.TxID != "" {
		header.Set(transactionHeader, entry.TxID)
	}
	if entry.Repeated {
		header.Set(replayedHeader, "true")
	}
	switch entry.State {
	case outbox.Committed:
		c.awaitIndexed(entry.Block)
		header.Set(blockHeader, strconv.FormatUint(entry.Block, 10))
		return c.send(status, entry.Response)
	case outbox.Failed:
		return failureOf(entry)
	default:
		header.Set("Location", "/v1/transactions/"+entry.TxID)
		return c.answer(http.StatusAccepted, Pending{Transaction: entry.TxID, State: string(entry.State)})
	}
}

// indexWait bounds how long the answer to a write waits for the index.
const indexWait = 2 * time.Second

// awaitIndexed lets the caller's next read from this gateway show what the caller has written. When the index is far
// behind it does not: then min_height helps.
func (c *call) awaitIndexed(block uint64) {
	ctx, cancel := context.WithTimeout(c.ctx(), indexWait)
	defer cancel()
	_ = c.api.options.Index.WaitHeight(ctx, block+1) // the write stands whatever the index does
}

// failureOf is the problem of a write that changed nothing.
func failureOf(entry outbox.Entry) *Problem {
	var p *Problem
	switch {
	case entry.Fault != nil:
		p = ofFault(entry.Fault)
		p.cause = entry.Fault
	case entry.Code == outbox.CodeRefused:
		p = newProblem(codeRefused, "")
	case conflicting(entry.Code):
		p = newProblem(codeConflict, "send the same request again")
		p.ValidationCode = entry.Code
	default:
		p = newProblem(codeInvalidated, "the peers say %s", entry.Code)
		p.ValidationCode = entry.Code
	}
	p.Transaction = entry.TxID
	return p
}

func conflicting(code string) bool {
	return code == "MVCC_READ_CONFLICT" || code == "PHANTOM_READ_CONFLICT"
}
