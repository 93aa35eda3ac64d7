package question

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Transaction answers a transaction's history from the proposal to the state.
type Transaction struct {
	Asked
	Transaction report.Evidence `json:"transaction"`
	Code        string          `json:"code" doc:"The peers' verdict."`
	MSP         string          `json:"organisation" doc:"Of who signed it."`
	Event       string          `json:"event,omitzero"`
	Payload     jsontext.Value  `json:"payload,omitzero"`
	Block       Link            `json:"block"`
	Proposal    *Proposal       `json:"proposal,omitempty" doc:"What was proposed and endorsed, from the block; missing when the peer did not show the block."`
	Writes      []Effect        `json:"writes" doc:"What a valid one wrote, and what became of it since."`
}

// Link is a block in the chain.
type Link struct {
	Number       uint64 `json:"number"`
	Hash         string `json:"hash"`
	Previous     string `json:"previous"`
	Data         string `json:"data" doc:"The hash of its transactions."`
	Transactions int    `json:"transactions"`
}

// Proposal is what the client signed, who endorsed it, and what it read.
type Proposal struct {
	Document  jsontext.Value `json:"document,omitzero" doc:"The function's request."`
	Response  jsontext.Value `json:"response,omitzero" doc:"The function's answer, as endorsed."`
	Roles     []ledger.Role  `json:"roles" doc:"That the certificate of who signed it shows."`
	Endorsers []string       `json:"endorsers" doc:"The organisations whose peers endorsed it."`
	Reads     []Read         `json:"reads" doc:"The versions of the keys that it read."`
	Guards    [][]string     `json:"guards" doc:"Keys whose endorsement policy it set or removed."`
}

// Read is a key that was read, and its version then.
type Read struct {
	Key     []string `json:"key"`
	Version string   `json:"version" doc:"Block.position, or absent."`
}

// Effect is what a transaction did to a key.
type Effect struct {
	Key     []string          `json:"key"`
	Value   jsontext.Value    `json:"value,omitzero"`
	Deleted bool              `json:"deleted,omitzero"`
	Later   []report.Evidence `json:"later" doc:"The transactions that wrote the key afterwards, the earliest first, at most 10."`
}

// find finds a transaction by its id, or by its place as reports print it, block.position. No id has that form.
func (a *Auditor) find(ctx context.Context, name string) (index.Transaction, error) {
	before, after, placed := strings.Cut(name, ".")
	block, wrong := strconv.ParseUint(before, 10, 64)
	position, wrongToo := strconv.ParseUint(after, 10, 31)
	if !placed || wrong != nil || wrongToo != nil {
		return a.book.Transaction(ctx, name)
	}
	return a.book.TransactionAt(ctx, block, int(position))
}

// Transaction answers one transaction, by its id or place. raw is its block as the peer has it, nil when that cannot be had.
func (a *Auditor) Transaction(ctx context.Context, name string, raw func(ctx context.Context, number uint64) (*block.Block, error)) (answer Transaction, err error) {
	tx, err := a.find(ctx, name)
	if err != nil {
		return answer, err
	}
	if answer.Asked, err = a.asked(ctx, "transaction", "When it was ordered: blocks carry no time.", "Why its signer sent it."); err != nil {
		return answer, err
	}
	answer.Transaction, answer.Code, answer.MSP, answer.Event, answer.Writes = written(tx.Written), tx.Code, tx.MSP, tx.Event, []Effect{}
	answer.Payload = object(tx.Payload)
	headers, err := a.book.Headers(ctx, tx.Block, tx.Block+1, 1)
	if err != nil {
		return answer, err
	}
	h := headers[0]
	answer.Block = Link{Number: h.Number, Hash: fmt.Sprintf("%x", h.Hash), Previous: fmt.Sprintf("%x", h.PreviousHash), Data: fmt.Sprintf("%x", h.Data), Transactions: h.Transactions}
	for _, w := range tx.Writes {
		versions, err := a.book.Versions(ctx, w.Key, most)
		if err != nil {
			return answer, err
		}
		effect := Effect{Key: partsOf(w.Key), Value: object(w.Value), Deleted: w.Deleted, Later: []report.Evidence{}}
		for _, v := range versions {
			if e := evidence(v); earlier(answer.Transaction, e) && len(effect.Later) < 10 {
				effect.Later = append(effect.Later, e)
			}
		}
		answer.Writes = append(answer.Writes, effect)
	}
	if raw == nil {
		return answer, nil
	}
	b, err := raw(ctx, tx.Block)
	if err != nil {
		return answer, err
	}
	if b.Hash != h.Hash || tx.Position >= len(b.Transactions) {
		return answer, ledger.Refuse(ledger.CodeInternal, "the peer's block %d is not the one that is indexed", tx.Block)
	}
	answer.Proposal = proposalOf(b.Transactions[tx.Position])
	return answer, nil
}

