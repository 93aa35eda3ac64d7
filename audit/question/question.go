// Package question answers what a regulator asks of the ledger, each answer as typed data and as a report, with the
// evidence beside every statement.
//
//	a question ──► one height of the index ──► entries and the transactions that wrote them ──► an answer
//	                                                                                  └──► report.Document ──► Markdown, HTML
//
// An answer is about the state after so many blocks, the height, and names the hash of the last one, so that whoever
// holds the blocks ([datanet audit export]) can check every citation: a version is block.position. All that is read is
// read at that height, however many blocks come meanwhile, and a question can be asked of any earlier height.
//
// What the ledger cannot know is said in each answer, under Unknown.
package question

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Book is the ledger at one height, as [index.View] has it.
type Book interface {
	Height() uint64
	States(ctx context.Context, keys []ledger.Key) ([][]byte, error)
	Lookup(ctx context.Context, keys ...ledger.Key) ([]index.Entry, error)
	Versions(ctx context.Context, key ledger.Key, limit int) ([]index.Entry, error)
	Find(ctx context.Context, f index.Filter, page ledger.PageRequest) (ledger.Page[index.Entry], error)
	Transaction(ctx context.Context, id string) (index.Transaction, error)
	TransactionAt(ctx context.Context, block uint64, position int) (index.Transaction, error)
	Transactions(ctx context.Context, first, end uint64, page ledger.PageRequest) (ledger.Page[index.Transaction], error)
	Headers(ctx context.Context, first, end uint64, limit int) ([]index.Header, error)
	Chained(ctx context.Context, first, end uint64) (begin, last index.Header, err error)
	Blocks(ctx context.Context, from, until time.Time) (first, end uint64, err error)
	Activity(ctx context.Context, first, end uint64) ([]index.Activity, error)
	Supply(ctx context.Context) (index.Supply, error)
	Unbalanced(ctx context.Context, limit int) ([]uint64, error)
	Shown(ctx context.Context, account, after ledger.Account, limit int) ([]index.Shown, error)
	Held(ctx context.Context, datanet string, snapshots []index.Extent) (held index.Held, whole bool, err error)
	Breaches(ctx context.Context, limit int) ([]index.Breach, error)
}

// Auditor asks one height of a ledger.
type Auditor struct {
	book    Book
	channel string
}

// New is an auditor of a channel at a height.
func New(book Book, channel string) *Auditor { return &Auditor{book: book, channel: channel} }

// Answer is an answer to a question.
type Answer interface {
	// Report is the answer to read.
	Report() report.Document
}

// Asked is what an answer is about.
type Asked struct {
	Question string   `json:"question"`
	Channel  string   `json:"channel"`
	Height   uint64   `json:"height" doc:"The number of blocks that the answer is about."`
	Last     string   `json:"last" doc:"The hash of the last of them."`
	Unknown  []string `json:"unknown" doc:"What the ledger cannot tell."`
}

func (a *Auditor) asked(ctx context.Context, question string, unknown ...string) (Asked, error) {
	asked := Asked{Question: question, Channel: a.channel, Height: a.book.Height(), Unknown: unknown}
	if asked.Height == 0 {
		return asked, ledger.Refuse(ledger.CodeState, "no blocks are indexed yet")
	}
	headers, err := a.book.Headers(ctx, asked.Height-1, asked.Height, 1)
	if err != nil {
		return asked, err
	}
	asked.Last = hex.EncodeToString(headers[0].Hash[:])
	return asked, nil
}

// document begins a report.
func (a Asked) document(title string, facts ...report.Fact) report.Document {
	return report.Document{Title: title, Unknown: a.Unknown, Facts: append([]report.Fact{
		{Name: "channel", Value: a.Channel}, {Name: "height", Value: report.Count(a.Height, "block")}, {Name: "hash of the last block", Value: a.Last}}, facts...)}
}

// further says how the list goes on, as flags of the command line; REST has parameters of the same names.
func further(cursor string) string { return "There are more: go on with --cursor " + cursor }

// evidence is the transaction that wrote an entry.
func evidence(e index.Entry) report.Evidence {
	found := written(e.Written)
	if kind, parts, ok := e.Key.Split(); ok {
		found.Key = append([]string{kind}, parts...)
	}
	return found
}

func written(w index.Written) report.Evidence {
	found := report.Evidence{Block: w.Block, Position: w.Position, Transaction: w.Tx, By: string(w.By), Function: w.Function}
	if !w.Time.IsZero() {
		at := w.Time
		found.Time = &at
	}
	if w.Tx == "" { // a change of the channel has no id
		found.Key = []string{"configuration"}
	}
	return found
}

// transactions is the evidence of transactions that values name by their ids. Ids that are "" or not there are left out.
func (a *Auditor) transactions(ctx context.Context, ids ...string) ([]report.Evidence, error) {
	var list []report.Evidence
	for _, id := range ids {
		if id == "" {
			continue
		}
		tx, err := a.book.Transaction(ctx, id)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, written(tx.Written))
	}
	return list, nil
}

// item is a value and what it rests on.
type item[T any] struct {
	value    T
	key      ledger.Key
	evidence report.Evidence
}

func decode[T any](e index.Entry) (item[T], error) {
	one := item[T]{key: e.Key, evidence: evidence(e)}
	if err := ledger.DecodeAnswer(e.Value, &one.value); err != nil {
		return one, fmt.Errorf("read %s: %w", e.Key, err)
	}
	return one, nil
}

// load reads an entry; found is false when there is none.
func load[T any](ctx context.Context, a *Auditor, key ledger.Key) (one item[T], found bool, err error) {
	entries, err := a.book.Lookup(ctx, key)
	if err != nil || entries[0].Tx == "" {
		return one, false, err
	}
	one, err = decode[T](entries[0])
	return one, true, err
}

// loadAll reads entries, those that are absent left out.
func loadAll[T any](ctx context.Context, a *Auditor, keys []ledger.Key) (map[ledger.Key]item[T], error) {
	entries, err := a.book.Lookup(ctx, keys...)
	if err != nil {
		return nil, err
	}
	all := make(map[ledger.Key]item[T], len(entries))
	for _, e := range entries {
		if e.Tx == "" {
			continue
		}
		if all[e.Key], err = decode[T](e); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// find lists entries of a page.
func find[T any](ctx context.Context, a *Auditor, f index.Filter, page ledger.PageRequest) ([]item[T], string, error) {
	found, err := a.book.Find(ctx, f, page)
	if err != nil {
		return nil, "", err
	}
	list := make([]item[T], len(found.Items))
	for i, e := range found.Items {
		if list[i], err = decode[T](e); err != nil {
			return nil, "", err
		}
	}
	return list, found.Next, nil
}

// most bounds what one part of an answer lists where it has no pages of its own.
const most = ledger.MaxPage

// all lists entries to their end, or to most of them; whole is false when there are more.
func all[T any](ctx context.Context, a *Auditor, f index.Filter) (list []item[T], whole bool, err error) {
	list, next, err := find[T](ctx, a, f, ledger.PageRequest{Limit: most})
	return list, next == "", err
}

func unique[T comparable](list []T) []T {
	var kept []T
	for _, one := range list {
		if !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// missing tells whether an error says that something is not there.
func missing(err error) bool {
	var fault *ledger.Fault
	return errors.As(err, &fault) && fault.Code == ledger.CodeNotFound
}
