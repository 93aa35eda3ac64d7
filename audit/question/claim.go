package question

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// Claim answers what became of a settlement's data part: who recomputed it, who objected, who was paid.
type Claim struct {
	Asked
	Settlement Settlement        `json:"settlement"`
	Quorum     int               `json:"quorum"`
	Attestors  []string          `json:"attestors"`
	Revisions  []claim.Revision  `json:"revisions" doc:"Of the snapshots that receipts must name."`
	Votes      []Attestation     `json:"votes"`
	Objection  *Objection        `json:"objection,omitempty"`
	Decision   string            `json:"decision,omitzero" doc:"The proposal by which the members named the table."`
	Decided    []report.Evidence `json:"decided,omitempty" doc:"The transaction that executed it."`
	Payments   []Payment         `json:"payments" doc:"Of the data part, in the order of the chain, at most 1,000."`
	Paid       money.Amount      `json:"paid" doc:"The sum of all pages."`
	Steps      []Step            `json:"steps"`
}

// Attestation is an organisation's vote, or that it gave none.
type Attestation struct {
	Organisation string           `json:"organisation"`
	By           ledger.Account   `json:"by,omitzero"`
	Table        string           `json:"table,omitzero" doc:"The digest of the pay-out table that it found."`
	Rate         int              `json:"rate,omitzero" doc:"How many of a million uses it recomputed."`
	Secret       string           `json:"secret,omitzero" doc:"The id of the secret that drew them."`
	Registered   *report.Evidence `json:"registered,omitempty" doc:"Where the secret was registered, before or after the settlement."`
	Before       bool             `json:"before" doc:"The secret was registered before the settlement, so the host could not foresee the sample; of a vote on all uses it does not matter."`
	Evidence     *report.Evidence `json:"evidence,omitempty" doc:"Of the vote, or of the slot while there is none."`
}

// Objection is a difference that an attestor found.
type Objection struct {
	Found    claim.Objection   `json:"found"`
	Evidence []report.Evidence `json:"evidence"`
}

// Payment is a payment of a data part.
type Payment struct {
	To       ledger.Account  `json:"to"`
	Amount   money.Amount    `json:"amount"`
	Page     int             `json:"page"`
	Evidence report.Evidence `json:"evidence"`
}

// Claim answers one settlement.
func (a *Auditor) Claim(ctx context.Context, n claim.Named) (answer Claim, err error) {
	if err := n.Validate(); err != nil {
		return answer, err
	}
	c, found, err := load[claim.Claim](ctx, a, claimKey(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "host %s has no settlement %s", n.Host, n.ID).At("id")
	}
	if err != nil {
		return answer, err
	}
	if answer.Asked, err = a.asked(ctx, "claim", "The receipts, leaves and texts: they are in the host's evidence store and with the consumers. Who attested has checked them, and signed that.",
		"Whether the host answered with the model that it names, where no receipt shows it."); err != nil {
		return answer, err
	}
	cards, err := a.cards(ctx, []item[claim.Claim]{c})
	if err != nil {
		return answer, err
	}
	answer.Settlement = settlementOf(c, cards[model.CardKey(c.value.Model)].value)
	answer.Quorum, answer.Attestors, answer.Revisions, answer.Decision = c.value.Quorum, c.value.Attestors, c.value.Revisions, c.value.Decision
	settled, err := a.origin(ctx, c.value.Tx, c.evidence)
	if err != nil {
		return answer, err
	}
	answer.Settlement.Evidence = []report.Evidence{settled}
	if answer.Steps, err = a.steps(ctx, c.key); err != nil {
		return answer, err
	}
	if answer.Votes, err = a.attestations(ctx, c.value, settled); err != nil {
		return answer, err
	}
	if o := c.value.Objection; o != nil {
		answer.Objection = &Objection{Found: *o}
		if answer.Objection.Evidence, err = a.transactions(ctx, o.Tx); err != nil {
			return answer, err
		}
	}
	if answer.Decision != "" {
		decided, found, err := load[proposal.Proposal](ctx, a, ledger.NewKey("proposal", answer.Decision))
		if err != nil {
			return answer, err
		}
		if found {
			answer.Decided = []report.Evidence{decided.evidence}
		}
	}
	return answer, a.payments(ctx, c, &answer)
}

func (a *Auditor) attestations(ctx context.Context, c claim.Claim, settled report.Evidence) ([]Attestation, error) {
	votes := []Attestation{}
	for _, msp := range c.Attestors {
		slot, found, err := load[claim.Slot](ctx, a, claimSlotKey(c.Named, msp))
		if err != nil {
			return nil, err
		}
		one := Attestation{Organisation: msp}
		if found {
			one.Evidence = &slot.evidence
		}
		if found && slot.value.By != "" {
			one.By, one.Table, one.Rate, one.Secret = slot.value.By, slot.value.Table.String(), slot.value.Rate, slot.value.Secret
			if one.Secret != "" {
				registered, err := a.book.Versions(ctx, ledger.NewKey("sampling", msp, one.Secret), 1)
				if err != nil {
					return nil, err
				}
				if len(registered) > 0 {
					s, err := decode[sampling.Secret](registered[0])
					if err != nil {
						return nil, err
					}
					one.Registered, one.Before = &s.evidence, earlier(s.evidence, settled)
				}
			}
		}
		votes = append(votes, one)
	}
	return votes, nil
}

