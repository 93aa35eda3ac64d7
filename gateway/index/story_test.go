package index_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
)

const (
	orgA = rulestest.A
	orgB = rulestest.B
	orgC = rulestest.C
)

var (
	curator  = rulestest.User(orgA, "curator1", ledger.Curator)
	ann      = rulestest.User(orgC, "ann", ledger.Contributor, ledger.Consumer)
	bob      = rulestest.User(orgB, "bob", ledger.Contributor, ledger.Consumer)
	trainerA = rulestest.User(orgA, "trainer1", ledger.Trainer)
	trainerB = rulestest.User(orgB, "trainer1", ledger.Trainer)
	host     = rulestest.User(orgC, "host1", ledger.Host)
)

func operator(msp string) ledger.Caller { return rulestest.User(msp, "operator1", ledger.Operator) }

func validator(msp string) ledger.Caller { return rulestest.User(msp, "validator1", ledger.Validator) }

// story is a consortium in which something of every kind has happened, and its blocks.
type story struct {
	*rulestest.Consortium
	chain    *blocktest.Chain
	pool     string
	sealed   []contribution.Named // approved and sealed ones of Ann's; the last one is being erased
	pending  []contribution.Named // of Ann's: voted on by nobody, by A
	rejected contribution.Named   // of Bob's, revised, with the slots of both revisions open for C
	proposal string               // open, approved by A
	model    model.Named          // offered to a host of C, who has not accepted
	conflict string               // a transaction that lost

	session, idle           session.Named  // of Ann's: closed; open, with a top-up that nothing has counted
	paid, attested, claimed claim.Named    // settlements of B's host: released; attested by A; waiting for A and C
	secret                  sampling.Named // of A, sealed
	payouts                 [3]pool.Named  // short, funded, paid
}

func tell(t rulestest.T) *story {
	s := &story{chain: blocktest.New("datanet")}
	s.Consortium = rulestest.Watched(t, func(b *memledger.Block) { s.chain.Append(b) }, orgA, orgB, orgC)
	s.OpenAll(t, ann, bob, trainerA, trainerB, host)
	s.SetSchedule(t)
	s.pool = s.Pool(t)
	s.contributions(t)
	s.payments(t)
	s.training(t)
	s.usage(t)
	s.Must(t, ann, "erasure:Request", s.sealed[2])
	s.Must(t, operator(orgA), "erasure:Acknowledge", s.sealed[2])
	s.proposal = s.ID()
	raw, err := ledger.Encode(token.Mint{To: ann.Account(), Amount: 5})
	if err != nil {
		t.Fatalf("%v", err)
	}
	content := proposal.Content{ID: s.proposal, Kind: "token.mint", Params: raw, Expires: s.Clock.Add(48 * time.Hour)}
	digest, err := content.Digest()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.Must(t, operator(orgA), "proposal:Propose", content)
	s.Must(t, rulestest.User(orgA, "operator2", ledger.Operator), "proposal:Approve", proposal.Approval{ID: s.proposal, Digest: digest})
	return s
}

func (s *story) submit(t rulestest.T, who ledger.Caller) contribution.Named {
	name := contribution.Named{Datanet: s.pool, ID: s.ID()}
	s.Must(t, who, "contribution:Submit", contribution.Submit{Datanet: s.pool, ID: name.ID, Content: s.Poem()})
	return name
}

func (s *story) vote(t rulestest.T, msp string, name contribution.Named, revision int, choice approval.Choice) {
	s.Must(t, validator(msp), "approval:Vote", approval.Vote{Named: name, Revision: revision, Verdict: rulestest.Verdict(choice)})
}

func (s *story) contributions(t rulestest.T) {
	s.sealed = s.Approved(t, ann, s.pool, 3)
	for i, name := range s.sealed {
		s.Must(t, curator, "seal:Append", seal.Append{Datanet: s.pool, From: int64(i), Contributions: []string{name.ID}})
		s.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: s.pool, Number: i + 1})
	}
	s.pending = []contribution.Named{s.submit(t, ann), s.submit(t, ann)}
	s.vote(t, orgA, s.pending[1], 1, approval.Approve)
	// Rejected while C's slot is open: A and B (not Bob's) are enough once the quorum is out of reach.
	s.rejected = s.submit(t, bob)
	s.vote(t, orgA, s.rejected, 1, approval.Reject)
	s.Must(t, bob, "approval:Finalise", s.rejected)
	s.Must(t, bob, "contribution:Revise", contribution.Revise{Datanet: s.pool, ID: s.rejected.ID, Revision: 2, Content: s.Poem()})
	s.vote(t, orgA, s.rejected, 2, approval.Approve)
}

