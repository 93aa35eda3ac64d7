package integration_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	pools "github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/integration/story"
	"github.com/datanet-consortium/datanet/network"
)

// noRole is the role of users whose certificate has none.
const noRole ledger.Role = "none"

// withCells adds to every organisation, the regulator too, one user for each role and one without: any CA can issue
// itself any role.
func withCells(t *network.Topology) {
	add := func(org *network.Organization) {
		for _, role := range ledger.Roles {
			org.Users = append(org.Users, network.User{Name: cell(role), Roles: []network.Role{role}})
		}
		org.Users = append(org.Users, network.User{Name: cell(noRole)})
	}
	for i := range t.Members {
		add(&t.Members[i])
	}
	add(&t.Regulator)
}

func cell(role ledger.Role) string { return "cell-" + string(role) }

func TestAccessOnMemledger(t *testing.T) {
	topology, err := parse(config.BFT)
	require.NoError(t, err)
	withCells(topology)
	m, err := story.NewMemory(topology)
	require.NoError(t, err)
	tryEveryCell(t, m)
}

// tryEveryCell calls every function as every role of every kind of organisation, and compares with the table.
func tryEveryCell(t *testing.T, b story.Backend) {
	requests := prepareCells(t, b)
	table := accessTable(t)
	for _, f := range rules.New(nil).Functions() {
		row, ok := table[f.Name]
		require.True(t, ok, "%s has no row in the table", f.Name)
		if f.Query {
			require.Equal(t, []string{"all", "all", "all"}, row[:3], "%s: a query is for everyone, the regulator too", f.Name)
		} else {
			require.Equal(t, "-", row[2], "%s: the regulator writes nothing", f.Name)
		}
		require.Contains(t, requests, f.Name)
		document, err := ledger.Encode(requests[f.Name])
		require.NoError(t, err)
		for column, msp := range []string{poets, library, regulator} {
			for _, role := range append(slices.Clone(ledger.Roles), noRole) {
				outcome, err := b.Evaluate(t.Context(), story.Call{User: story.User{Name: cell(role), MSP: msp}, Function: f.Name, Document: document})
				require.NoError(t, err)
				got := "ok"
				if outcome.Fault != nil {
					got = string(outcome.Fault.Code)
				} else if outcome.Refused != "" {
					got = outcome.String()
				}
				want := string(ledger.CodeForbidden)
				if admits(row[column], role) {
					want = row[3]
				}
				require.Equal(t, want, got, "%s by %s of %s: %s", f.Name, role, msp, outcome)
			}
		}
		delete(table, f.Name)
	}
	require.Empty(t, table, "rows of functions that do not exist")
}

func admits(cell string, role ledger.Role) bool {
	switch cell {
	case "all":
		return true
	case "any":
		return role != noRole
	}
	return slices.Contains(strings.Split(cell, ","), string(role))
}

func accessTable(t *testing.T) map[string][]string {
	file, err := os.Open("testdata/access.txt")
	require.NoError(t, err)
	defer file.Close()
	table := map[string][]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		require.Len(t, fields, 5, "%q", lines.Text())
		table[fields[0]] = fields[1:]
	}
	return table
}

