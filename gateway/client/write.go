package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

const keyHeader = "Idempotency-Key"

// Committed is a write that is on the ledger.
type Committed struct {
	Key         string // the idempotency key
	Transaction string
	Block       uint64
	Replayed    bool // an earlier call with this key wrote it
}

// Height is the min_height at which reads show what was written.
func (w Committed) Height() uint64 { return w.Block + 1 }

// NewKey draws an idempotency key.
func NewKey() string { return strings.ToLower(rand.Text()) }

// NewID draws a name as the ledger wants them of everything that a person makes: 32 hexadecimal digits.
func NewID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return fmt.Sprintf("%x", raw)
}

// Write calls an operation that writes to the ledger, signed by the gateway for an account whose key it keeps. An empty
// key draws one.
func Write[T any](ctx context.Context, c *Client, method, path, key string, body any) (T, Committed, error) {
	var value T
	if key == "" {
		key = NewKey()
	}
	if body == nil {
		body = ledger.Nothing{}
	}
	document, err := ledger.Encode(body)
	if err != nil {
		return value, Committed{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	data, written, err := c.write(ctx, &call{method: method, path: path, header: http.Header{keyHeader: {key}}, body: document}, key)
	if err != nil {
		return value, written, err
	}
	if err := ledger.DecodeAnswer(data, &value); err != nil {
		return value, written, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return value, written, nil
}

// write sends a write until its outcome is known or the context ends. An answer that the outcome is not known yet is
// followed by the same call, which waits for it.
func (c *Client) write(ctx context.Context, k *call, key string) ([]byte, Committed, error) {
	written := Committed{Key: key}
	for attempt := 1; ; attempt++ {
		data, meta, err := c.whole(ctx, k)
		if meta.Transaction != "" {
			written.Transaction = meta.Transaction
		}
		switch {
		case err != nil:
			return nil, written, doubt(err, written)
		case meta.Status != http.StatusAccepted:
			written.Block, written.Replayed = meta.Block, meta.Replayed && attempt == 1
			return data, written, nil
		case attempt == attempts:
			return nil, written, &UnknownError{Key: key, Transaction: written.Transaction, Cause: errors.New("it is still being submitted")}
		}
		c.notice("the transaction " + written.Transaction + " is on its way")
	}
}

// doubt tells failures after which a write may yet happen from those after which it did not.
func doubt(err error, written Committed) error {
	var (
		problem     *Problem
		unreachable *UnreachableError
	)
	switch {
	case errors.As(err, &problem):
		if problem.Code != "outcome_unknown" && problem.Code != "timeout" && !strings.HasPrefix(problem.Code, "http_5") {
			return err
		}
		if problem.Transaction != "" {
			written.Transaction = problem.Transaction
		}
	case errors.As(err, &unreachable):
		if unreachable.permanent() {
			return err
		}
	case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &UnknownError{Key: written.Key, Transaction: written.Transaction, Cause: err}
}

// submitRequest is a write that the gateway signs.
type submitRequest struct {
	Function string   `json:"function"`
	Document rawValue `json:"document"`
}

// prepareRequest begins a write that is signed here.
type prepareRequest struct {
	Function    string   `json:"function"`
	Document    rawValue `json:"document"`
	Certificate string   `json:"certificate"`
}

// rawValue is a JSON value as it is.
type rawValue []byte

func (v rawValue) MarshalJSON() ([]byte, error) { return v, nil }

// endorsed is the state of a write whose transaction waits for a signature; before it the proposal does.
const endorsed = "endorsed"

// prepared is a write that waits for a signature.
type prepared struct {
	Transaction string `json:"transaction"`
	State       string `json:"state"`
	Message     []byte `json:"message"` // what to sign; empty when nothing is left to sign
}

type signature struct {
	Signature []byte `json:"signature"`
}

// Submit calls a function of the ledger, signed here with the caller's own key. What the gateway gives to sign is read
// first: it must be this function with this request, in the name of this certificate, and the endorsed transaction must
// be that of the signed proposal. A caller with a token has no key here: then the gateway signs. An empty key draws one.
func Submit[T any](ctx context.Context, c *Client, function, key string, request any) (T, Committed, error) {
	var value T
	data, written, err := c.SubmitRaw(ctx, function, key, request)
	if err != nil {
		return value, written, err
	}
	if err := ledger.DecodeAnswer(data, &value); err != nil {
		return value, written, fmt.Errorf("%s: %w", function, err)
	}
	return value, written, nil
}

// SubmitRaw is [Submit] with the answer's document as it is. A request that is a []byte is the document itself, encoded
// as [ledger.Encode] does.
func (c *Client) SubmitRaw(ctx context.Context, function, key string, request any) ([]byte, Committed, error) {
	if c.identity == nil && c.token == "" {
		return nil, Committed{}, fmt.Errorf("%s: there is no private key here to sign with; use an identity with a certificate, or an API key", function)
	}
	document, ok := request.([]byte)
	if !ok {
		var err error
		if document, err = ledger.Encode(request); err != nil {
			return nil, Committed{}, fmt.Errorf("%s: %w", function, err)
		}
	}
	if key == "" {
		key = NewKey()
	}
	if c.identity == nil {
		return c.signedThere(ctx, function, key, document)
	}
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		data, written, err := c.signed(ctx, function, key, document)
		// A conflict that the signer alone can repeat, or a proposal that somebody else has prepared again meanwhile.
		var problem *Problem
		if !errors.As(err, &problem) || !problem.Retryable || attempt == attempts || time.Since(begun) > patience {
			return data, written, err
		}
		wait, _ := pause(err, attempt)
		c.notice("sign again: " + err.Error())
		if err := sleep(ctx, wait); err != nil {
			return nil, written, err
		}
	}
}

// signedThere has the gateway sign.
func (c *Client) signedThere(ctx context.Context, function, key string, document []byte) ([]byte, Committed, error) {
	body, err := ledger.Encode(submitRequest{Function: function, Document: document})
	if err != nil {
		return nil, Committed{}, fmt.Errorf("%s: %w", function, err)
	}
	data, written, err := c.write(ctx, &call{method: http.MethodPost, path: Path("transactions"), header: http.Header{keyHeader: {key}}, body: body}, key)
	if onlyReads(err) {
		err = fmt.Errorf("%s: this gateway only reads: %w", function, err)
	}
	return data, written, err
}

// onlyReads tells whether the gateway has no operations that write.
func onlyReads(err error) bool {
	return IsCode(err, "no_such_route") || IsCode(err, "method_not_allowed")
}

// signed prepares, signs twice and submits.
func (c *Client) signed(ctx context.Context, function, key string, document []byte) ([]byte, Committed, error) {
	header := http.Header{keyHeader: {key}}
	body, err := ledger.Encode(prepareRequest{Function: function, Document: document, Certificate: string(c.identity.PEM)})
	if err != nil {
		return nil, Committed{}, fmt.Errorf("%s: %w", function, err)
	}
	proposal, data, written, err := c.step(ctx, &call{method: http.MethodPost, path: Path("transactions", "prepare"), header: header, body: body}, key)
	if onlyReads(err) {
		return nil, written, fmt.Errorf("%s: this gateway only reads: %w", function, err)
	}
	if err != nil || len(proposal.Message) == 0 {
		return data, written, err
	}
	asked, err := c.readRequest(proposal, function, document)
	if err != nil {
		return nil, written, err
	}
	transaction := proposal
	if proposal.State != endorsed {
		transaction, data, written, err = c.sign(ctx, proposal, "endorse", key)
		if err != nil || len(transaction.Message) == 0 {
			return data, written, err
		}
	}
	got, err := fabric.ReadTransaction(transaction.Message)
	if err != nil {
		return nil, written, fmt.Errorf("%s: %w", function, err)
	}
	if !got.Same(asked) {
		return nil, written, fmt.Errorf("%s: the gateway asks to sign another transaction than the proposal's; nothing was signed", function)
	}
	_, data, written, err = c.sign(ctx, transaction, "submit", key)
	return data, written, err
}

// readRequest reads what is to be signed first: the proposal, or the transaction if an earlier call with the same key broke
// off after the proposal was signed.
func (c *Client) readRequest(p prepared, function string, document []byte) (fabric.Contents, error) {
	read := fabric.ReadProposal
	if p.State == endorsed {
		read = fabric.ReadTransaction
	}
	asked, err := read(p.Message)
	if err != nil {
		return asked, fmt.Errorf("%s: %w", function, err)
	}
	if asked.Function != function || !bytes.Equal(asked.Document, document) || !bytes.Equal(asked.Certificate, c.identity.PEM) {
		return asked, fmt.Errorf("%s: the gateway asks to sign something else than was requested; nothing was signed", function)
	}
	return asked, nil
}

// sign signs what waits and hands the signature over.
func (c *Client) sign(ctx context.Context, p prepared, action, key string) (prepared, []byte, Committed, error) {
	mark, err := c.identity.Sign(p.Message)
	if err != nil {
		return prepared{}, nil, Committed{}, fmt.Errorf("sign transaction %s: %w", p.Transaction, err)
	}
	body, err := ledger.Encode(signature{Signature: mark})
	if err != nil {
		return prepared{}, nil, Committed{}, fmt.Errorf("sign transaction %s: %w", p.Transaction, err)
	}
	return c.step(ctx, &call{method: http.MethodPost, path: transactionPath(p.Transaction, action), header: http.Header{keyHeader: {key}}, body: body}, key)
}

// step performs one step of a write that is signed here. An answer with the outcome, of this write or of an earlier one
// with the same key, is the last.
func (c *Client) step(ctx context.Context, k *call, key string) (prepared, []byte, Committed, error) {
	data, written, err := c.write(ctx, k, key)
	if err != nil {
		return prepared{}, nil, written, err
	}
	if written.Block > 0 {
		return prepared{}, data, written, nil
	}
	var p prepared
	if err := ledger.DecodeAnswer(data, &p); err != nil {
		return prepared{}, nil, written, fmt.Errorf("prepare a transaction: %w", err)
	}
	written.Transaction = p.Transaction
	return p, data, written, nil
}