func (s *story) payments(t rulestest.T) {
	s.Mint(t, ann, 1000)
	s.Mint(t, ann, 500)
	credits := s.credits(t, ann)
	pay := func(amount int, apart bool, credits ...string) token.Transfer {
		return token.Transfer{ID: s.ID(), Payment: token.Payment{To: bob.Account(), Amount: 10}, Source: token.Source{Credits: credits, Apart: apart}}
	}
	s.Must(t, ann, "token:Transfer", pay(10, false, credits[0]))
	s.Must(t, ann, "token:Transfer", pay(20, true, credits[1]))
	// Two spends of one balance in one block: the second one loses.
	for range 2 {
		envelope, err := s.Propose(rulestest.Proposal(t, ann, "token:Transfer", pay(10, false)))
		if err == nil {
			err = s.Submit(envelope)
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		s.conflict = envelope.Proposal.TxID
	}
	if _, err := s.Cut(); err != nil {
		t.Fatalf("%v", err)
	}
	s.Must(t, ann, "token:Redeem", token.Redeem{ID: s.ID(), Amount: 7})
}

func (s *story) credits(t rulestest.T, who ledger.Caller) []string {
	var page ledger.Page[token.Credit]
	if err := ledger.DecodeAnswer(s.Must(t, who, "token:Credits", token.Listing{Account: who.Account()}), &page); err != nil {
		t.Fatalf("%v", err)
	}
	var ids []string
	for _, credit := range page.Items {
		ids = append(ids, credit.ID)
	}
	return ids
}

func (s *story) training(t rulestest.T) {
	grant := access.Named{Datanet: s.pool, ID: s.ID()}
	s.Must(t, curator, "access:Grant", access.Terms{Named: grant, Grantee: orgB, Purposes: []licence.Purpose{licence.Research}, Expires: s.Clock.Add(100 * time.Hour)})
	for _, keeper := range []string{orgB, orgC} {
		offer := replica.Offer{Named: replica.Named{Datanet: s.pool, ID: s.ID()}, Keeper: keeper}
		s.Must(t, curator, "replica:Offer", offer)
		if keeper == orgB {
			s.Must(t, operator(orgB), "replica:Accept", offer.Named)
		}
	}
	open := ticket.Open{ID: s.ID(), Snapshots: []snapshot.Named{{Datanet: s.pool, Number: 1}}, Purpose: licence.Research, Grants: []ticket.GrantName{ticket.GrantName(grant)}}
	s.Must(t, trainerB, "ticket:Open", open)
	s.Must(t, operator(orgA), "access:Release", access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Snapshot: 1, To: trainerB.Account(), Reason: access.Training, Ticket: open.ID})
	s.Must(t, operator(orgA), "access:Release", access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Contributions: []string{s.sealed[0].ID}, To: trainerB.Account(), Reason: access.Holding, Grant: grant.ID})
	mine := ticket.Open{ID: s.ID(), Snapshots: []snapshot.Named{{Datanet: s.pool, Number: 1}}, Purpose: licence.Research}
	s.Must(t, trainerA, "ticket:Open", mine)
	s.model = model.Named{Name: orgA + "/chain", Version: "1"}
	s.Must(t, trainerA, "model:Register", model.Register{Named: s.model, Tickets: []string{mine.ID}, Bases: []model.Named{}, Artifacts: []string{rulestest.Hash},
		Manifest: rulestest.Hash, Purpose: licence.Research, Corpus: model.Corpus{Tokens: 4, Distinct: 3, Digest: rulestest.Hash}})
	publish := model.Publish{Named: s.model, Card: 1, PriceOut: 5, Host: host.Account(), HostPpm: 100_000, OwnerPpm: 150_000}
	s.Must(t, trainerA, "model:Publish", publish)
	publish.Card, publish.PriceOut = 2, 6
	_, _ = s.Try(t, trainerA, "model:Publish", publish)
}

