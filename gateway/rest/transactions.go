package rest

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// Pending is a write whose outcome is not known yet.
type Pending struct {
	Transaction string `json:"transaction" doc:"The transaction's id."`
	State       string `json:"state" enum:"proposed,endorsed,submitted" doc:"How far it has come."`
}

var pendingType = reflect.TypeFor[Pending]()

// Entry is a key's value as a transaction wrote it.
type Entry struct {
	Key         []string       `json:"key" doc:"The kind of the entry, and the parts of its name."`
	Value       jsontext.Value `json:"value,omitzero" doc:"The document as the ledger's functions answer it; missing when the entry was deleted."`
	Deleted     bool           `json:"deleted,omitzero"`
	Block       uint64         `json:"block"`
	Position    int            `json:"position" doc:"Of the transaction in the block, from 0."`
	Transaction string         `json:"transaction"`
	Time        *time.Time     `json:"time,omitempty" doc:"As the client's proposal says."`
	By          ledger.Account `json:"by,omitzero"`
	Function    string         `json:"function,omitzero"`
}

func entryOf(e index.Entry) Entry {
	shown := entryAsItIs(e)
	if !shown.Value.IsValid() { // only a colluding majority can write such a value
		shown.Value = nil
	}
	return shown
}

// entryAsItIs is entryOf of an entry whose value may not be JSON.
func entryAsItIs(e index.Entry) Entry {
	shown := Entry{Key: keyParts(e.Key), Value: jsontext.Value(e.Value), Deleted: e.Deleted, Block: e.Block, Position: e.Position,
		Transaction: e.Tx, Time: timeOrNone(e.Time), By: e.By, Function: e.Function}
	if shown.Value.Kind() != '{' {
		shown.Value = nil
	}
	return shown
}

func keyParts(key ledger.Key) []string {
	kind, parts, ok := key.Split()
	if !ok {
		return []string{key.String()}
	}
	return append([]string{kind}, parts...)
}

func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Transaction is a transaction: what the outbox knows of one's own, and what stands in the blocks of any.
type Transaction struct {
	Transaction    string         `json:"transaction" doc:"The id."`
	State          string         `json:"state" enum:"proposed,endorsed,submitted,committed,failed" doc:"How far it has come; failed is without any effect."`
	Function       string         `json:"function,omitzero"`
	Organisation   string         `json:"organisation,omitzero" doc:"Of who signed it."`
	Account        ledger.Account `json:"account,omitzero" doc:"Who signed it."`
	Block          *uint64        `json:"block,omitempty"`
	Position       *int           `json:"position,omitempty" doc:"In the block, from 0."`
	Time           *time.Time     `json:"time,omitempty" doc:"As the client's proposal says."`
	ValidationCode string         `json:"validationCode,omitzero" doc:"The peers' verdict."`
	Event          string         `json:"event,omitzero"`
	Payload        jsontext.Value `json:"payload,omitzero" doc:"The event's document."`
	Response       jsontext.Value `json:"response,omitzero" doc:"The function's answer; only of one's own."`
	Problem        *Problem       `json:"problem,omitempty" doc:"Why one's own failed."`
	Writes         []Entry        `json:"writes,omitempty" doc:"What it wrote; not in lists."`
}

func transactionOf(t index.Transaction) Transaction {
	shown := Transaction{Transaction: t.Tx, State: string(outbox.Failed), Function: t.Function, Organisation: t.MSP, Account: t.By,
		Block: &t.Block, Position: &t.Position, Time: timeOrNone(t.Time), ValidationCode: t.Code, Event: t.Event, Payload: object(t.Payload)}
	if t.Code == "VALID" {
		shown.State = string(outbox.Committed)
	}
	for _, w := range t.Writes {
		shown.Writes = append(shown.Writes, entryOf(w))
	}
	return shown
}

// object is a document if it is one: what an invalid transaction says of itself may be anything.
func object(data []byte) jsontext.Value {
	if v := jsontext.Value(data); v.IsValid() && v.Kind() == '{' {
		return v
	}
	return nil
}

