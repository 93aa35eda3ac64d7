package question

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Tolerance is how far a proposal's time may be from an endorser's clock, on either side.
const Tolerance = 15 * time.Minute

// PeriodOf is a period: by heights, from the block First to before End (0: the height), or by times.
type PeriodOf struct {
	First, End  uint64
	From, Until time.Time
	Page        ledger.PageRequest
}

// Period answers what happened in a period, and shows that nothing of it is missing.
type Period struct {
	Asked
	From      *time.Time   `json:"from,omitempty"`
	Until     *time.Time   `json:"until,omitempty"`
	First     uint64       `json:"first" doc:"The number of the first block, or where it would be when there is none."`
	End       uint64       `json:"end" doc:"The number after the last block."`
	Blocks    uint64       `json:"blocks"`
	Before    *BlockHeader `json:"before,omitempty" doc:"The block before the period; missing when the period begins with the first block."`
	After     *BlockHeader `json:"after,omitempty" doc:"The block after the period; missing when the ledger ends before."`
	Open      bool         `json:"open" doc:"Later blocks may count to the period: it ends after the latest time of a proposal on the ledger."`
	Previous  string       `json:"previous" doc:"The hash of the block before the first one; the chain was recomputed from it up to the last one."`
	FirstHash string       `json:"firstHash" doc:"Empty when no block counts to the period."`
	LastHash  string       `json:"lastHash" doc:"Empty when no block counts to the period."`
	Mapping   string       `json:"mapping" doc:"How the period was turned into blocks."`
	Counted   []Counted    `json:"counted" doc:"All transactions of these blocks, by function and verdict."`
	Total     int64        `json:"total"`
	Events    []Event      `json:"events" doc:"A page of the transactions, in the order of the chain."`
	Next      string       `json:"next" doc:"The cursor of the next page, empty at the end."`
}

// Counted is how often a function met a verdict.
type Counted struct {
	Function string `json:"function" doc:"Empty for a change of the channel, or of another chaincode."`
	Code     string `json:"code" doc:"The peers' verdict."`
	Count    int64  `json:"count"`
}

// Event is a transaction and what it says that it did.
type Event struct {
	Evidence report.Evidence `json:"evidence"`
	Code     string          `json:"code"`
	Event    string          `json:"event,omitzero"`
	Payload  jsontext.Value  `json:"payload,omitzero"`
}

// Period answers the events of a period. Blocks that are named by numbers of which the ledger has none are a not_found fault.
func (a *Auditor) Period(ctx context.Context, p PeriodOf) (answer Period, err error) {
	if answer.Asked, err = a.asked(ctx, "period", "When a block was made: blocks carry no time. Proposals carry their client's, which endorsers check within 15 minutes; an endorsed transaction may be held back, and then stands in a later block than its time says.",
		"What the members did without sending a transaction."); err != nil {
		return answer, err
	}
	if p.End != 0 && p.First >= p.End {
		return answer, ledger.Invalid("end", "must be after the first block, %d", p.First)
	}
	if !p.From.IsZero() && !p.Until.IsZero() && !p.From.Before(p.Until) {
		return answer, ledger.Invalid("until", "must be after the beginning, %s", report.Time(&p.From))
	}
	answer.First, answer.End, answer.Mapping = p.First, p.End, "The blocks were named by their numbers."
	if p.First == 0 && p.End == 0 {
		answer.Mapping = "All blocks up to this height."
	}
	if p.End > answer.Height {
		answer.Mapping += fmt.Sprintf(" At this height there are none from %d on.", answer.Height)
	}
	if answer.End == 0 || answer.End > answer.Height {
		answer.End = answer.Height
	}
	if !p.From.IsZero() || !p.Until.IsZero() {
		if p.First != 0 || p.End != 0 {
			return answer, ledger.Invalid("from", "name a period by blocks or by times, not by both")
		}
		if answer.First, answer.End, err = a.book.Blocks(ctx, widen(p.From, -Tolerance), widen(p.Until, Tolerance)); err != nil {
			return answer, err
		}
		answer.Mapping = "A block counts to the period when the latest time of a valid proposal up to and with it lies in the period, widened by 15 minutes on both sides; so do blocks right before these that nothing dates, as they hold no valid call of a function. " +
			"So every block that was cut in the period is there, and at its ends some that were cut before or after it, but for one case: a block after a long silence whose valid transactions were all held back counts to the time of their proposals."
		answer.Open = answer.End == answer.Height
		for _, t := range []struct {
			at   time.Time
			into **time.Time
		}{{p.From, &answer.From}, {p.Until, &answer.Until}} {
			if !t.at.IsZero() {
				*t.into = &t.at
			}
		}
	}
	answer.Counted, answer.Events = []Counted{}, []Event{}
	timed := !p.From.IsZero() || !p.Until.IsZero()
	if answer.First >= answer.End && !timed {
		return answer, ledger.Refuse(ledger.CodeNotFound, "there are no blocks of this period: the ledger has %d", answer.Height).At("first")
	}
	if err := a.around(ctx, &answer); err != nil || answer.First >= answer.End {
		return answer, err
	}
	first, last, err := a.book.Chained(ctx, answer.First, answer.End)
	if err != nil {
		return answer, err
	}
	answer.Blocks, answer.FirstHash, answer.LastHash = answer.End-answer.First, hex.EncodeToString(first.Hash[:]), hex.EncodeToString(last.Hash[:])
	counted, err := a.book.Activity(ctx, answer.First, answer.End)
	if err != nil {
		return answer, err
	}
	for _, c := range counted {
		answer.Counted = append(answer.Counted, Counted(c))
		answer.Total += c.Count
	}
	events, err := a.book.Transactions(ctx, answer.First, answer.End, p.Page)
	if err != nil {
		return answer, err
	}
	answer.Next = events.Next
	for _, tx := range events.Items {
		answer.Events = append(answer.Events, eventOf(tx))
	}
	return answer, nil
}

