package verifytest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/access"
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
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// The people of a paid model, beside its contributors and consumers.
var (
	Curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	Trainer = rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	Host    = rulestest.User(rulestest.C, "host1", ledger.Host)
)

// Paid is a ledger on which a model's answers are paid, with the texts of everything. Like those of [Network], its methods
// panic on what cannot be made.
type Paid struct {
	*rulestest.Consortium
	Cheats Cheats
	// Receipts computes those of answers over a corpus.
	Receipts func(corpus attribution.Corpus, answers ...attribution.Answer) ([]*receipt.Receipt, error)

	Pool  string
	Card  model.Card
	Texts attribution.Corpus // of the latest revision
	Salts map[string]attribution.Salt
	First snapshot.Named

	Sessions    []*Session
	Settlements []Settlement
	tokens      int64 // of the corpus, as the ledger counts them
}

// Cheats are what a host, the validators or the attestors do against their duty. All rules let it through.
type Cheats struct {
	Receipt func(r *receipt.Receipt) // the host makes another receipt
	Leaf    func(l *use.Leaf)        // or another leaf
	Table   func(p []payout.Payment) // the attestor votes for another table
	Tokens  int64                    // the validators let another count of tokens pass
}

// Session is a prepaid session, with what was used of it.
type Session struct {
	session.Session
	key     ed25519.PrivateKey
	tree    merkle.Frontier
	amount  uint64
	settled use.Mark
	peaks   []merkle.Hash // of the tree when it was settled last
	uses    []parts.Use   // since
}

// Answer is what a model answered to a prompt.
type Answer struct{ Prompt, Output string }

// failing is a test whose failure is a panic.
type failing struct{}

func (failing) Helper()                           {}
func (failing) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// NewPaid founds a consortium with a datanet to which contributors of all members may submit.
func NewPaid(n *Network, contributors ...ledger.Caller) *Paid {
	t := failing{}
	s := &Paid{Consortium: rulestest.On(t, n.Config()), Salts: map[string]attribution.Salt{}}
	s.OpenAll(t, append([]ledger.Caller{Trainer, Host}, contributors...)...)
	s.SetSchedule(t)
	s.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: s.ID() + s.ID()})
	s.Pool = rulestest.A + "/verse"
	s.Must(t, Curator, "datanet:Create", datanet.Create{Name: s.Pool, Content: rulestest.Verse(s.Members()...)})
	return s
}

// Register submits texts as one contribution, which joins those of the model.
func (s *Paid) Register(by ledger.Caller, records ...string) attribution.Contribution {
	made := attribution.Contribution{ID: s.ID(), Account: string(by.Account())}
	content := s.Poem()
	content.Records, content.Tokens = int64(len(records)), s.Cheats.Tokens
	for _, text := range records {
		made.Records = append(made.Records, []byte(text))
		content.Tokens += int64(evidence.Tokens([]byte(text)))
	}
	salt := attribution.Salt(sha256.Sum256([]byte(made.ID)))
	s.Salts[made.ID] = salt
	content.Commitment = attribution.Commit(salt, made.Records).String()
	s.Must(failing{}, by, "contribution:Submit", contribution.Submit{Datanet: s.Pool, ID: made.ID, Content: content})
	s.Texts, s.tokens = append(s.Texts, made), s.tokens+content.Tokens
	return made
}

// Seal has contributions approved by all who may vote, and takes a snapshot of them.
func (s *Paid) Seal(list ...attribution.Contribution) {
	t := failing{}
	var ids []string
	for _, c := range list {
		n := contribution.Named{Datanet: s.Pool, ID: c.ID}
		for _, msp := range s.Members() {
			if msp != ledger.Account(c.Account).MSP() {
				s.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
			}
		}
		s.Must(t, Curator, "approval:Finalise", n)
		ids = append(ids, c.ID)
	}
	s.Must(t, Curator, "seal:Append", seal.Append{Datanet: s.Pool, Contributions: ids})
	s.First = snapshot.Named{Datanet: s.Pool, Number: 1}
	s.Must(t, Curator, "snapshot:Take", s.First)
}

// Publish registers a model of the snapshot and has it served.
func (s *Paid) Publish() {
	t := failing{}
	opened := ticket.Open{ID: s.ID(), Snapshots: []snapshot.Named{s.First}, Purpose: licence.CommercialService}
	s.Must(t, Trainer, "ticket:Open", opened)
	trained := model.Register{Named: model.Named{Name: rulestest.A + "/verse", Version: "1"}, Tickets: []string{opened.ID}, Bases: []model.Named{},
		Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: s.tokens, Distinct: 30, Digest: rulestest.Hash}}
	s.Must(t, Trainer, "model:Register", trained)
	decode(s.Must(t, Trainer, "model:Publish", model.Publish{Named: trained.Named, Card: 1, PriceIn: 1_000_000, PriceOut: 5_000_000, Host: Host.Account(),
		HostPpm: 100_000, OwnerPpm: 150_000}), &s.Card)
	s.Must(t, Host, "model:Accept", model.CardName{Named: trained.Named, Card: 1})
}