// addTransactions adds what is about transactions as such.
func (a *API) addTransactions() {
	list := []*huma.Param{
		queryParam("account", text(), "Who signed."), queryParam("organisation", text(), "The MSP ID of who signed."),
		queryParam("function", text(), "The function, as token:Transfer."), queryParam("code", text(), "The peers' verdict, as VALID."),
		queryParam("from", instant("").Schema(nil), "The proposal's time is not before."), queryParam("until", instant("").Schema(nil), "The proposal's time is before."),
	}
	a.add(&operation{id: "list-transactions", method: get, path: "/v1/transactions", tag: "transactions", summary: "Lists transactions, the latest first",
		scope: identity.Read, params: append(list, a.pageParams()...), answers: pageOf[Transaction](), problems: indexProblems, handle: listTransactions})
	a.add(&operation{id: "get-transaction", method: get, path: "/v1/transactions/{transaction}", tag: "transactions", summary: "Shows a transaction and what it wrote",
		doc:   "With Prefer: wait=N it waits for the outcome of one's own.",
		scope: identity.Read, params: []*huma.Param{waitParam, a.heightParam()}, answers: one[Transaction](), problems: append(indexProblems, string(ledger.CodeNotFound)),
		limit: maxWait + margin, handle: getTransaction})
	if a.options.Outbox == nil {
		return
	}
	name := pathParam("transaction", text(), "The transaction's id.")
	prepared := answer{status: http.StatusOK, doc: "What to sign; or the outcome of an earlier request with this key, as the function answers it, with the header Datanet-Block.",
		schema:  &huma.Schema{AnyOf: []*huma.Schema{a.schema(reflect.TypeFor[Prepared](), ""), {Type: huma.TypeObject}}},
		headers: some(writeHeaders, transactionHeader, blockHeader, replayedHeader)}
	pending := answer{status: http.StatusAccepted, doc: "The outcome is not known yet.", of: pendingType, headers: some(writeHeaders, transactionHeader, "Location")}
	committed := answer{status: http.StatusOK, doc: "The transaction is committed; the body is the function's answer.", schema: &huma.Schema{Type: huma.TypeObject},
		headers: some(writeHeaders, transactionHeader, blockHeader, replayedHeader)}
	a.add(&operation{id: "submit-function", method: post, path: "/v1/transactions", tag: "transactions",
		summary: "Calls a function of the ledger by its name", doc: "As its own operation does, signed by the gateway, which keeps the account's key.", scope: identity.Write,
		params:  []*huma.Param{headerParam(keyHeader, true, "Names the request."), waitParam},
		request: reflect.TypeFor[Submit](), answers: []answer{committed, pending}, problems: writeProblems, limit: maxWait + margin, handle: submitFunction})
	a.add(&operation{id: "prepare-transaction", method: post, path: "/v1/transactions/prepare", tag: "transactions",
		summary: "Prepares a write that is signed with one's own key", doc: "Sign the message, and send the signature to …/endorse.", scope: identity.Write,
		params:  []*huma.Param{headerParam(keyHeader, true, "Names the request."), waitParam},
		request: reflect.TypeFor[Prepare](), answers: []answer{prepared, pending}, problems: writeProblems, limit: maxWait + margin, handle: prepareTransaction})
	a.add(&operation{id: "endorse-transaction", method: post, path: "/v1/transactions/{transaction}/endorse", tag: "transactions",
		summary: "Takes the signature of a proposal and collects endorsements", doc: "Sign the message of the answer, and send the signature to …/submit.",
		scope: identity.Write, params: []*huma.Param{name, waitParam, headerParam(keyHeader, false, "Not needed: the transaction's id names the request.")},
		request: reflect.TypeFor[Signature](), answers: []answer{prepared, pending}, problems: writeProblems, limit: maxWait + margin, handle: endorseTransaction})
	a.add(&operation{id: "submit-transaction", method: post, path: "/v1/transactions/{transaction}/submit", tag: "transactions",
		summary: "Takes the signature of a transaction and submits it", doc: "Answers as the function does.", scope: identity.Write,
		params:  []*huma.Param{name, waitParam, headerParam(keyHeader, false, "Not needed: the transaction's id names the request.")},
		request: reflect.TypeFor[Signature](), answers: []answer{prepared, pending}, problems: writeProblems, limit: maxWait + margin, handle: submitTransaction})
}

func listTransactions(c *call) error {
	f := index.TxFilter{Account: ledger.Account(c.query.Get("account")), Organisation: c.query.Get("organisation"),
		Function: c.query.Get("function"), Code: c.query.Get("code")}
	for name, at := range map[string]*time.Time{"from": &f.From, "until": &f.Until} {
		if text := c.query.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return invalid(name, "must be a time such as 2030-01-02T15:04:05Z")
			}
			*at = t
		}
	}
	page, err := c.page()
	if err != nil {
		return err
	}
	found, err := c.api.options.Index.Transactions(c.ctx(), f, page)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, pageAs(found, transactionOf))
}

func getTransaction(c *call) error {
	id := c.param("transaction")
	own, known, err := c.own(id)
	if err != nil {
		return err
	}
	if err := c.atHeight(); err != nil {
		return err
	}
	found, err := c.api.options.Index.Transaction(c.ctx(), id)
	fault := new(ledger.Fault)
	switch {
	case err == nil:
		shown := transactionOf(found)
		if known {
			shown.Response, shown.Problem = object(own.Response), problemIn(own)
		}
		return c.answer(http.StatusOK, shown)
	case errors.As(err, &fault) && fault.Code == ledger.CodeNotFound && known:
		shown := Transaction{Transaction: own.TxID, State: string(own.State), Function: own.Function, Account: own.Account, Organisation: own.Account.MSP(),
			ValidationCode: own.Code, Response: object(own.Response), Problem: problemIn(own)}
		if own.Block > 0 {
			shown.Block = &own.Block
		}
		return c.answer(http.StatusOK, shown)
	default:
		return err
	}
}

func problemIn(entry outbox.Entry) *Problem {
	if entry.State != outbox.Failed {
		return nil
	}
	return failureOf(entry)
}