// around reads the blocks before and after the period.
func (a *Auditor) around(ctx context.Context, answer *Period) error {
	for _, at := range []struct {
		number uint64
		into   **BlockHeader
	}{{answer.First - 1, &answer.Before}, {answer.End, &answer.After}} {
		if at.number >= answer.Height { // none: before the first block the number has wrapped around
			continue
		}
		headers, err := a.book.Headers(ctx, at.number, at.number+1, 1)
		if err != nil {
			return err
		}
		shown := headerOf(headers[0])
		*at.into = &shown
	}
	if answer.Before != nil {
		answer.Previous = answer.Before.Hash
	}
	return nil
}

func widen(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(by)
}

func eventOf(tx index.Transaction) Event {
	e := Event{Evidence: written(tx.Written), Code: tx.Code, Event: tx.Event}
	if v := jsontext.Value(tx.Payload); v.IsValid() && v.Kind() == '{' {
		e.Payload = v
	}
	return e
}

// Report is the answer to read.
func (p Period) Report() report.Document {
	title, blocks := "Events of a period without blocks", "none"
	if p.Blocks > 0 {
		title, blocks = fmt.Sprintf("Events of blocks %d to %d", p.First, p.End-1), fmt.Sprintf("%d to %d, %d of them", p.First, p.End-1, p.Blocks)
	}
	d := p.document(title, report.Fact{Name: "period", Value: span(p.From, p.Until)}, report.Fact{Name: "blocks", Value: blocks})
	whole := report.Section{Title: "That nothing is missing"}
	whole.Say(nil, "%s", p.Mapping)
	if p.Open {
		whole.Say(nil, "The ledger does not show yet that the period is over: blocks that come after these may count to it as well.")
	}
	if p.Blocks == 0 {
		whole.Say(nil, "No block counts to the period. %s %s", edge(p.Before, "before", "The ledger has no block before it."), edge(p.After, "after", "The ledger has no block after it."))
		d.Sections = append(d.Sections, whole)
		return d
	}
	begins := "the first follows on " + p.Previous
	if p.Previous == "" {
		begins = "the first is the genesis block, which has the hash " + p.FirstHash
	}
	whole.Say(nil, "The period has %s, numbered without a gap. The hash of each was recomputed from its number, the hash of the one before and the hash of its transactions; %s, and the last has the hash %s. Whoever holds the blocks, by another peer or by a bundle, can compare these two.",
		report.Count(p.Blocks, "block"), begins, p.LastHash)
	counts := &report.Table{Columns: []string{"function", "verdict", "transactions"}}
	for _, c := range p.Counted {
		counts.Add(nil, functionOr(c.Function), c.Code, fmt.Sprint(c.Count))
	}
	events := &report.Table{Columns: []string{"event", "verdict", "function", "signed by", "time of the proposal"}, None: "No transactions."}
	for _, e := range p.Events {
		events.Add([]report.Evidence{e.Evidence}, e.Event, e.Code, functionOr(e.Evidence.Function), e.Evidence.By, report.Time(e.Evidence.Time))
	}
	if p.Next != "" {
		events.More = further(p.Next)
	}
	d.Sections = append(d.Sections, whole, report.Section{Title: report.Count(p.Total, "transaction"), Table: counts}, report.Section{Title: "Events in the order of the chain", Table: events})
	return d
}

