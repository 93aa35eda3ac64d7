package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
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

// otherRequests are well-formed requests of B's user to all other functions. Some the rules refuse as things stand.
func otherRequests(f *testing.F, c *rulestest.Consortium, user ledger.Caller, accepted map[string]any) map[string]any {
	pool := accepted["seal:Append"].(seal.Append).Datanet
	of := contribution.Named{Datanet: pool, ID: accepted["seal:Append"].(seal.Append).Contributions[0]}
	first := accepted["snapshot:Take"].(snapshot.Named)
	base := accepted["model:Lineage"].(model.Ancestry).Named
	c.Mint(f, user, 1_000)
	var page ledger.Page[token.Credit]
	require.NoError(f, ledger.DecodeAnswer(c.Must(f, user, "token:Credits", token.Listing{Account: user.Account()}), &page))
	source := token.Source{Credits: []string{page.Items[0].ID}, Apart: true}
	params, err := ledger.Encode(token.Mint{To: user.Account(), Amount: 1})
	require.NoError(f, err)
	content := proposal.Content{ID: c.ID(), Kind: "token.mint", Params: params, Expires: c.Clock.Add(2 * time.Hour)}
	c.Must(f, user, "proposal:Propose", content)
	digest, err := content.Digest()
	require.NoError(f, err)
	another := content
	another.ID = c.ID()
	grant := access.Named{Datanet: pool, ID: c.ID()}
	c.Must(f, user, "access:Grant", access.Terms{Named: grant, Grantee: rulestest.C, Purposes: []licence.Purpose{licence.Research}, Expires: c.Clock.AddDate(1, 0, 0)})
	handover := access.Handover{Named: access.Named{Datanet: pool, ID: c.ID()}, Contributions: []string{of.ID}, To: user.Account(), Reason: access.Holding}
	epoch := contribution.Revise{Datanet: pool, ID: of.ID, Revision: 2, Content: c.Poem()}
	replicas := replica.Offer{Named: replica.Named{Datanet: pool, ID: c.ID()}, Keeper: rulestest.C}
	c.Must(f, user, "replica:Offer", replicas)
	payment, limit := token.Payment{To: ledger.NewAccount(rulestest.A, "ann"), Amount: 5}, ledger.PageRequest{Limit: 2}
	redemption := token.RedemptionName{Account: user.Account(), ID: c.ID()}
	return map[string]any{
		"member:Found": ledger.Nothing{}, "member:List": ledger.Nothing{},
		"account:Open": ledger.Nothing{}, "account:Refresh": ledger.Nothing{}, "account:Get": account.Named{Account: user.Account()},
		"account:List": account.Listing{MSP: rulestest.B, PageRequest: limit}, "account:Roles": account.History{Account: user.Account()},
		"schedule:Get": ledger.Nothing{}, "schedule:Versions": limit,
		"proposal:Propose": another, "proposal:Approve": proposal.Approval{ID: content.ID, Digest: digest}, "proposal:Withdraw": proposal.Named{ID: content.ID},
		"proposal:Execute": proposal.Named{ID: content.ID}, "proposal:Expire": proposal.Named{ID: content.ID}, "proposal:Get": proposal.Named{ID: content.ID},
		"proposal:List":  limit,
		"token:Transfer": token.Transfer{ID: c.ID(), Payment: payment, Source: source}, "token:TransferBatch": token.Batch{ID: c.ID(), Payments: []token.Payment{payment}, Source: source},
		"token:Fold": token.Fold{ID: c.ID(), Credits: source.Credits}, "token:Redeem": token.Redeem{ID: redemption.ID, Amount: 1, Source: source},
		"token:Acknowledge": token.Acknowledgement{RedemptionName: redemption, Reference: "R-1"}, "token:Return": redemption,
		"token:Balance": token.Owned{Account: user.Account()}, "token:Credits": token.Listing{Account: user.Account(), PageRequest: limit},
		"token:Statement": token.Listing{Account: user.Account()}, "token:Redemptions": token.RedemptionListing{Account: user.Account()}, "token:Mints": limit,
		"datanet:Get": datanet.Named{Name: pool}, "datanet:Versions": datanet.Listing{Name: pool}, "datanet:List": limit,
		"contribution:Revise": epoch, "contribution:Withdraw": of, "contribution:Refingerprint": contribution.Refingerprint{Named: of, Fingerprint: epoch.Fingerprint},
		"contribution:List": contribution.Listing{Datanet: pool, PageRequest: limit}, "contribution:Epoch": ledger.Nothing{}, "contribution:Fingerprint": epoch.Fingerprint,
		"approval:Finalise": of, "approval:Votes": of, "approval:History": approval.Listing{Named: of, PageRequest: limit},
		"replica:Offer": replicas, "replica:Accept": replicas.Named, "replica:End": replicas.Named, "replica:Get": replicas.Named,
		"replica:List":  replica.Listing{Datanet: pool, PageRequest: limit},
		"access:Revoke": grant, "access:Expire": grant, "access:GetGrant": grant, "access:Grants": access.Listing{Datanet: pool, PageRequest: limit},
		"access:Release": handover, "access:GetRelease": handover.Named, "access:Releases": access.Listing{Datanet: pool},
		"access:ReleasesOf": access.OfContribution{Named: of}, "access:SnapshotReleases": access.Listing{Datanet: pool, PageRequest: limit},
		"seal:Get": seal.Named{Datanet: pool}, "seal:Left": contribution.Listing{Datanet: pool, PageRequest: limit},
		"snapshot:Get": first, "snapshot:List": snapshot.Listing{Datanet: pool, PageRequest: limit},
		"ticket:Expire": accepted["ticket:Close"], "ticket:Get": accepted["ticket:Close"], "ticket:List": limit,
		"model:Retire": base, "model:Get": base, "model:List": limit, "model:Card": model.CardName{Named: base}, "model:Cards": model.CardListing{Named: base, PageRequest: limit},
		"erasure:Complete": accepted["erasure:Acknowledge"], "erasure:Get": accepted["erasure:Acknowledge"],
		"erasure:List": contribution.Listing{Datanet: pool, PageRequest: limit},
	}
}