// own finds a transaction of the caller's in the outbox, and waits for its outcome as the caller says.
func (c *call) own(id string) (entry outbox.Entry, known bool, err error) {
	if c.api.options.Outbox == nil {
		return entry, false, nil
	}
	wait := time.Duration(0)
	if c.r.Header.Get("Prefer") != "" {
		if wait, err = c.wait(); err != nil {
			return entry, false, err
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx(), wait)
	defer cancel()
	entry, err = c.api.options.Outbox.Wait(ctx, c.principal.Account, id)
	if errors.Is(err, outbox.ErrNone) {
		return entry, false, nil
	}
	return entry, err == nil, err
}

// Submit is a write that the gateway signs.
type Submit struct {
	Function string         `json:"function" doc:"The function, as token:Transfer."`
	Document jsontext.Value `json:"document" doc:"The function's request."`
}

func submitFunction(c *call) error {
	key, _, err := c.key(false)
	if err != nil {
		return err
	}
	wait, err := c.wait()
	if err != nil {
		return err
	}
	var request Submit
	if err := c.decode(&request); err != nil {
		return err
	}
	function := c.api.command(request.Function)
	if function == nil {
		return invalid("function", "%q is not a function that writes", ledger.Clip(request.Function))
	}
	document, err := (&binding{function: function}).check(request.Document)
	if err != nil {
		return err
	}
	entry, err := c.submit(outbox.Request{Account: c.principal.Account, Key: key, Function: function.Name, Document: document}, true, wait)
	if err != nil {
		return err
	}
	return c.outcome(entry, http.StatusOK)
}

// Prepare begins a write that is signed with the holder's own key.
type Prepare struct {
	Function    string         `json:"function" doc:"The function, as token:Transfer."`
	Document    jsontext.Value `json:"document" doc:"The function's request."`
	Certificate string         `json:"certificate,omitzero" doc:"The account's certificate in PEM; without it that of the connection."`
}

// Prepared is a write that waits for a signature.
type Prepared struct {
	Transaction string `json:"transaction" doc:"The transaction's id."`
	State       string `json:"state" enum:"proposed,endorsed" doc:"What is to be signed: the proposal, or the endorsed transaction."`
	Message     []byte `json:"message" doc:"The bytes to sign, in base64: Ed25519 over the message, ECDSA over its SHA-256."`
}

// Signature is a signature of what was prepared.
type Signature struct {
	Signature []byte `json:"signature" doc:"In base64."`
}

func prepareTransaction(c *call) error {
	key, _, err := c.key(false)
	if err != nil {
		return err
	}
	wait, err := c.wait()
	if err != nil {
		return err
	}
	var request Prepare
	if err := c.decode(&request); err != nil {
		return err
	}
	function := c.api.command(request.Function)
	if function == nil {
		return invalid("function", "%q is not a function that writes", ledger.Clip(request.Function))
	}
	if err := (&binding{function: function}).examine(request.Document); err != nil {
		return err
	}
	certificate, err := c.certificate(request.Certificate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), wait)
	defer cancel()
	prepared, err := c.api.options.Outbox.Prepare(ctx, outbox.Request{Account: c.principal.Account, Key: key, Function: request.Function,
		Document: []byte(request.Document)}, certificate)
	if err != nil {
		return err
	}
	return c.prepared(prepared)
}

// command finds a function that writes.
func (a *API) command(name string) *ledger.Function {
	for _, f := range a.registry.Functions() {
		if f.Name == name && !f.Query {
			return f
		}
	}
	return nil
}

func endorseTransaction(c *call) error {
	signature, wait, err := c.signature()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), wait)
	defer cancel()
	prepared, err := c.api.options.Outbox.Endorse(ctx, c.principal.Account, c.param("transaction"), signature)
	if err != nil {
		return err
	}
	return c.prepared(prepared)
}

func submitTransaction(c *call) error {
	signature, wait, err := c.signature()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), wait)
	defer cancel()
	entry, err := c.api.options.Outbox.SubmitSigned(ctx, c.principal.Account, c.param("transaction"), signature)
	if err != nil {
		return err
	}
	return c.outcome(entry, http.StatusOK)
}

func (c *call) signature() ([]byte, time.Duration, error) {
	wait, err := c.wait()
	if err != nil {
		return nil, 0, err
	}
	var s Signature
	if err := c.decode(&s); err != nil {
		return nil, 0, err
	}
	if len(s.Signature) == 0 || len(s.Signature) > maxSignature {
		return nil, 0, invalid("signature", "must have 1 to %d bytes", maxSignature)
	}
	return s.Signature, wait, nil
}

// maxSignature bounds a signature in bytes; Ed25519's has 64, one of ECDSA P-256 up to 72.
const maxSignature = 256

// prepared answers with what is to be signed, or with the outcome.
func (c *call) prepared(p outbox.Prepared) error {
	if len(p.Message) == 0 {
		return c.outcome(p.Entry, http.StatusOK)
	}
	noteOf(c.ctx()).transaction = p.TxID
	c.w.Header().Set(transactionHeader, p.TxID)
	return c.answer(http.StatusOK, Prepared{Transaction: p.TxID, State: string(p.State), Message: p.Message})
}
