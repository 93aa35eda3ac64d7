// Package questiontest tells the story that audits are tested on: a consortium in which a model was trained, served and
// paid for; one contribution was rejected, one copied, one erased; a licence grant was revoked; an attestor objected.
package questiontest

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Story is what happened, and its blocks.
type Story struct {
	*rulestest.Market
	Chain *blocktest.Chain

	Rejected, Copied, Erased, Disputed contribution.Named
	Grant                              access.Named // of B, under which it trained, revoked later
	Idle                               string       // a ticket of B that no model cites
	Small                              model.Named  // B's model, built on the market's
	Settled, Disputing                 claim.Named  // a released settlement, one that an attestor objected to
	Payer                              ledger.Account
	Receipt                            []byte // of an answer of the market's model
	Copy                               string // the transaction that lost, of two spends at once
}

// Tell tells the story.
func Tell(t rulestest.T) *Story {
	t.Helper()
	chain := blocktest.New("datanet")
	s := TellOn(t, rulestest.Watched(t, func(b *memledger.Block) { chain.Append(b) }, rulestest.A, rulestest.B, rulestest.C))
	s.Chain = chain
	return s
}

// TellOn tells the story in a consortium that has just been founded. It has no chain.
func TellOn(t rulestest.T, c *rulestest.Consortium) *Story {
	t.Helper()
	s := &Story{Market: rulestest.MarketOn(t, c)}
	c.Clock = c.Clock.Add(time.Hour)
	s.contributions(t)
	s.training(t)
	s.use(t)
	c.Clock = c.Clock.Add(time.Hour)
	s.erase(t)
	s.receipt(t)
	return s
}

// Index fills an index with the story.
func (s *Story) Index(ctx context.Context, x *index.Index) error {
	return Apply(ctx, x, s.Chain.Blocks)
}

// Apply fills an index with blocks.
func Apply(ctx context.Context, x *index.Index, blocks []*common.Block) error {
	for _, b := range blocks {
		if err := x.Apply(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *Story) vote(t rulestest.T, msp string, n contribution.Named, v approval.Verdict) {
	s.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: v})
}

// contributions: one is rejected, one is a copy and refused, one is approved against a vote on its licence.
func (s *Story) contributions(t rulestest.T) {
	poem := s.Poem()
	s.Rejected = contribution.Named{Datanet: s.Pool, ID: s.ID()}
	s.Must(t, s.Bob, "contribution:Submit", contribution.Submit{Datanet: s.Pool, ID: s.Rejected.ID, Content: poem})
	s.Copied = contribution.Named{Datanet: s.Pool, ID: s.ID()}
	if _, fault := s.Try(t, s.Ann, "contribution:Submit", contribution.Submit{Datanet: s.Pool, ID: s.Copied.ID, Content: poem}); fault == nil {
		t.Fatalf("a copy was registered")
	}
	no := rulestest.Verdict(approval.Reject)
	s.vote(t, rulestest.A, s.Rejected, no)
	s.vote(t, rulestest.B, s.Rejected, no)
	s.Must(t, s.Bob, "approval:Finalise", s.Rejected)

	s.Disputed = contribution.Named{Datanet: s.Pool, ID: s.ID()}
	content := s.Poem()
	content.Provenance.PersonalData = true
	s.Must(t, s.Ann, "contribution:Submit", contribution.Submit{Datanet: s.Pool, ID: s.Disputed.ID, Content: content})
	s.Erased = contribution.Named{Datanet: s.Pool, ID: s.Market.Contributions[0]}
	s.vote(t, rulestest.A, s.Disputed, rulestest.Verdict(approval.Approve))
	s.vote(t, rulestest.C, s.Disputed, rulestest.Verdict(approval.Approve))
	s.Must(t, s.Ann, "approval:Finalise", s.Disputed)
	s.Must(t, s.Curator, "seal:Append", seal.Append{Datanet: s.Pool, From: 3, Contributions: []string{s.Disputed.ID}})
	s.Must(t, s.Curator, "snapshot:Take", snapshot.Named{Datanet: s.Pool, Number: 2})
}

// training: B trains under a grant that is revoked later, on top of the market's model; another ticket of B's is used for
// nothing.
func (s *Story) training(t rulestest.T) {
	trainer := rulestest.User(rulestest.B, "trainer1", ledger.Trainer)
	s.OpenAll(t, trainer)
	s.Grant = access.Named{Datanet: s.Pool, ID: s.ID()}
	s.Must(t, s.Curator, "access:Grant", access.Terms{Named: s.Grant, Grantee: rulestest.B,
		Purposes: []licence.Purpose{licence.CommercialService, licence.Research}, Expires: s.Clock.Add(1000 * time.Hour)})
	open := func(number int) string {
		id := s.ID()
		s.Must(t, trainer, "ticket:Open", ticket.Open{ID: id, Snapshots: []snapshot.Named{{Datanet: s.Pool, Number: number}}, Purpose: licence.CommercialService,
			Grants: []ticket.GrantName{ticket.GrantName(s.Grant)}})
		s.Must(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "access:Release", access.Handover{Named: access.Named{Datanet: s.Pool, ID: s.ID()},
			Snapshot: number, To: trainer.Account(), Reason: access.Training, Ticket: id})
		return id
	}
	used := open(2)
	s.Idle = open(1)
	s.Small = model.Named{Name: rulestest.B + "/small-verse", Version: "0.1"}
	s.Must(t, trainer, "model:Register", model.Register{Named: s.Small, Tickets: []string{used}, Bases: []model.Named{s.Card.Named},
		External:  []model.External{{Name: "example.org/base", Licence: "Apache-2.0", Digest: rulestest.Hash}},
		Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: 16, Distinct: 4, Digest: rulestest.Hash}})
	s.Must(t, s.Curator, "access:Revoke", s.Grant)
}