// edge says which block stands right before or after a period without blocks.
func edge(h *BlockHeader, side, none string) string {
	if h == nil {
		return none
	}
	latest := "up to which no proposal has a time"
	if h.Clock != nil {
		latest = "with the latest proposal up to it of " + report.Time(h.Clock)
	}
	follows := ""
	if h.Previous != "" {
		follows = fmt.Sprintf(" and follows on %s", h.Previous)
	}
	return fmt.Sprintf("Right %s it comes block %d, %s; it has the hash %s%s.", side, h.Number, latest, h.Hash, follows)
}

func span(from, until *time.Time) string {
	var parts []string
	if from != nil {
		parts = append(parts, "from "+report.Time(from))
	}
	if until != nil {
		parts = append(parts, "until "+report.Time(until))
	}
	if len(parts) == 0 {
		return "by block numbers"
	}
	return strings.Join(parts, " ")
}

// Blocks answers the headers of blocks, from which the chain of hashes can be computed again.
type Blocks struct {
	Asked
	Headers []BlockHeader `json:"headers"`
}

// BlockHeader is a block's header. Its hash is SHA-256 over the ASN.1 DER of number, previous and data.
type BlockHeader struct {
	Number       uint64     `json:"number"`
	Previous     string     `json:"previous" doc:"The hash of the block before; empty in block 0."`
	Data         string     `json:"data" doc:"The hash of the transactions."`
	Hash         string     `json:"hash"`
	Transactions int        `json:"transactions"`
	Clock        *time.Time `json:"clock,omitempty" doc:"The latest time of a valid proposal up to here."`
}

// functionOr is a function's name, or what a transaction is that calls none of ours.
func functionOr(name string) string {
	return cmp.Or(name, "(change of the channel, or another chaincode)")
}

// Blocks answers at most limit headers from the first one on.
func (a *Auditor) Blocks(ctx context.Context, first uint64, limit int) (answer Blocks, err error) {
	if answer.Asked, err = a.asked(ctx, "blocks", "When a block was made: blocks carry no time."); err != nil {
		return answer, err
	}
	if first >= answer.Height {
		return answer, ledger.Refuse(ledger.CodeNotFound, "the ledger has %s, the last is %d", report.Count(answer.Height, "block"), answer.Height-1).At("first")
	}
	headers, err := a.book.Headers(ctx, first, answer.Height, limit)
	if err != nil {
		return answer, err
	}
	answer.Headers = []BlockHeader{}
	for _, h := range headers {
		answer.Headers = append(answer.Headers, headerOf(h))
	}
	return answer, nil
}

func headerOf(h index.Header) BlockHeader {
	shown := BlockHeader{Number: h.Number, Data: hex.EncodeToString(h.Data[:]), Hash: hex.EncodeToString(h.Hash[:]), Transactions: h.Transactions}
	if h.Number > 0 {
		shown.Previous = hex.EncodeToString(h.PreviousHash[:])
	}
	if !h.Clock.IsZero() {
		shown.Clock = &h.Clock
	}
	return shown
}

// Report is the answer to read.
func (b Blocks) Report() report.Document {
	d := b.document("Headers of blocks")
	t := &report.Table{Columns: []string{"block", "previous hash", "hash of the transactions", "hash", "transactions", "latest time of a proposal so far"}}
	for _, h := range b.Headers {
		t.Add(nil, fmt.Sprint(h.Number), h.Previous, h.Data, h.Hash, fmt.Sprint(h.Transactions), report.Time(h.Clock))
	}
	if n := len(b.Headers); n > 0 && b.Headers[n-1].Number+1 < b.Height {
		t.More = fmt.Sprintf("There are more: go on with --first %d", b.Headers[n-1].Number+1)
	}
	d.Sections = append(d.Sections, report.Section{Title: "The chain", Table: t})
	return d
}