func decode(answer []byte, into any) {
	if err := ledger.DecodeAnswer(answer, into); err != nil {
		panic(err)
	}
}

// Open opens a session of a new consumer, who prepays so much.
func (s *Paid) Open(disclosure use.Disclosure, escrow money.Amount) *Session {
	t := failing{}
	user := rulestest.User(rulestest.A, "consumer-"+s.ID()[:8], ledger.Consumer)
	s.OpenAll(t, user)
	s.Mint(t, user, escrow)
	s.FoldAll(t, user)
	seed := sha256.Sum256([]byte(s.ID()))
	o := &Session{key: ed25519.NewKeyFromSeed(seed[:])}
	decode(s.Must(t, user, "session:Open", session.Open{Name: s.ID(), Terms: session.Terms{Model: model.CardName{Named: s.Card.Named, Card: 1}, Card: s.Card.Digest,
		Host: s.Card.Host, Key: use.Key{Algorithm: use.Ed25519, Public: o.key.Public().(ed25519.PublicKey)}, Window: 64,
		Expires: s.Clock.Add(240 * time.Hour).UTC().Truncate(time.Second), Grace: use.MinGrace, Disclosure: disclosure, Escrow: escrow}}), &o.Session)
	o.settled.Root = merkle.Root(nil)
	s.Sessions = append(s.Sessions, o)
	return o
}

// Taken is the model's snapshot in its latest revision.
func (s *Paid) Taken() (taken snapshot.Snapshot) {
	decode(must(s.Evaluate(rulestest.Proposal(failing{}, Curator, "snapshot:Get", s.First), "")), &taken)
	return taken
}

// Use has answers paid from a session, each under a receipt.
func (s *Paid) Use(o *Session, answers ...Answer) {
	var artifact merkle.Hash
	if err := artifact.UnmarshalText([]byte(rulestest.Hash)); err != nil {
		panic(err)
	}
	root := s.Taken().Root
	held, asked := make([]evidence.Evidence, len(answers)), make([]attribution.Answer, len(answers))
	for i, a := range answers {
		body := must(json.Marshal(map[string]any{"model": s.Card.Named.String(), "messages": []any{map[string]string{"role": "user", "content": a.Prompt}}}, json.Deterministic(true)))
		held[i] = evidence.Evidence{Path: openai.ChatPath, Body: body, Output: []byte(a.Output), Context: [][]byte{[]byte("answer in verse")}}
		for j, nonce := range []*attribution.Nonce{&held[i].Nonces.Prompt, &held[i].Nonces.Context, &held[i].Nonces.Output} {
			sum := sha256.Sum256(fmt.Append(nil, s.ID(), j))
			copy(nonce[:], sum[:])
		}
		asked[i] = must(held[i].Answer(s.Card.Named.String(), artifact, []merkle.Hash{root}, 12))
	}
	for i, r := range must(s.Receipts(s.Texts, asked...)) {
		if s.Cheats.Receipt != nil && len(r.Spans) > 0 {
			s.Cheats.Receipt(r)
		}
		held[i].Receipt = must(r.Encode())
		s.record(o, held[i], evidence.Tokens(asked[i].Prompt...))
	}
}

// record adds a use to the session.
func (s *Paid) record(o *Session, e evidence.Evidence, in uint64) {
	leaf := use.Leaf{Session: o.ID, Number: o.tree.Size(), Card: s.Card.Digest, In: in, Out: evidence.Tokens(e.Output), Receipt: receipt.ID(e.Receipt)}
	leaf.Fee = must(use.Fee(leaf.In, leaf.Out, uint64(s.Card.PriceIn), uint64(s.Card.PriceOut)))
	if s.Cheats.Leaf != nil {
		s.Cheats.Leaf(&leaf)
	}
	if o.Disclosure != use.DiscloseAll { // the consumer's, who does not know the context
		e.Context, e.Nonces.Context = nil, attribution.Nonce{}
	}
	u := parts.Use{Leaf: must(leaf.Encode()), Receipt: e.Receipt, Evidence: must(e.Encode())}
	o.tree.Append(merkle.Leaf(u.Leaf))
	o.amount += leaf.Fee
	o.uses = append(o.uses, u)
}

