package question

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// FeesOf chooses settlements: of all, of one host, or of one model.
type FeesOf struct {
	Host  ledger.Account
	Model model.Named
	Page  ledger.PageRequest
}

// Fees answers where the fees of settled uses went.
type Fees struct {
	Asked
	Settlements []Settlement `json:"settlements" doc:"A page of them, the oldest first."`
	Totals      Totals       `json:"totals" doc:"Of this page."`
	Payees      []Payee      `json:"payees" doc:"Who got how much of this page's fees at once, the largest first."`
	Next        string       `json:"next" doc:"The cursor of the next page, empty at the end."`
}

// Settlement is a settlement and where its fees went.
type Settlement struct {
	claim.Named
	Model    model.CardName    `json:"model"`
	State    claim.State       `json:"state"`
	Sessions int               `json:"sessions"`
	Uses     int64             `json:"uses"`
	Fees     money.Amount      `json:"fees"`
	Paid     []Payee           `json:"paid" doc:"The fixed parts, paid at once."`
	Data     money.Amount      `json:"data" doc:"The part that goes by receipts."`
	Left     money.Amount      `json:"left" doc:"What of it is not paid out yet."`
	Rest     money.Amount      `json:"rest" doc:"What went back to the consumers of closed sessions; no part of the fees."`
	Exact    bool              `json:"exact" doc:"The parts sum to the fees."`
	Evidence []report.Evidence `json:"evidence"`
}

// Payee is who got an amount, and as what.
type Payee struct {
	To     ledger.Account `json:"to"`
	As     string         `json:"as" doc:"Host, owner, platform, upstream, validators (through the datanet's pool), or several."`
	Amount money.Amount   `json:"amount"`
}

// Totals are sums over settlements.
type Totals struct {
	Uses     int64        `json:"uses"`
	Fees     money.Amount `json:"fees"`
	AtOnce   money.Amount `json:"atOnce"`
	DataPaid money.Amount `json:"dataPaid" doc:"Data parts that were paid out."`
	DataLeft money.Amount `json:"dataLeft" doc:"Data parts that wait for attestation, a decision or their pages."`
}

// Fees answers a page of the settlements.
func (a *Auditor) Fees(ctx context.Context, of FeesOf) (answer Fees, err error) {
	if of.Host != "" {
		if err := of.Host.Validate("host"); err != nil {
			return answer, err
		}
	}
	if answer.Asked, err = a.asked(ctx, "fees", "Fees of uses that no host has settled yet: sessions show only what was prepaid.",
		"What was paid outside the network.", "Which receipts a data part follows from: attestors have recomputed them from the host's evidence."); err != nil {
		return answer, err
	}
	if of.Model != (model.Named{}) {
		if _, found, err := load[model.Model](ctx, a, model.Key(of.Model)); err != nil {
			return answer, err
		} else if !found {
			return answer, ledger.Refuse(ledger.CodeNotFound, "there is no model %s", of.Model).At("model")
		}
	}
	answer.Settlements, answer.Payees = []Settlement{}, []Payee{}
	claims, next, err := find[claim.Claim](ctx, a, index.Filter{Kind: "claim", Account: string(of.Host), Order: index.Oldest}, of.Page)
	if err != nil {
		return answer, err
	}
	answer.Next = next
	cards, err := a.cards(ctx, claims)
	if err != nil {
		return answer, err
	}
	sums := map[ledger.Account]Payee{}
	for _, c := range claims {
		if of.Model != (model.Named{}) && c.value.Model.Named != of.Model {
			continue
		}
		s := settlementOf(c, cards[model.CardKey(c.value.Model)].value)
		answer.Settlements = append(answer.Settlements, s)
		if err := answer.Totals.add(s, sums); err != nil {
			return answer, err
		}
	}
	for _, p := range sums {
		answer.Payees = append(answer.Payees, p)
	}
	slices.SortFunc(answer.Payees, func(x, y Payee) int { return cmp.Or(cmp.Compare(y.Amount, x.Amount), cmp.Compare(x.To, y.To)) })
	return answer, nil
}