func proposalOf(tx block.Transaction) *Proposal {
	p := &Proposal{Document: object(tx.Document), Response: object(tx.Response), Roles: ledger.ParseRoles(tx.Creator.Roles), Endorsers: []string{}, Reads: []Read{}, Guards: [][]string{}}
	for _, e := range tx.Endorsers {
		p.Endorsers = append(p.Endorsers, e.MSP)
	}
	slices.Sort(p.Endorsers)
	for _, r := range tx.Reads {
		version := "absent"
		if r.There {
			version = fmt.Sprintf("%d.%d", r.Block, r.Position)
		}
		p.Reads = append(p.Reads, Read{partsOf(r.Key), version})
	}
	for _, g := range tx.Guards {
		p.Guards = append(p.Guards, partsOf(g.Key))
	}
	return p
}

func partsOf(key ledger.Key) []string {
	kind, list, ok := key.Split()
	if !ok {
		return []string{key.String()}
	}
	return append([]string{kind}, list...)
}

// object is a document if it is one: what an invalid transaction says of itself may be anything.
func object(data []byte) jsontext.Value {
	if v := jsontext.Value(data); v.IsValid() && v.Kind() == '{' {
		return v
	}
	return nil
}

// Report is the answer to read.
func (t Transaction) Report() report.Document {
	d := t.document("Transaction "+t.Transaction.Transaction, report.Fact{Name: "place", Value: t.Transaction.Version()}, report.Fact{Name: "function", Value: functionOr(t.Transaction.Function)},
		report.Fact{Name: "signed by", Value: orNone(cmp.Or(string(t.Transaction.By), t.MSP))},
		report.Fact{Name: "time of the proposal", Value: orNone(report.Time(t.Transaction.Time))}, report.Fact{Name: "verdict of the peers", Value: t.Code})
	cited := []report.Evidence{t.Transaction}
	life := report.Section{Title: "From proposal to state"}
	if t.Transaction.Function == "" {
		life.Say(cited, "It calls no function of the chaincode, so nothing more of it is read here. audit verify checks changes of the channel and definitions of chaincodes.")
	} else if p := t.Proposal; p != nil {
		life.Say(cited, "Proposed by %s, whose certificate shows these roles: %s, with the document %s", orNone(t.Transaction.By), orNone(join(p.Roles)), orNone(string(p.Document)))
		life.Say(cited, "Endorsed by the peers of %s, on the versions of %s; answered %s", orNone(strings.Join(p.Endorsers, ", ")), report.Count(len(p.Reads), "key"), orNone(string(p.Response)))
	}
	life.Say(cited, "Ordered as number %d of %s in block %d, which has the hash %s and follows on %s.", t.Transaction.Position+1, report.Count(t.Block.Transactions, "transaction"), t.Block.Number, t.Block.Hash, t.Block.Previous)
	if t.Code == "VALID" && t.Transaction.Function != "" {
		life.Say(cited, "Found valid: its effect was %s, with the event %s.", report.Count(len(t.Writes), "write"), orNone(t.Event))
	} else if t.Code != "VALID" {
		life.Say(cited, "Found %s: it had no effect.", t.Code)
	}
	writes := &report.Table{Columns: []string{"key", "value", "written again in"}, None: "It wrote nothing."}
	for _, w := range t.Writes {
		value := string(w.Value)
		if w.Deleted {
			value = "(deleted)"
		}
		later := make([]string, len(w.Later))
		for i, e := range w.Later {
			later[i] = e.Version()
		}
		writes.Add(append([]report.Evidence{t.Transaction}, w.Later...), strings.Join(w.Key, "/"), value, strings.Join(later, ", "))
	}
	d.Sections = append(d.Sections, life)
	if t.Transaction.Function == "" {
		return d
	}
	d.Sections = append(d.Sections, report.Section{Title: "What it wrote", Table: writes})
	if p := t.Proposal; p != nil {
		reads := &report.Table{Columns: []string{"key", "version"}, None: "It read nothing."}
		for _, r := range p.Reads {
			reads.Add(nil, strings.Join(r.Key, "/"), r.Version)
		}
		d.Sections = append(d.Sections, report.Section{Title: "What it read", Table: reads})
	}
	return d
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}