// prepareCells brings the ledger into a state in which the right caller of each function succeeds, and returns the
// request that it would send.
func prepareCells(t *testing.T, b story.Backend) map[string]any {
	submit := func(user story.User, function string, request any) {
		t.Helper()
		document, err := ledger.Encode(request)
		require.NoError(t, err)
		outcome, err := b.Submit(t.Context(), story.Call{User: user, Function: function, Document: document})
		require.NoError(t, err)
		require.Equal(t, "success", outcome.String(), "%s by %s", function, user)
	}
	expires := b.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	propose := func(by story.User, kind string, params any) (proposal.Content, proposal.Approval) {
		t.Helper()
		raw, err := ledger.Encode(params)
		require.NoError(t, err)
		content := proposal.Content{ID: freshID(), Kind: kind, Params: raw, Expires: expires}
		digest, err := content.Digest()
		require.NoError(t, err)
		submit(by, "proposal:Propose", content)
		return content, proposal.Approval{ID: content.ID, Digest: digest}
	}
	approve := func(approval proposal.Approval) {
		t.Helper()
		submit(operator(2, lab), "proposal:Approve", approval)
		submit(operator(2, poets), "proposal:Approve", approval)
	}
	poet := func(role ledger.Role) story.User { return story.User{Name: cell(role), MSP: poets} }
	payee := story.User{Name: "consumer1", MSP: lab}

	submit(operator(1, lab), "member:Found", ledger.Nothing{})
	for _, msp := range []string{poets, library} {
		for _, role := range ledger.Roles {
			submit(story.User{Name: cell(role), MSP: msp}, "account:Open", ledger.Nothing{})
		}
	}
	submit(payee, "account:Open", ledger.Nothing{})
	decide := func(kind string, params any) {
		t.Helper()
		content, approval := propose(operator(1, lab), kind, params)
		approve(approval)
		submit(operator(1, lab), "proposal:Execute", proposal.Named{ID: content.ID})
	}
	fees := schedule.Schedule{Platform: accountOf(poet(ledger.Operator)), PlatformPpm: 50_000, Issuer: accountOf(poet(ledger.Operator))}
	decide("schedule.set", fees)
	mint := token.Mint{To: accountOf(payee), Amount: 1000}
	decide("token.mint", mint)
	rawMint, err := ledger.Encode(mint)
	require.NoError(t, err)
	credits, err := b.Evaluate(t.Context(), story.Call{User: payee, Function: "token:Credits",
		Document: []byte(`{"account":"` + string(accountOf(payee)) + `"}`)})
	require.NoError(t, err)
	var page ledger.Page[token.Credit]
	require.NoError(t, ledger.DecodeAnswer(credits.Response, &page))
	source := token.Source{Credits: []string{page.Items[0].ID}}
	redeemed := token.RedemptionName{Account: accountOf(payee), ID: freshID()}
	submit(payee, "token:Redeem", token.Redeem{ID: redeemed.ID, Amount: 10, Source: source})

	_, open := propose(operator(1, lab), "token.mint", mint)
	own, _ := propose(poet(ledger.Operator), "token.mint", mint)
	ready, consent := propose(operator(1, lab), "token.mint", mint)
	approve(consent)

	decide("fingerprint.rotate", contribution.Rotation{Check: freshID() + freshID()})
	epoch := ask[contribution.Epoch](t, b, payee, "contribution:Epoch", ledger.Nothing{}).Epoch
	collection := datanet.Create{Name: poets + "/verse-" + freshID()[:8], Content: verse("Verse")}
	submit(poet(ledger.Curator), "datanet:Create", collection)
	contribute := func() contribution.Submit {
		s := contribution.Submit{Datanet: collection.Name, ID: freshID(), Content: poem(epoch)}
		submit(poet(ledger.Contributor), "contribution:Submit", s)
		return s
	}
	decided := func(choice approval.Choice) contribution.Submit {
		s := contribute()
		n := contribution.Named{Datanet: collection.Name, ID: s.ID}
		for _, msp := range []string{lab, library} {
			submit(story.User{Name: "validator1", MSP: msp}, "approval:Vote", voteOn(n, choice))
		}
		submit(payee, "approval:Finalise", n)
		return s
	}
	pending, approved, rejected := contribute(), decided(approval.Approve), decided(approval.Reject)
	pendingName := contribution.Named{Datanet: collection.Name, ID: pending.ID}
	approvedName := contribution.Named{Datanet: collection.Name, ID: approved.ID}
	doomed := contribute()
	erasing := contribution.Named{Datanet: collection.Name, ID: doomed.ID}
	submit(poet(ledger.Contributor), "erasure:Request", erasing)
	hash := strings.Repeat("ab", 32)
	grant := access.Terms{Named: access.Named{Datanet: collection.Name, ID: freshID()}, Grantee: library, Purposes: []licence.Purpose{licence.Research}, Expires: expires}
	submit(poet(ledger.Curator), "access:Grant", grant)
	replicas := replica.Offer{Named: replica.Named{Datanet: collection.Name, ID: freshID()}, Keeper: library}
	submit(poet(ledger.Curator), "replica:Offer", replicas)
	handover := access.Handover{Named: access.Named{Datanet: collection.Name, ID: freshID()}, Contributions: []string{pending.ID},
		To: ledger.NewAccount(lab, "validator1"), Reason: access.Validation}
	submit(poet(ledger.Operator), "access:Release", handover)
	another := handover
	another.ID = freshID()
	fresh := contribution.Submit{Datanet: collection.Name, ID: freshID(), Content: poem(epoch)}
	sealed := seal.Append{Datanet: collection.Name, Contributions: []string{approved.ID}}
	submit(poet(ledger.Curator), "seal:Append", sealed)
	first := snapshot.Named{Datanet: collection.Name, Number: 1}
	submit(poet(ledger.Curator), "snapshot:Take", first)
	cited := ticket.Open{ID: freshID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research}
	submit(poet(ledger.Trainer), "ticket:Open", cited)
	trained := model.Register{Named: model.Named{Name: poets + "/chain-" + freshID()[:8], Version: "1"}, Tickets: []string{cited.ID}, Bases: []model.Named{},
		Artifacts: []string{hash}, Manifest: hash, Purpose: licence.Research, Corpus: model.Corpus{Tokens: 4, Distinct: 3, Digest: hash}}
	submit(poet(ledger.Trainer), "model:Register", trained)
	card := model.Publish{Named: trained.Named, Card: 1, PriceIn: 10, PriceOut: 20, Host: accountOf(poet(ledger.Host)), HostPpm: 100_000, OwnerPpm: 150_000}
	submit(poet(ledger.Trainer), "model:Publish", card)
	offered := card
	offered.Card, offered.Host = 2, ledger.NewAccount(library, cell(ledger.Host))
	submit(poet(ledger.Trainer), "model:Publish", offered)

	spender := accountOf(poet(ledger.Consumer))
	decide("token.mint", token.Mint{To: spender, Amount: 500_000})
	purse := ask[ledger.Page[token.Credit]](t, b, payee, "token:Credits", token.Listing{Account: spender})
	inForce := ask[model.Card](t, b, payee, "model:Card", model.CardName{Named: trained.Named})
	spending := newSpendingKey(t)
	opened := session.Open{Name: freshID(), Source: token.Source{Credits: []string{purse.Items[0].ID}}, Terms: session.Terms{
		Model: model.CardName{Named: trained.Named, Card: 1}, Card: inForce.Digest, Host: inForce.Host, Key: spending.key(t), Window: 4,
		Expires: expires, Grace: use.MinGrace, Disclosure: use.DiscloseSample, Escrow: 500_000}}
	submit(poet(ledger.Consumer), "session:Open", opened)
	prepaid := session.Named{Account: spender, Name: opened.Name}
	paid := ask[session.Detail](t, b, payee, "session:Get", prepaid)
	settlement := func(n int64, amount money.Amount) claim.Settle {
		return claim.Settle{ID: freshID(), Model: opened.Model, Card: inForce.Digest, Sessions: []session.Presented{spending.present(t, paid.Session, n, amount)}}
	}
	sealedSecret := sampling.Named{MSP: poets, ID: freshID()}
	submit(poet(ledger.Operator), "sampling:Register", sampling.Register{ID: sealedSecret.ID, Commitment: inForce.Digest})
	settled := settlement(1, 10_000)
	submit(poet(ledger.Host), "claim:Settle", settled)
	claimed := claim.Named{Host: accountOf(poet(ledger.Host)), ID: settled.ID}
	due := ask[claim.Detail](t, b, payee, "claim:Get", claimed)
	payments := disbursement.Page{Number: 1, Due: due.Left, Payments: []token.Payment{{To: accountOf(payee), Amount: due.Left}}}
	table, err := payments.Digest()
	require.NoError(t, err)
	unspent := opened
	unspent.Name, unspent.Escrow, unspent.Source = freshID(), 0, token.Source{}
	payingOut := pools.Named{Datanet: collection.Name, ID: freshID()}
	decide("pool.pay", pools.Pay{Named: payingOut, Amount: due.Left, Table: table})
	collected := ask[ledger.Page[token.Credit]](t, b, payee, "token:Credits", token.Listing{Account: ledger.PoolAccount(collection.Name)})

	someID, again := freshID(), expires
	payment := token.Payment{To: accountOf(payee), Amount: 1_000_000}
	return map[string]any{
		"member:Found": ledger.Nothing{}, "member:List": ledger.Nothing{},
		"account:Open": ledger.Nothing{}, "account:Get": account.Named{Account: accountOf(payee)}, "account:List": account.Listing{MSP: poets},
		"account:Refresh": ledger.Nothing{}, "account:Roles": account.History{Account: accountOf(payee)},
		"schedule:Get":        ledger.Nothing{},
		"schedule:Versions":   ledger.PageRequest{},
		"proposal:Propose":    proposal.Content{ID: someID, Kind: "token.mint", Params: rawMint, Expires: again},
		"proposal:Approve":    open,
		"proposal:Withdraw":   named(own.ID),
		"proposal:Execute":    named(ready.ID),
		"proposal:Expire":     named(own.ID),
		"proposal:Get":        named(own.ID),
		"proposal:List":       ledger.PageRequest{Limit: 1},
		"token:Transfer":      token.Transfer{ID: someID, Payment: payment},
		"token:TransferBatch": token.Batch{ID: someID, Payments: []token.Payment{payment}},
		"token:Fold":          token.Fold{ID: someID, Credits: []string{hash}},
		"token:Redeem":        token.Redeem{ID: someID, Amount: 1},
		"token:Acknowledge":   token.Acknowledgement{RedemptionName: redeemed, Reference: "R-1"},
		"token:Return":        redeemed,
		"token:Balance":       token.Owned{Account: accountOf(payee)},
		"token:Credits":       token.Listing{Account: accountOf(payee)},
		"token:Statement":     token.Listing{Account: accountOf(payee)},
		"token:Redemptions":   token.RedemptionListing{},
		"token:Mints":         ledger.PageRequest{},
		"datanet:Create":      collection, "datanet:Get": datanet.Named{Name: collection.Name}, "datanet:List": ledger.PageRequest{},
		"datanet:Amend":   datanet.Amend{Name: collection.Name, Version: 2, Content: verse("Other verse")},
		"datanet:Retire":  datanet.Named{Name: collection.Name},
		"datanet:Version": datanet.VersionName{Name: collection.Name, Version: 1}, "datanet:Versions": datanet.Listing{Name: collection.Name},
		"contribution:Submit":        fresh,
		"contribution:SubmitBatch":   contribution.SubmitBatch{Items: []contribution.Submit{fresh}},
		"contribution:Revise":        contribution.Revise{Datanet: collection.Name, ID: rejected.ID, Revision: 2, Content: poem(epoch)},
		"contribution:Withdraw":      pendingName,
		"contribution:Refingerprint": contribution.Refingerprint{Named: pendingName, Fingerprint: pending.Fingerprint},
		"contribution:Epoch":         ledger.Nothing{},
		"contribution:Fingerprint":   pending.Fingerprint,
		"contribution:Get":           approvedName,
		"contribution:List":          contribution.Listing{Datanet: collection.Name},
		"approval:Vote":              voteOn(pendingName, approval.Approve),
		"approval:VoteBatch":         approval.VoteBatch{Items: []approval.Vote{voteOn(pendingName, approval.Approve)}},
		"approval:Finalise":          pendingName,
		"approval:FinaliseBatch":     approval.FinaliseBatch{Items: []contribution.Named{pendingName}},
		"approval:Votes":             approvedName,
		"approval:History":           approval.Listing{Named: approvedName},
		"replica:Offer":              replicas,
		"replica:Accept":             replicas.Named,
		"replica:End":                replicas.Named,
		"replica:Get":                replicas.Named,
		"replica:List":               replica.Listing{Datanet: collection.Name},
		"access:Grant":               grant,
		"access:Revoke":              grant.Named,
		"access:Expire":              grant.Named,
		"access:GetGrant":            grant.Named,
		"access:Grants":              access.Listing{Datanet: collection.Name},
		"access:Release":             another,
		"access:GetRelease":          handover.Named,
		"access:Releases":            access.Listing{Datanet: collection.Name},
		"access:ReleasesOf":          access.OfContribution{Named: pendingName},
		"access:SnapshotReleases":    access.Listing{Datanet: collection.Name},
		"access:Holders":             pendingName,
		"seal:Append":                sealed, "seal:Retire": seal.Retire{Datanet: collection.Name, Contributions: []string{approved.ID}},
		"seal:Get": seal.Named{Datanet: collection.Name}, "seal:Page": seal.PageName{Datanet: collection.Name}, "seal:Place": approvedName,
		"seal:Missing": contribution.Listing{Datanet: collection.Name}, "seal:Left": contribution.Listing{Datanet: collection.Name},
		"snapshot:Take": first, "snapshot:Revise": first, "snapshot:Get": first, "snapshot:Gone": snapshot.Leavers{Named: first},
		"snapshot:List": snapshot.Listing{Datanet: collection.Name}, "snapshot:Stale": snapshot.Listing{Datanet: collection.Name},
		"snapshot:Revisions": snapshot.RevisionListing{Named: first},
		"snapshot:Prove":     snapshot.Inclusion{Named: first, Contribution: approved.ID},
		"ticket:Open": ticket.Open{ID: someID, Snapshots: []snapshot.Named{first}, Purpose: licence.Research,
			Grants: []ticket.GrantName{ticket.GrantName(grant.Named)}},
		"ticket:Close": ticket.Named{ID: cited.ID}, "ticket:Expire": ticket.Named{ID: cited.ID}, "ticket:Get": ticket.Named{ID: cited.ID},
		"ticket:List":    ledger.PageRequest{},
		"model:Register": trained, "model:Get": trained.Named, "model:List": ledger.PageRequest{},
		"model:Accept": model.CardName{Named: trained.Named, Card: 2}, "model:Consent": model.CardName{Named: trained.Named},
		"model:Publish": card, "model:Retire": trained.Named, "model:Card": model.CardName{Named: trained.Named},
		"model:Cards": model.CardListing{Named: trained.Named}, "model:Lineage": model.Ancestry{Named: trained.Named},
		"model:Downstream": model.Impact{Model: &trained.Named},
		"erasure:Request":  erasing, "erasure:Acknowledge": erasing, "erasure:Complete": erasing, "erasure:Get": erasing,
		"erasure:List": contribution.Listing{Datanet: collection.Name}, "erasure:Affected": erasure.Reach{Named: approvedName},
		"session:Open": unspent, "session:TopUp": session.TopUp{Name: freshID(), ID: someID, Amount: 1},
		"session:Expire": prepaid, "session:Reclaim": session.Reclaim{Named: prepaid}, "session:Get": prepaid,
		"session:List": session.Listing{Account: spender}, "session:Funds": session.FundListing{Named: prepaid},
		"claim:Settle":  settlement(2, 20_000),
		"claim:Attest":  claim.Attest{Named: claimed, Vote: claim.Vote{Scope: due.Scope, Revisions: []int{1}, Table: table, Rate: use.All}},
		"claim:Object":  claim.Object{Named: claimed, Difference: claim.Difference{Finding: "fee"}},
		"claim:Release": claim.Release{Named: claimed, Page: payments}, "claim:Get": claimed, "claim:List": claim.Listing{Host: claimed.Host},
		"sampling:Register": sampling.Register{ID: someID, Commitment: inForce.Digest}, "sampling:Reveal": sampling.Reveal{ID: freshID(), Secret: hash},
		"sampling:Get": sealedSecret, "sampling:List": sampling.Listing{MSP: poets},
		"pool:Draw":    pools.Draw{Named: payingOut, Draw: someID, Credits: []string{collected.Items[0].ID}},
		"pool:Release": pools.Release{Named: payingOut, Page: payments}, "pool:Get": payingOut, "pool:List": pools.Listing{Datanet: collection.Name},
	}
}

