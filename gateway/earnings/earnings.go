// Package earnings tells who has earned what, and why.
//
// Life of a figure: a settlement pays the fixed parts of fees, the pages of a claim's table its data part, and a pool's
// pay-out what validators and the uncovered rest have left there. Each is a credit, which the index keeps after it is
// spent. The transaction that made a credit says of which settlement it is, the settlement of which model; leaves and
// receipts of the settlement, which hold no text, say for which spans. So the sums here are sums of credits, to the
// micro-credit, and each opens down to spans.
package earnings

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Kind says what was paid for.
type Kind string

// The kinds.
const (
	Fixed Kind = "fixed" // a fixed part of fees: as host, owner, platform, upstream, or a pool for its validators
	Data  Kind = "data"  // the data part, by receipts
	Pool  Kind = "pool"  // out of a datanet's pool
)

// Earning is one credit that was earned.
type Earning struct {
	Transaction string       `json:"transaction"`
	Block       uint64       `json:"block"`
	Time        time.Time    `json:"time"`
	Kind        Kind         `json:"kind" enum:"fixed,data,pool"`
	Amount      money.Amount `json:"amount"`
	Host        string       `json:"host,omitzero" doc:"Who settled; with the settlement it opens to receipts."`
	Settlement  string       `json:"settlement,omitzero"`
	Model       string       `json:"model,omitzero" doc:"name@version"`
	Datanet     string       `json:"datanet,omitzero" doc:"Whose pool paid."`
}

// Index is what the ledger holds and held; [*index.Index] is one.
type Index interface {
	Statement(ctx context.Context, account ledger.Account, page ledger.PageRequest) (ledger.Page[index.Entry], error)
	Transaction(ctx context.Context, id string) (index.Transaction, error)
}

// List is a page of what an account has earned, the latest first. A page may have fewer items than asked for, and more
// may follow all the same: between earnings stand transfers.
func List(ctx context.Context, from Index, account ledger.Account, page ledger.PageRequest) (ledger.Page[Earning], error) {
	found, err := from.Statement(ctx, account, page)
	if err != nil {
		return ledger.Page[Earning]{}, err
	}
	list := ledger.Page[Earning]{Items: []Earning{}, Next: found.Next}
	for _, entry := range found.Items {
		e, earned, err := of(ctx, from, account, entry)
		if err != nil {
			return list, err
		}
		if earned {
			list.Items = append(list.Items, e)
		}
	}
	return list, nil
}

// of reads an entry of an account's statement; earned is false for one that is no earning. What goes back to a consumer
// of a closed session comes in one credit with what it may have earned by the same settlement, and is none.
func of(ctx context.Context, from Index, account ledger.Account, entry index.Entry) (e Earning, earned bool, err error) {
	kind, _, _ := entry.Key.Split()
	if kind != "credit" || entry.Deleted {
		return e, false, nil
	}
	var c token.Credit
	if err := ledger.DecodeAnswer(entry.Value, &c); err != nil {
		return e, false, err
	}
	e = Earning{Transaction: entry.Tx, Block: entry.Block, Time: entry.Time, Amount: c.Amount}
	switch c.Kind {
	case "settlement":
		e.Kind = Fixed
	case "data":
		e.Kind = Data
	case "pool":
		e.Kind, e.Datanet = Pool, c.From
		return e, true, nil
	default:
		return e, false, nil
	}
	settled, err := claimIn(ctx, from, entry.Tx)
	if err != nil {
		return e, false, err
	}
	e.Host, e.Settlement, e.Model = string(settled.Host), settled.ID, settled.Model.Named.String()
	if e.Kind == Fixed {
		e.Amount = 0
		for _, p := range settled.Payments {
			if p.To == account {
				e.Amount += p.Amount
			}
		}
	}
	return e, e.Amount > 0, nil
}

// claimIn is the claim that a transaction wrote.
func claimIn(ctx context.Context, from Index, tx string) (c claim.Claim, err error) {
	found, err := from.Transaction(ctx, tx)
	if err != nil {
		return c, err
	}
	for _, w := range found.Writes {
		if kind, _, _ := w.Key.Split(); kind == "claim" && !w.Deleted {
			return c, ledger.DecodeAnswer(w.Value, &c)
		}
	}
	return c, fmt.Errorf("transaction %s paid by a settlement and wrote none", tx)
}

// By is what earnings are summed up by.
type By string

// The ways.
const (
	ByModel        By = "model"
	ByKind         By = "kind"
	ByDay          By = "day"
	ByMonth        By = "month"
	BySettlement   By = "settlement"
	ByContribution By = "contribution"
)

// Sums are earnings of an account, summed up.
type Sums struct {
	Total money.Amount `json:"total"`
	Items []Sum        `json:"items" doc:"The largest first."`
}

// Sum is what has one key.
type Sum struct {
	Key    string       `json:"key" doc:"A model, kind, day, month, settlement (host and id) or contribution; empty for what has none."`
	Amount money.Amount `json:"amount"`
	Count  int          `json:"count" doc:"Credits, or with contributions spans."`
}

// Range bounds the time of transactions; zero times bound nothing.
type Range struct{ From, Until time.Time }

func (r Range) holds(t time.Time) bool {
	return (r.From.IsZero() || !t.Before(r.From)) && (r.Until.IsZero() || t.Before(r.Until))
}

// Sum sums up all that an account has earned in a time. behind finds what a data part was paid for; it is called for
// [ByContribution] only, which leaves out the other kinds.
func SumUp(ctx context.Context, from Index, account ledger.Account, by By, in Range, behind func(context.Context, Earning) (Behind, error)) (Sums, error) {
	sums := map[string]*Sum{}
	total := money.Amount(0)
	add := func(key string, amount money.Amount, count int) (err error) {
		if sums[key] == nil {
			sums[key] = &Sum{Key: key}
		}
		sums[key].Count += count
		if sums[key].Amount, err = sums[key].Amount.Add(amount); err == nil {
			total, err = total.Add(amount)
		}
		return err
	}
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		list, err := List(ctx, from, account, page)
		if err != nil {
			return Sums{}, err
		}
		for _, e := range list.Items {
			if !in.holds(e.Time) {
				continue
			}
			if by != ByContribution {
				err = add(by.key(e), e.Amount, 1)
			} else if e.Kind == Data {
				err = addContributions(ctx, account, e, behind, add)
			}
			if err != nil {
				return Sums{}, err
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	result := Sums{Total: total, Items: []Sum{}}
	for _, s := range sums {
		result.Items = append(result.Items, *s)
	}
	slices.SortFunc(result.Items, func(a, b Sum) int {
		if a.Amount != b.Amount {
			return int(max(min(int64(b.Amount)-int64(a.Amount), 1), -1))
		}
		return compare(a.Key, b.Key)
	})
	return result, nil
}

func (b By) key(e Earning) string {
	switch b {
	case ByModel:
		return e.Model
	case ByDay:
		return e.Time.Format(time.DateOnly)
	case ByMonth:
		return e.Time.Format("2006-01")
	case BySettlement:
		if e.Settlement == "" {
			return ""
		}
		return e.Host + " " + e.Settlement
	default:
		return string(e.Kind)
	}
}