// use: two settlements; the data part of one is attested and paid, an attestor objects to the other.
func (s *Story) use(t rulestest.T) {
	attestor := rulestest.User(rulestest.A, "validator1", ledger.Validator)
	secret := use.Secret{7}
	drawn := sampling.Register{ID: s.ID(), Commitment: secret.Commitment()}
	s.Must(t, attestor, "sampling:Register", drawn)
	payer := s.Consumer(t, rulestest.C, 1_000_000)
	s.Payer = payer.Account()
	open := s.Open(t, payer, 500_000)
	settle := func() (c claim.Claim) {
		open.Use(t, 20_000)
		decode(t, s.Must(t, s.Host, "claim:Settle", claim.Settle{ID: s.ID(), Model: s.CardName(), Card: s.Card.Digest, Sessions: []session.Presented{open.Present(t)}}), &c)
		return c
	}
	paid := settle()
	s.Settled = paid.Named
	half := paid.Data / 2
	page := disbursement.Page{Number: 1, Due: paid.Data, Payments: []token.Payment{{To: s.Ann.Account(), Amount: half}, {To: s.Bob.Account(), Amount: paid.Data - half}}}
	table, err := page.Digest()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.Must(t, attestor, "claim:Attest", claim.Attest{Named: paid.Named, Vote: claim.Vote{Scope: paid.Scope, Revisions: []int{1}, Table: table, Rate: 500_000, Secret: drawn.ID}})
	s.Must(t, s.Bob, "claim:Release", claim.Release{Named: paid.Named, Page: page})
	s.Must(t, attestor, "sampling:Reveal", sampling.Reveal{ID: drawn.ID, Secret: hex.EncodeToString(secret[:])})

	disputed := settle()
	s.Disputing = disputed.Named
	s.Must(t, rulestest.User(rulestest.B, "validator1", ledger.Validator), "claim:Object", claim.Object{Named: disputed.Named,
		Difference: claim.Difference{Finding: "receipt", Session: open.ID, Place: 1, Evidence: merkle.Hash{9}}})

	// Two spends of one balance in one block: the second one loses.
	s.FoldAll(t, s.Ann)
	for range 2 {
		envelope, err := s.Propose(rulestest.Proposal(t, s.Ann, "token:Transfer", token.Transfer{ID: s.ID(), Payment: token.Payment{To: s.Bob.Account(), Amount: 10}}))
		if err == nil {
			err = s.Submit(envelope)
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		s.Copy = envelope.Proposal.TxID
	}
	if _, err := s.Cut(); err != nil {
		t.Fatalf("%v", err)
	}
}

// erase: Ann has a contribution erased that both models hold.
func (s *Story) erase(t rulestest.T) {
	var e erasure.Erasure
	decode(t, s.Must(t, s.Ann, "erasure:Request", s.Erased), &e)
	for _, msp := range e.Holders {
		s.Must(t, rulestest.User(msp, "operator1", ledger.Operator), "erasure:Acknowledge", s.Erased)
	}
	s.Must(t, s.Curator, "seal:Retire", seal.Retire{Datanet: s.Pool, Contributions: []string{s.Erased.ID}})
	s.Clock = s.Clock.Add(erasure.Term + time.Hour)
	s.Must(t, s.Bob, "erasure:Complete", s.Erased)
	s.Must(t, s.Curator, "snapshot:Revise", snapshot.Named{Datanet: s.Pool, Number: 1})
}

// receipt makes one that quotes Bob's contribution.
func (s *Story) receipt(t rulestest.T) {
	var root snapshot.Revision
	for _, e := range s.State() {
		kind, parts, _ := e.Key.Split()
		if kind == "snapshot-revision" && parts[0] == s.Pool && parts[1] == "0000000001" && parts[2] == "000001" {
			decode(t, e.Value, &root)
		}
	}
	var artifact merkle.Hash
	if err := artifact.UnmarshalText([]byte(rulestest.Hash)); err != nil {
		t.Fatalf("%v", err)
	}
	spans := []receipt.Span{{Start: 0, End: 4, ByteStart: 0, ByteEnd: 20, Information: 40 << 16, Credit: 40 << 16, Occurrences: 1,
		Home: receipt.Home{Contribution: s.Market.Contributions[2]}, Payees: []receipt.Payee{{Account: string(s.Bob.Account()), Credit: 40 << 16}}}}
	r := &receipt.Receipt{Roots: []merkle.Hash{root.Root}, N: 12, V: 4, Model: s.Card.Named.String(), Artifact: artifact, OutputBytes: 20, OutputTokens: 4, Tau: 12,
		CoveragePPM: 800_000, Spans: spans, Shares: receipt.Shares(spans)}
	var err error
	if s.Receipt, err = r.Encode(); err != nil {
		t.Fatalf("%v", err)
	}
}

func decode(t rulestest.T, answer []byte, into any) {
	if err := ledger.DecodeAnswer(answer, into); err != nil {
		t.Fatalf("%v", err)
	}
}
