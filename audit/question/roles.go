package question

import (
	"context"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Roles answers who held which role when, and every breach of the separation of duties.
type Roles struct {
	Asked
	Held     []Held         `json:"held" doc:"Roles that certificates have shown, by account."`
	Next     string         `json:"next" doc:"The account after which the next page begins, empty at the end."`
	Breaches []Breach       `json:"breaches"`
	Account  ledger.Account `json:"account,omitzero" doc:"The one account that was asked about: breaches are then those that it signed."`
	Looked   int            `json:"looked" doc:"How many proposals were looked through for a proposer who approved, the latest first."`
	More     bool           `json:"more" doc:"There are earlier proposals, or more breaches, than were looked through."`
}

// Held is that an account's certificates have shown roles.
type Held struct {
	Account ledger.Account   `json:"account"`
	Roles   []ledger.Role    `json:"roles"`
	First   report.Evidence  `json:"first" doc:"The first transaction that was signed so."`
	Last    *report.Evidence `json:"last,omitempty" doc:"The last one; missing when it came after the height."`
	Note    string           `json:"note,omitzero" doc:"Roles that an organisation may want to keep apart."`
}

// Breach is something that the separation of duties forbids.
type Breach struct {
	What     string            `json:"what"`
	Evidence []report.Evidence `json:"evidence"`
}

var breachWords = map[string]string{
	index.OwnValidation:  "the contributor's own organisation may vote on the contribution",
	index.WeakQuorum:     "half of those who may vote, or fewer, decide on the contribution",
	index.ForeignSlot:    "an account of another organisation filled the slot",
	index.OwnAttestation: "the host's organisation attested its own settlement",
	index.OwnRedemption:  "the issuer acknowledged a payment to itself",
}

// Roles answers for one account, or ("") for all, page by page.
func (a *Auditor) Roles(ctx context.Context, account ledger.Account, page ledger.PageRequest) (answer Roles, err error) {
	if account != "" {
		if err := account.Validate("account"); err != nil {
			return answer, err
		}
	}
	if answer.Asked, err = a.asked(ctx, "roles", "Roles of certificates that signed nothing here: an organisation's authority issues them, and the ledger sees a certificate when it signs.",
		"Who stands behind an account: only its organisation knows.",
		"Whether each transaction's function was open to these roles: audit verify runs the rules again over every block and finds what they do not allow."); err != nil {
		return answer, err
	}
	size, err := page.Size()
	if err != nil {
		return answer, err
	}
	answer.Account = account
	shown, next, err := a.shown(ctx, account, ledger.Account(page.Cursor), size)
	if err != nil {
		return answer, err
	}
	answer.Held, answer.Breaches, answer.Next = []Held{}, []Breach{}, string(next)
	for _, s := range shown {
		answer.Held = append(answer.Held, heldOf(s))
	}
	breaches, err := a.book.Breaches(ctx, most)
	if err != nil {
		return answer, err
	}
	answer.More = len(breaches) == most
	for _, b := range breaches {
		if e := evidence(b.Entry); account == "" || e.By == string(account) {
			answer.Breaches = append(answer.Breaches, Breach{fmt.Sprintf("%s: %s.", b.Key, breachWords[b.Why]), []report.Evidence{e}})
		}
	}
	return answer, a.approvedByProposer(ctx, account, &answer)
}

// shown is a page of roles, and the account after which the next one begins. An account's roles stand on one page.
func (a *Auditor) shown(ctx context.Context, account, after ledger.Account, size int) (list []index.Shown, next ledger.Account, err error) {
	if account != "" {
		list, err = a.book.Shown(ctx, account, "", most)
		return list, "", err
	}
	if list, err = a.book.Shown(ctx, "", after, size); err != nil || len(list) < size {
		return list, "", err
	}
	last := list[size-1].Account
	whole, err := a.book.Shown(ctx, last, "", most)
	if err != nil {
		return nil, "", err
	}
	list = slices.DeleteFunc(list, func(s index.Shown) bool { return s.Account == last })
	return append(list, whole...), last, nil
}

func heldOf(s index.Shown) Held {
	held := Held{Account: s.Account, Roles: s.Roles, First: written(s.First), Note: together(s.Roles)}
	if s.Last.Tx != "" {
		last := written(s.Last)
		held.Last = &last
	}
	return held
}

// until is when roles were shown last.
func (h Held) until() string {
	if h.Last == nil {
		return "after this height"
	}
	return report.Time(h.Last.Time)
}

// together notes roles of one account that check on each other.
func together(roles []ledger.Role) string {
	for _, pair := range [][2]ledger.Role{{ledger.Validator, ledger.Contributor}, {ledger.Validator, ledger.Curator}, {ledger.Validator, ledger.Host}} {
		if slices.Contains(roles, pair[0]) && slices.Contains(roles, pair[1]) {
			return fmt.Sprintf("%s and %s in one hand; the rules allow it, since votes are independent by organisation", pair[0], pair[1])
		}
	}
	return ""
}

// approvedByProposer looks for approvals by the proposer itself.
func (a *Auditor) approvedByProposer(ctx context.Context, account ledger.Account, answer *Roles) error {
	proposals, whole, err := all[proposal.Proposal](ctx, a, index.Filter{Kind: "proposal", Account: string(account), Order: index.Newest})
	if err != nil {
		return err
	}
	answer.Looked, answer.More = len(proposals), answer.More || !whole
	var keys []ledger.Key
	for _, p := range proposals {
		keys = append(keys, ledger.NewKey("proposal-slot", p.value.ID, p.value.Proposer.MSP()))
	}
	slots, err := loadAll[proposal.Slot](ctx, a, keys)
	if err != nil {
		return err
	}
	for i, p := range proposals {
		if slot, there := slots[keys[i]]; there && slot.value.Approver == p.value.Proposer {
			answer.Breaches = append(answer.Breaches, Breach{fmt.Sprintf("%s approved the own proposal %s.", p.value.Proposer, p.value.ID), []report.Evidence{p.evidence, slot.evidence}})
		}
	}
	return nil
}

// Report is the answer to read.
func (r Roles) Report() report.Document {
	d := r.document("Roles and separation of duties", report.Fact{Name: "proposals looked through", Value: fmt.Sprint(r.Looked)})
	held := &report.Table{Columns: []string{"account", "roles", "first seen", "last seen", "note"}, None: "No certificate of such an account has signed anything."}
	for _, h := range r.Held {
		held.Add(append([]report.Evidence{h.First}, optional(h.Last)...), string(h.Account), orNone(join(h.Roles)), report.Time(h.First.Time), h.until(), h.Note)
	}
	if r.Next != "" {
		held.More = further(r.Next)
	}
	breaches := report.Section{Title: "Breaches of the separation of duties"}
	switch {
	case len(r.Breaches) > 0:
	case r.Account != "":
		breaches.Say(nil, "None that %s signed: it filled no slot of another organisation, attested no settlement of its own organisation, redeemed nothing of its own as the issuer, submitted nothing on which its own organisation may vote, and approved none of its %s.", r.Account, report.Count(r.Looked, "proposal"))
	default:
		breaches.Say(nil, "None: no organisation may vote on its own contributions, every slot that is filled was filled by its own organisation, no host attested its own settlement, nobody approved their own among %s, and the issuer redeemed nothing of its own.", report.Count(r.Looked, "proposal"))
	}
	for _, b := range r.Breaches {
		breaches.Say(b.Evidence, "%s", b.What)
	}
	if r.More {
		breaches.Say(nil, "There are more proposals, or breaches, than were looked through.")
	}
	d.Sections = append(d.Sections, breaches, report.Section{Title: "Who held which role when", Table: held})
	return d
}