// usage has Ann pay for answers of a model that B hosts, so that A and C attest.
func (s *story) usage(t rulestest.T) {
	hostB := rulestest.User(orgB, "host1", ledger.Host)
	s.OpenAll(t, hostB)
	served := model.Named{Name: orgA + "/served", Version: "1"}
	released := ticket.Open{ID: s.ID(), Snapshots: []snapshot.Named{{Datanet: s.pool, Number: 1}}, Purpose: licence.Research}
	s.Must(t, trainerA, "ticket:Open", released)
	s.Must(t, trainerA, "model:Register", model.Register{Named: served, Tickets: []string{released.ID}, Bases: []model.Named{}, Artifacts: []string{rulestest.Hash},
		Manifest: rulestest.Hash, Purpose: licence.Research, Corpus: model.Corpus{Tokens: 4, Distinct: 3, Digest: rulestest.Hash}})
	m := &rulestest.Market{Consortium: s.Consortium, Pool: s.pool, Host: hostB}
	s.decode(t, s.Must(t, trainerA, "model:Publish", model.Publish{Named: served, Card: 1, PriceOut: 5_000_000, Host: hostB.Account(), HostPpm: 100_000, OwnerPpm: 150_000}), &m.Card)
	s.Must(t, hostB, "model:Accept", m.CardName())
	s.Mint(t, ann, 1_000_000)
	s.FoldAll(t, ann)

	used, unused := m.Open(t, ann, 500_000), m.Open(t, ann, 1_000)
	fund := session.TopUp{Name: used.Name, ID: s.ID(), Amount: 10_000}
	s.Must(t, ann, "session:TopUp", fund)
	s.Must(t, ann, "session:TopUp", session.TopUp{Name: unused.Name, ID: s.ID(), Amount: 10})
	s.session, s.idle = used.Named, unused.Named
	settle := func(last bool, funds ...string) (c claim.Claim, page disbursement.Page) {
		used.Use(t, 20_000)
		presented := used.Present(t, funds...)
		presented.Close = last
		s.decode(t, s.Must(t, hostB, "claim:Settle", claim.Settle{ID: s.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{presented}}), &c)
		page = disbursement.Page{Number: 1, Due: c.Data, Payments: []token.Payment{{To: ann.Account(), Amount: c.Data}}}
		table, err := page.Digest()
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !last {
			s.Must(t, validator(orgA), "claim:Attest", claim.Attest{Named: c.Named, Vote: claim.Vote{Scope: c.Scope, Revisions: []int{1}, Table: table, Rate: use.All}})
		}
		return c, page
	}
	paid, page := settle(false, fund.ID)
	s.Must(t, bob, "claim:Release", claim.Release{Named: paid.Named, Page: page})
	attested, _ := settle(false)
	open, _ := settle(true)
	s.paid, s.attested, s.claimed = paid.Named, attested.Named, open.Named

	secret := use.Secret{1}
	s.secret = sampling.Named{MSP: orgA, ID: s.ID()}
	s.Must(t, validator(orgA), "sampling:Register", sampling.Register{ID: s.secret.ID, Commitment: secret.Commitment()})
	shown := sampling.Register{ID: s.ID(), Commitment: secret.Commitment()}
	s.Must(t, validator(orgA), "sampling:Register", shown)
	s.Must(t, validator(orgA), "sampling:Reveal", sampling.Reveal{ID: shown.ID, Secret: hex.EncodeToString(secret[:])})

	var credits ledger.Page[token.Credit]
	s.decode(t, s.Must(t, ann, "token:Credits", token.Listing{Account: ledger.PoolAccount(s.pool)}), &credits)
	page = disbursement.Page{Number: 1, Due: 100, Payments: []token.Payment{{To: ann.Account(), Amount: 100}}}
	table, err := page.Digest()
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := range s.payouts {
		s.payouts[i] = pool.Named{Datanet: s.pool, ID: s.ID()}
		s.Decide(t, "pool.pay", pool.Pay{Named: s.payouts[i], Amount: 100, Table: table})
		if i > 0 {
			s.Must(t, bob, "pool:Draw", pool.Draw{Named: s.payouts[i], Draw: s.ID(), Credits: []string{credits.Items[i].ID}})
		}
	}
	s.Must(t, bob, "pool:Release", pool.Release{Named: s.payouts[2], Page: page})
}

func (s *story) decode(t rulestest.T, answer []byte, into any) {
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("%v", err)
	}
}

func TestTheStoryHasSomethingOfEveryKind(t *testing.T) {
	s := tell(t)
	require.NotEmpty(t, s.conflict)
	kinds := map[string]bool{}
	for _, entry := range s.State() {
		kind, _, _ := entry.Key.Split()
		kinds[kind] = true
	}
	for _, kind := range []string{"leaver", "retired", "outside-holder", "outside-snapshot-holder", "retired"} {
		kinds[kind] = true // of which the story tells nothing
	}
	for _, kind := range allKinds() {
		require.Contains(t, kinds, kind)
	}
}