// payments reads the credits that the pages of the data part wrote.
func (a *Auditor) payments(ctx context.Context, c item[claim.Claim], answer *Claim) error {
	answer.Payments = []Payment{}
	versions, err := a.book.Versions(ctx, c.key, disbursement.MaxPages+most)
	if err != nil {
		return err
	}
	page := 0
	for _, v := range versions {
		if v.Function != "claim:Release" {
			continue
		}
		page++
		tx, err := a.book.Transaction(ctx, v.Tx)
		if err != nil {
			return err
		}
		for _, w := range tx.Writes {
			kind, _, _ := w.Key.Split()
			if kind != "credit" || w.Deleted {
				continue
			}
			credit, err := decode[token.Credit](w)
			if err != nil {
				return err
			}
			if answer.Paid, err = answer.Paid.Add(credit.value.Amount); err != nil {
				return err
			}
			if len(answer.Payments) < most {
				answer.Payments = append(answer.Payments, Payment{credit.value.Owner, credit.value.Amount, page, credit.evidence})
			}
		}
	}
	slices.SortStableFunc(answer.Payments, func(x, y Payment) int { return cmp.Compare(x.Page, y.Page) })
	return nil
}

// Report is the answer to read.
func (c Claim) Report() report.Document {
	s := c.Settlement
	d := c.document("Settlement "+string(s.Host)+"/"+s.ID, report.Fact{Name: "rate card", Value: fmt.Sprintf("%s, card %d", s.Model.Named, s.Model.Card)}, report.Fact{Name: "state", Value: string(s.State)},
		report.Fact{Name: "uses", Value: fmt.Sprint(s.Uses)}, report.Fact{Name: "fees", Value: s.Fees.String() + " micro-credits"}, report.Fact{Name: "data part", Value: s.Data.String() + " micro-credits"})
	paid := &report.Table{Columns: []string{"paid at once to", "as", "micro-credits"}, None: "Nobody was paid at once."}
	for _, p := range s.Paid {
		paid.Add(s.Evidence, string(p.To), p.As, p.Amount.String())
	}
	votes := &report.Table{Columns: []string{"organisation", "attestor", "recomputed", "table found", "sample drawn by a secret that was registered before"}, None: "Nobody attests."}
	for _, v := range c.Votes {
		if v.By == "" {
			votes.Add(optional(v.Evidence), v.Organisation, "has not voted", "", "", "")
			continue
		}
		votes.Add(append(optional(v.Evidence), optional(v.Registered)...), v.Organisation, string(v.By), recomputed(v.Rate), v.Table, before(v))
	}
	others := report.Section{Title: fmt.Sprintf("Recomputation by others: a quorum of %d is needed", c.Quorum), Table: votes}
	for _, r := range c.Revisions {
		others.Say(s.Evidence, "Receipts must name revision %d of snapshot %d of %s, root %s.", r.Revision, r.Number, r.Datanet, r.Root)
	}
	disputes := report.Section{Title: "Objections"}
	if o := c.Objection; o != nil {
		disputes.Say(o.Evidence, "%s objected: %s in session %s at place %d; its report has the SHA-256 %s. From then on only the members decide.", o.Found.By, o.Found.Finding, o.Found.Session, o.Found.Place, o.Found.Difference.Evidence)
	} else {
		disputes.Say(nil, "Nobody has objected.")
	}
	if c.Decision != "" {
		disputes.Say(c.Decided, "The members named the table by proposal %s.", c.Decision)
	}
	pages := &report.Table{Columns: []string{"page", "paid to", "micro-credits"}, None: "Nothing of the data part was paid yet."}
	for _, p := range c.Payments {
		pages.Add([]report.Evidence{p.Evidence}, fmt.Sprint(p.Page), string(p.To), p.Amount.String())
	}
	steps := &report.Table{Columns: []string{"state", "when", "signed by"}}
	for _, one := range c.Steps {
		steps.Add([]report.Evidence{one.Evidence}, one.State, report.Time(one.Evidence.Time), one.Evidence.By)
	}
	d.Sections = append(d.Sections, report.Section{Title: "Fixed parts", Table: paid}, others, disputes,
		report.Section{Title: fmt.Sprintf("Data part: %v of %v micro-credits are paid", c.Paid, s.Data), Table: pages}, report.Section{Title: "Its states", Table: steps})
	return d
}

// recomputed is a rate of sampling to read.
func recomputed(rate int) string {
	if rate == 1_000_000 {
		return "all uses"
	}
	return ppm(uint32(rate)) + " of the uses"
}

func before(v Attestation) string {
	switch {
	case v.Secret == "":
		return "all were recomputed"
	case v.Before:
		return "yes: " + v.Secret
	}
	return "no: " + v.Secret
}
