package question

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// firstPage is a page of the standard length, from the beginning.
var firstPage = ledger.PageRequest{}

// Unused answers which data was released for training and is cited by no model.
type Unused struct {
	Asked
	Tickets []Idle `json:"tickets" doc:"Of this page, those that no model cites."`
	Looked  int    `json:"looked" doc:"How many tickets this page looked at."`
	Next    string `json:"next" doc:"The cursor of the next page, empty at the end."`
}

// Idle is a ticket that no model cites, and what was released under it.
type Idle struct {
	ID        string          `json:"id"`
	Trainer   ledger.Account  `json:"trainer"`
	Purpose   licence.Purpose `json:"purpose"`
	State     ticket.State    `json:"state"`
	Expires   *time.Time      `json:"expires,omitempty"`
	Snapshots []string        `json:"snapshots" doc:"Of datanets, as datanet@number."`
	Releases  []Release       `json:"releases"`
	Evidence  report.Evidence `json:"evidence"`
}

// maxIdle is the standard length of a page of tickets: the releases under each are looked up.
const maxIdle = 50

// Unused answers a page of the tickets, the oldest first.
func (a *Auditor) Unused(ctx context.Context, page ledger.PageRequest) (answer Unused, err error) {
	if answer.Asked, err = a.asked(ctx, "unused", "Whether a trainer has used data for something that was never registered.",
		"Which released data no answer of a model has quoted: receipts are held by hosts and consumers."); err != nil {
		return answer, err
	}
	answer.Tickets = []Idle{}
	if page.Limit == 0 {
		page.Limit = maxIdle
	}
	tickets, next, err := find[ticket.Ticket](ctx, a, index.Filter{Kind: "ticket", Order: index.Oldest}, page)
	if err != nil {
		return answer, err
	}
	answer.Looked, answer.Next = len(tickets), next
	for _, t := range tickets {
		if len(t.value.Models) > 0 {
			continue
		}
		idle := Idle{ID: t.value.ID, Trainer: t.value.Trainer, Purpose: t.value.Purpose, State: t.value.State, Snapshots: []string{}, Releases: []Release{}, Evidence: t.evidence}
		if !t.value.Expires.IsZero() {
			idle.Expires = &t.value.Expires
		}
		for _, s := range t.value.Sources {
			idle.Snapshots = append(idle.Snapshots, fmt.Sprintf("%s@%d", s.Datanet, s.Number))
		}
		released, _, err := all[access.Release](ctx, a, index.Filter{Kind: "release", Parent: ticket.Key(t.value.ID)})
		if err != nil {
			return answer, err
		}
		for _, r := range released {
			idle.Releases = append(idle.Releases, Release{Release: r.value.ID, Datanet: r.value.Datanet, Snapshot: r.value.Snapshot, By: r.value.By, To: r.value.To, Reason: r.value.Reason, Evidence: r.evidence})
		}
		answer.Tickets = append(answer.Tickets, idle)
	}
	return answer, nil
}

// Report is the answer to read.
func (u Unused) Report() report.Document {
	d := u.document("Data released for training and cited by no model", report.Fact{Name: "tickets looked at", Value: fmt.Sprint(u.Looked)})
	t := &report.Table{Columns: []string{"ticket", "trainer", "purpose", "state", "snapshots", "released"}, None: "Every ticket of this page is cited by a model."}
	for _, one := range u.Tickets {
		found := []report.Evidence{one.Evidence}
		what := "nothing"
		for i, r := range one.Releases {
			found = append(found, r.Evidence)
			if i == 0 {
				what = ""
			} else {
				what += "; "
			}
			what += fmt.Sprintf("%s to %s on %s", r.Datanet, r.To, report.Time(r.Evidence.Time))
		}
		t.Add(found, one.ID, string(one.Trainer), string(one.Purpose), string(one.State), strings.Join(one.Snapshots, ", "), what)
	}
	if u.Next != "" {
		t.More = further(u.Next)
	}
	d.Sections = append(d.Sections, report.Section{Title: "Tickets without a model", Table: t})
	return d
}