func (a *Auditor) cards(ctx context.Context, claims []item[claim.Claim]) (map[ledger.Key]item[model.Card], error) {
	var keys []ledger.Key
	for _, c := range claims {
		keys = append(keys, model.CardKey(c.value.Model))
	}
	slices.Sort(keys)
	return loadAll[model.Card](ctx, a, slices.Compact(keys))
}

func settlementOf(c item[claim.Claim], card model.Card) Settlement {
	v := c.value
	s := Settlement{Named: v.Named, Model: v.Model, State: v.State, Sessions: v.Sessions, Uses: v.Uses, Fees: v.Fees, Paid: []Payee{}, Data: v.Data, Left: v.Left, Rest: v.Rest,
		Evidence: []report.Evidence{c.evidence}}
	sum := v.Data
	for _, p := range v.Payments {
		s.Paid = append(s.Paid, Payee{p.To, roleIn(card, p.To), p.Amount})
		sum += p.Amount
	}
	s.Exact = sum == v.Fees
	return s
}

// roleIn tells as what a card pays an account.
func roleIn(card model.Card, to ledger.Account) string {
	var roles []string
	if to == card.Host {
		roles = append(roles, "host")
	}
	if to == card.Owner {
		roles = append(roles, "owner")
	}
	if to == card.Platform {
		roles = append(roles, "platform")
	}
	for _, u := range card.Upstream {
		if to == u.Owner {
			roles = append(roles, "upstream")
		}
	}
	if to.IsPool() {
		roles = append(roles, "validators of "+to.Pool())
	}
	return strings.Join(unique(roles), ", ")
}

func (t *Totals) add(s Settlement, sums map[ledger.Account]Payee) (err error) {
	plus := func(into *money.Amount, amount money.Amount) {
		if err == nil {
			*into, err = into.Add(amount)
		}
	}
	t.Uses += s.Uses
	plus(&t.Fees, s.Fees)
	plus(&t.DataLeft, s.Left)
	plus(&t.DataPaid, s.Data-s.Left)
	for _, p := range s.Paid {
		plus(&t.AtOnce, p.Amount)
		sum := sums[p.To]
		sum.To, sum.As = p.To, p.As
		plus(&sum.Amount, p.Amount)
		sums[p.To] = sum
	}
	return err
}

// Report is the answer to read.
func (f Fees) Report() report.Document {
	d := f.document("Where fees went")
	sums := &report.Table{Columns: []string{"what", "micro-credits"}}
	for _, row := range []struct {
		name   string
		amount money.Amount
	}{{fmt.Sprintf("fees of %s in %s", report.Count(f.Totals.Uses, "use"), report.Count(len(f.Settlements), "settlement")), f.Totals.Fees}, {"paid at once: host, owner, platform, upstream, validators", f.Totals.AtOnce},
		{"data parts, paid out by receipts", f.Totals.DataPaid}, {"data parts that wait", f.Totals.DataLeft}} {
		sums.Add(nil, row.name, row.amount.String())
	}
	payees := &report.Table{Columns: []string{"paid at once to", "as", "micro-credits"}, None: "Nobody was paid."}
	for _, p := range f.Payees {
		payees.Add(nil, string(p.To), p.As, p.Amount.String())
	}
	list := &report.Table{Columns: []string{"settlement", "rate card", "uses", "fees", "paid at once", "data part", "of it left", "state", "sums up to the fees"}, None: "No settlements."}
	for _, s := range f.Settlements {
		paid := make([]string, len(s.Paid))
		for i, p := range s.Paid {
			paid[i] = fmt.Sprintf("%s %v (%s)", p.To, p.Amount, p.As)
		}
		list.Add(s.Evidence, string(s.Host)+"/"+s.ID, fmt.Sprintf("%s, card %d", s.Model.Named, s.Model.Card), fmt.Sprint(s.Uses), s.Fees.String(), strings.Join(paid, "; "), s.Data.String(), s.Left.String(), string(s.State), yes(s.Exact))
	}
	if f.Next != "" {
		list.More = further(f.Next)
	}
	d.Sections = append(d.Sections, report.Section{Title: "Sums of the settlements below", Table: sums}, report.Section{Title: "Payees of the settlements below", Table: payees}, report.Section{Title: "Settlements", Table: list})
	return d
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