// Settle settles what was used of sessions since they were settled last.
func (s *Paid) Settle(list ...*Session) claim.Claim {
	request := claim.Settle{ID: s.ID(), Model: model.CardName{Named: s.Card.Named, Card: 1}, Card: s.Card.Digest}
	list = slices.DeleteFunc(slices.Clone(list), func(o *Session) bool { return len(o.uses) == 0 })
	slices.SortFunc(list, func(a, b *Session) int { return slices.Compare(a.ID[:], b.ID[:]) })
	held := Settlement{Name: []string{string(Host.Account()), request.ID}}
	var moves []use.Move
	for _, o := range list {
		v := use.Voucher{Session: o.ID, Card: s.Card.Digest, N: o.tree.Size(), Amount: o.amount, Root: o.tree.Root()}
		request.Sessions = append(request.Sessions, session.Presented{Named: o.Named, N: int64(v.N), Amount: money.Amount(v.Amount), Root: v.Root,
			Signature: hex.EncodeToString(must(use.Sign(o.key, v)))})
		after := use.Mark{N: v.N, Amount: v.Amount, Root: v.Root}
		moves = append(moves, use.Move{Session: o.ID, Before: o.settled, After: after})
		held.Scope.Sessions = append(held.Scope.Sessions, parts.Session{Account: string(o.Account), Name: o.Name})
		held.Peaks, held.Uses = append(held.Peaks, o.peaks), append(held.Uses, o.uses)
		o.settled, o.peaks, o.uses = after, o.tree.Peaks(), nil
	}
	held.Scope.Encoded = must(use.EncodeScope(s.Card.Digest, moves))
	s.Settlements = append(s.Settlements, held)
	var c claim.Claim
	decode(s.Must(failing{}, Host, "claim:Settle", request), &c)
	return c
}

// Attest votes for the table that the receipts of the last settlement give, worked out from what was held back of nobody.
func (s *Paid) Attest(c claim.Claim) []payout.Payment {
	held, taken := s.Settlements[len(s.Settlements)-1], s.Taken()
	var uses []payout.Use
	for i, session := range held.Scope.Sessions {
		at := slices.IndexFunc(s.Sessions, func(o *Session) bool { return o.Name == session.Name })
		for _, u := range held.Uses[i] {
			leaf, r := must(use.DecodeLeaf(u.Leaf)), must(receipt.Decode(u.Receipt))
			one := payout.Use{Fee: int64(leaf.Fee), DataPPM: uint32(s.Card.Parts.Data), Corpus: []payout.Datanet{{Name: s.Pool, Tokens: uint64(s.tokens)}}, Owner: string(s.Card.Owner)}
			if s.Sessions[at].Disclosure != use.DiscloseNone && r.Roots[0] == taken.Root {
				one.CoveragePPM, one.Shares = r.CoveragePPM, r.Shares
			}
			uses = append(uses, one)
		}
	}
	payments := must(payout.Split(uses))
	if s.Cheats.Table != nil {
		s.Cheats.Table(payments)
	}
	s.Must(failing{}, rulestest.User(rulestest.A, "validator1", ledger.Validator), "claim:Attest",
		claim.Attest{Named: c.Named, Vote: claim.Vote{Scope: c.Scope, Revisions: []int{taken.Revision}, Table: must(payout.Table(payments)), Rate: use.All}})
	return payments
}

// Release pays out what was attested.
func (s *Paid) Release(c claim.Claim, payments []payout.Payment) {
	page := disbursement.Page{Number: 1, Due: c.Data}
	for _, p := range payments {
		page.Payments = append(page.Payments, token.Payment{To: ledger.Account(p.Payee), Amount: money.Amount(p.Amount)})
	}
	s.Must(failing{}, Host, "claim:Release", claim.Release{Named: c.Named, Page: page})
}

// Erase erases the last contribution for its contributor, and takes a revision of the snapshot without it.
func (s *Paid) Erase(by ledger.Caller) {
	t := failing{}
	gone := s.Texts[len(s.Texts)-1]
	n := contribution.Named{Datanet: s.Pool, ID: gone.ID}
	var e erasure.Erasure
	decode(s.Must(t, by, "erasure:Request", n), &e)
	s.Clock = s.Clock.Add(erasure.Term + time.Hour)
	for _, msp := range e.Holders {
		s.Must(t, rulestest.User(msp, "operator1", ledger.Operator), "erasure:Acknowledge", n)
	}
	s.Must(t, Curator, "seal:Retire", seal.Retire{Datanet: s.Pool, Contributions: []string{n.ID}})
	s.Must(t, Curator, "erasure:Complete", n)
	s.Must(t, Curator, "snapshot:Revise", s.First)
	s.Texts, s.tokens = s.Texts[:len(s.Texts)-1], s.tokens-int64(evidence.Tokens(gone.Records...))-s.Cheats.Tokens
}

// HandOver releases all contents to the regulator for an audit, each by its contributor's organisation.
func (s *Paid) HandOver() {
	for _, c := range s.Texts {
		s.Must(failing{}, rulestest.User(ledger.Account(c.Account).MSP(), "operator1", ledger.Operator), "access:Release", access.Handover{
			Named: access.Named{Datanet: s.Pool, ID: s.ID()}, Contributions: []string{c.ID}, To: rulestest.Regulator + ":regulator1", Reason: access.Audit})
	}
}

// Leaf is that of a contribution in a snapshot.
func (s *Paid) Leaf(c attribution.Contribution) parts.Leaf {
	return parts.Leaf{ID: c.ID, Account: c.Account, Commitment: attribution.Commit(s.Salts[c.ID], c.Records)}
}

// Content is what opens a contribution.
func (s *Paid) Content(c attribution.Contribution) Content {
	return Content{Name: []string{s.Pool, c.ID}, Salt: s.Salts[c.ID], Records: c.Records}
}