func voteOn(n contribution.Named, choice approval.Choice) approval.Vote {
	v := approval.Vote{Named: n, Revision: 1, Verdict: approval.Verdict{Choice: choice, Score: 90, Reason: approval.Sound, Report: strings.Repeat("ef", 32)}}
	if choice == approval.Reject {
		v.Reason = "off-topic"
	}
	return v
}

// verse is the content of a datanet that every member validates, for every purpose.
func verse(title string) datanet.Content {
	return datanet.Content{Title: title, Tags: []string{"verse"}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: slices.Sorted(slices.Values(licence.Purposes))},
		Policy: datanet.Policy{Validators: []string{lab, library, poets}, Quorum: 2, MaxDerivedPpm: 100_000, DataPpm: 600_000,
			ValidatorsPpm: 100_000, Tau: 12, AttestationQuorum: 1, Rest: datanet.ByTokens}}
}

// poem is a contribution of one record that equals no other.
func poem(epoch int) contribution.Content {
	hash := strings.Repeat("ab", 32)
	return contribution.Content{MediaType: "text/plain", Commitment: hash, Descriptor: hash, Records: 1, Tokens: 4,
		Provenance:  contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"fa"}},
		Fingerprint: contribution.Fingerprint{Epoch: epoch, HMAC: freshID() + freshID()}}
}

// ask sends a query and decodes its answer.
func ask[Res any](t *testing.T, b story.Backend, user story.User, function string, request any) (res Res) {
	t.Helper()
	document, err := ledger.Encode(request)
	require.NoError(t, err)
	outcome, err := b.Evaluate(t.Context(), story.Call{User: user, Function: function, Document: document})
	require.NoError(t, err)
	require.Equal(t, "success", outcome.String(), "%s by %s", function, user)
	require.NoError(t, ledger.DecodeAnswer(outcome.Response, &res))
	return res
}
