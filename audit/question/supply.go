package question

import (
	"context"
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Supply answers whether all credits that were issued are where they should be.
type Supply struct {
	Asked
	Tally      token.Tally `json:"tally"`
	Difference string      `json:"difference" doc:"Issued less redeemed less all that is held, in micro-credits: 0 when nothing was created or lost."`
	Block      uint64      `json:"block" doc:"That moved credits last."`
	Unbalanced []uint64    `json:"unbalanced" doc:"The first blocks after which the equation did not hold."`
	Unreadable int64       `json:"unreadable" doc:"Entries that no rule writes, counted as nothing."`
	Mints      []Minted    `json:"mints" doc:"The latest mints."`
}

// Minted is a mint and the proposal by which the members decided on it.
type Minted struct {
	token.Minted
	Evidence report.Evidence `json:"evidence"`
}

// Supply answers the reconciliation of all credits.
func (a *Auditor) Supply(ctx context.Context) (answer Supply, err error) {
	if answer.Asked, err = a.asked(ctx, "supply", "Whether money was paid for the credits that were issued, and for those that the issuer says it redeemed: there the ledger has the members' decision and the issuer's reference."); err != nil {
		return answer, err
	}
	s, err := a.book.Supply(ctx)
	if err != nil {
		return answer, err
	}
	answer.Block, answer.Unreadable = s.Block, s.Unreadable
	for _, part := range []struct {
		from int64
		into *money.Amount
	}{{s.Issued, &answer.Tally.Issued}, {s.Redeemed, &answer.Tally.Redeemed}, {s.Balances, &answer.Tally.Balances}, {s.Credits, &answer.Tally.Credits},
		{s.Escrow, &answer.Tally.Escrow}, {s.Sessions, &answer.Tally.Sessions}, {s.Claims, &answer.Tally.Claims}, {s.Payouts, &answer.Tally.Payouts}} {
		*part.into = money.Amount(max(part.from, 0))
	}
	answer.Difference = fmt.Sprint(s.Issued - s.Redeemed - s.Balances - s.Credits - s.Escrow - s.Sessions - s.Claims - s.Payouts)
	if answer.Unbalanced, err = a.book.Unbalanced(ctx, 10); err != nil {
		return answer, err
	}
	mints, _, err := find[token.Minted](ctx, a, index.Filter{Kind: "mint", Order: index.Newest}, firstPage)
	if err != nil {
		return answer, err
	}
	answer.Mints = []Minted{}
	for _, m := range mints {
		answer.Mints = append(answer.Mints, Minted{m.value, m.evidence})
	}
	return answer, nil
}

// Report is the answer to read.
func (s Supply) Report() report.Document {
	d := s.document("Reconciliation of all credits", report.Fact{Name: "block that moved credits last", Value: fmt.Sprint(s.Block)})
	sums := &report.Table{Columns: []string{"what", "micro-credits"}}
	for _, row := range []struct {
		name   string
		amount money.Amount
	}{{"issued by decisions of the members", s.Tally.Issued}, {"redeemed, as the issuer acknowledged", s.Tally.Redeemed}, {"balances", s.Tally.Balances}, {"credits that are not spent, those of pools too", s.Tally.Credits},
		{"escrow of redemptions", s.Tally.Escrow}, {"prepaid sessions", s.Tally.Sessions}, {"claims on data parts", s.Tally.Claims}, {"pay-outs of pools under way", s.Tally.Payouts}} {
		sums.Add(nil, row.name, row.amount.String())
	}
	sums.Add(nil, "issued − redeemed − all that is held", s.Difference)
	verdict := report.Section{Title: "Issued − redeemed = balances + credits + escrow + sessions + claims + pay-outs", Table: sums}
	if s.Difference == "0" && len(s.Unbalanced) == 0 {
		verdict.Say(nil, "The equation holds, and held after each of %d blocks: no credit was created or lost.", s.Height)
	} else {
		after := make([]string, len(s.Unbalanced))
		for i, block := range s.Unbalanced {
			after[i] = fmt.Sprint(block)
		}
		verdict.Say(nil, "The equation does not hold after every block. The first after which it did not: %s.", orNone(strings.Join(after, ", ")))
	}
	if s.Unreadable > 0 {
		verdict.Say(nil, "Not written by any rule: %s.", report.Count(s.Unreadable, "entry", "entries"))
	}
	mints := &report.Table{Columns: []string{"to", "micro-credits", "proposal"}, None: "Nothing was issued."}
	for _, m := range s.Mints {
		mints.Add([]report.Evidence{m.Evidence}, string(m.To), m.Amount.String(), m.Proposal)
	}
	d.Sections = append(d.Sections, verdict, report.Section{Title: "The latest that was issued", Table: mints})
	return d
}
