package rules_test

import (
	"testing"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// trainingRequests are requests of B's user that its rules accept, from the seal of a datanet of B to a model, on
// contributions of Ann and of the user.
func trainingRequests(f *testing.F, c *rulestest.Consortium, user, ann ledger.Caller) map[string]any {
	pool := rulestest.B + "/sealed"
	c.Must(f, user, "datanet:Create", datanet.Create{Name: pool, Content: rulestest.Verse(c.Members()...)})
	approved := c.Approved(f, ann, pool, 3)
	mine := c.Approved(f, user, pool, 1)[0]
	c.Must(f, user, "seal:Append", seal.Append{Datanet: pool, Contributions: []string{approved[0].ID, approved[1].ID, mine.ID}})
	first := snapshot.Named{Datanet: pool, Number: 1}
	c.Must(f, user, "snapshot:Take", first)
	open := ticket.Open{ID: c.ID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research}
	c.Must(f, user, "ticket:Open", open)
	base := model.Register{Named: model.Named{Name: rulestest.B + "/base", Version: "1"}, Tickets: []string{open.ID}, Bases: []model.Named{},
		Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash, Purpose: licence.Research, Corpus: model.Corpus{Tokens: 12, Distinct: 3, Digest: rulestest.Hash}}
	c.Must(f, user, "model:Register", base)
	c.Must(f, ann, "erasure:Request", approved[1])

	// A's model, which the user is to host.
	theirs := rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	c.OpenAll(f, theirs)
	lending := rulestest.B + "/more"
	c.Must(f, user, "datanet:Create", datanet.Create{Name: lending, Content: rulestest.Verse(c.Members()...)})
	c.Must(f, user, "seal:Append", seal.Append{Datanet: lending, Contributions: []string{c.Approved(f, user, lending, 1)[0].ID}})
	c.Must(f, user, "snapshot:Take", snapshot.Named{Datanet: lending, Number: 1})
	grant := access.Named{Datanet: lending, ID: c.ID()}
	c.Must(f, user, "access:Grant", access.Terms{Named: grant, Grantee: rulestest.A, Purposes: []licence.Purpose{licence.Research}, Expires: c.Clock.AddDate(1, 0, 0)})
	lent := ticket.Open{ID: c.ID(), Snapshots: []snapshot.Named{{Datanet: lending, Number: 1}}, Purpose: licence.Research, Grants: []ticket.GrantName{ticket.GrantName(grant)}}
	c.Must(f, theirs, "ticket:Open", lent)
	hosted := base
	hosted.Name, hosted.Tickets, hosted.Corpus = rulestest.A+"/hosted", []string{lent.ID}, model.Corpus{Tokens: 4, Distinct: 3, Digest: rulestest.Hash}
	c.Must(f, theirs, "model:Register", hosted)
	c.Must(f, theirs, "model:Publish", model.Publish{Named: hosted.Named, Card: 1, PriceIn: 1, Host: user.Account(), HostPpm: 100_000, OwnerPpm: 150_000})

	again := open
	again.ID, again.Country = c.ID(), "IR"
	tuned := base
	tuned.Name, tuned.Tickets, tuned.Bases = rulestest.B+"/tuned", []string{}, []model.Named{base.Named}
	tuned.External = []model.External{{Name: "example.org/small", Licence: "Apache-2.0", Digest: rulestest.Hash}}
	return map[string]any{
		"seal:Append":        seal.Append{Datanet: pool, From: 3, Contributions: []string{approved[2].ID}},
		"seal:Retire":        seal.Retire{Datanet: pool, Contributions: []string{approved[1].ID}},
		"seal:Page":          seal.PageName{Datanet: pool},
		"seal:Place":         approved[0],
		"seal:Missing":       contribution.Listing{Datanet: pool},
		"snapshot:Take":      first,
		"snapshot:Revise":    first,
		"snapshot:Revisions": snapshot.RevisionListing{Named: first, PageRequest: ledger.PageRequest{Limit: 1}},
		"snapshot:Prove":     snapshot.Inclusion{Named: first, Contribution: mine.ID},
		"snapshot:Gone":      snapshot.Leavers{Named: first},
		"snapshot:Stale":     snapshot.Listing{Datanet: pool},
		"ticket:Open":        open,
		"ticket:Close":       ticket.Named{ID: open.ID},
		"model:Register":     tuned,
		"model:Publish": model.Publish{Named: base.Named, Card: 1, PriceIn: 1, PriceOut: 5, Host: user.Account(),
			HostPpm: 100_000, OwnerPpm: 150_000},
		"model:Accept":        model.CardName{Named: hosted.Named, Card: 1},
		"model:Consent":       model.CardName{Named: hosted.Named},
		"model:Lineage":       model.Ancestry{Named: base.Named, Depth: 2},
		"model:Downstream":    model.Impact{Datanet: pool, Contribution: mine.ID},
		"erasure:Request":     mine,
		"erasure:Acknowledge": approved[1],
		"erasure:Affected":    erasure.Reach{Named: approved[1]},
	}
}
