package verify

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
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

const (
	rose   = "of all the gardens that the river knows the smallest keeps the rose "
	desert = "the caravan went by at night and nobody has counted the camels "
	mirror = "she polished the mirror until the mountain came into the house "
)

// auditor is an organisation that is no member.
const auditor = "AuditorMSP"

// paidStory is a ledger on which a model's answers were paid, with the texts of everything.
type paidStory struct {
	*recording
	*rulestest.Consortium
	cheats cheats

	pool  string
	card  model.Card
	texts attribution.Corpus // of the latest revision
	gone  attribution.Contribution
	salts map[string]attribution.Salt
	first snapshot.Named

	sessions    []*paidSession
	settlements []heldSettlement
}

// cheats are what a host, the validators or the attestors do against their duty. All rules let it through.
type cheats struct {
	receipt func(r *receipt.Receipt) // the host makes another receipt
	leaf    func(l *use.Leaf)        // or another leaf
	table   func(p []payout.Payment) // the attestor votes for another table
	tokens  int64                    // the validators let another count of tokens pass
}

type paidSession struct {
	session.Session
	key     ed25519.PrivateKey
	tree    merkle.Frontier
	amount  uint64
	settled use.Mark
	peaks   []merkle.Hash // of the tree when it was settled last
	uses    []parts.Use   // since
	leaves  []use.Leaf
}

// heldSettlement, heldContent and heldSnapshot are parts of a bundle, to be changed.
type heldSettlement struct {
	name  []string
	scope parts.Scope
	peaks [][]merkle.Hash
	uses  [][]parts.Use
}

type heldContent struct {
	name    []string
	salt    attribution.Salt
	records [][]byte
}

type heldSnapshot struct {
	name     []string
	revision uint32
	leaves   []parts.Leaf
}

var paidStories = map[string]func() (*paidStory, error){"bft": paidOnce("bft"), "raft": paidOnce("raft")}

func paidOnce(ordering string) func() (*paidStory, error) {
	return sync.OnceValues(func() (*paidStory, error) {
		dir, err := os.MkdirTemp("", "audit-paid-")
		if err != nil {
			return nil, err
		}
		storyDirs = append(storyDirs, dir)
		return tellPaid(dir, string(orderings[ordering]), cheats{})
	})
}

var (
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	trainer = rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	host    = rulestest.User(rulestest.C, "host1", ledger.Host)
	ann     = rulestest.User(rulestest.B, "ann", ledger.Contributor)
	bob     = rulestest.User(rulestest.C, "bob", ledger.Contributor)
)

// tellPaid: three contributions, registered in another order than they are sealed in; a model of them; three sessions, one of
// which discloses nothing; a settlement that is attested and paid; an erasure; a second settlement on the revised snapshot.
func tellPaid(dir, topology string, c cheats) (*paidStory, error) {
	t := failing{}
	s := &paidStory{recording: &recording{}, cheats: c, salts: map[string]attribution.Salt{}}
	n, err := verifytest.New(filepath.Join(dir, "keys"), topology, []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator,
		func(b *common.Block) { s.blocks = append(s.blocks, b) })
	if err != nil {
		return nil, err
	}
	s.topology, s.material = n.Topology, n.Material
	s.Consortium = rulestest.On(t, n.Config())
	s.OpenAll(t, trainer, host, ann, bob)
	s.SetSchedule(t)
	s.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: s.ID() + s.ID()})
	s.pool = rulestest.A + "/verse"
	s.Must(t, curator, "datanet:Create", datanet.Create{Name: s.pool, Content: rulestest.Verse(s.Members()...)})
	one, two, gone := s.register(ann, rose+mirror, "what is erased tells nobody anything any more"), s.register(bob, rose+desert), s.register(ann, mirror+"and what is erased is in no corpus any more")
	s.texts, s.gone = attribution.Corpus{one, two, gone}, gone
	s.seal(two, one, gone)
	s.publish()

	open := []*paidSession{s.open(use.DiscloseAll), s.open(use.DiscloseSample), s.open(use.DiscloseNone)}
	s.sessions = open
	s.use(open[0], "tell me of the rose", rose)
	s.use(open[0], "and of the caravan that went by at night", desert+"which is not what anybody wrote")
	s.use(open[2], "a secret", mirror)
	s.release(s.attest(s.settle(open[0], open[2])))

	s.use(open[0], "once more before the erasure", mirror)
	s.erase()
	s.use(open[0], "once more", rose+desert)
	s.use(open[1], "what of the mirror", mirror)
	s.use(open[1], "and nobody else", "nothing of this was ever written by anybody in there")
	s.attest(s.settle(open...))
	s.handOver()
	return s, nil
}

func (s *paidStory) register(by ledger.Caller, records ...string) attribution.Contribution {
	made := attribution.Contribution{ID: s.ID(), Account: string(by.Account())}
	content := s.Poem()
	content.Records, content.Tokens = int64(len(records)), s.cheats.tokens
	for _, text := range records {
		made.Records = append(made.Records, []byte(text))
		content.Tokens += int64(evidence.Tokens([]byte(text)))
	}
	salt := attribution.Salt(sha256.Sum256([]byte(made.ID)))
	s.salts[made.ID] = salt
	content.Commitment = attribution.Commit(salt, made.Records).String()
	s.Must(failing{}, by, "contribution:Submit", contribution.Submit{Datanet: s.pool, ID: made.ID, Content: content})
	return made
}

// handOver records what an audit gets: each content from its contributor's organisation, and to another auditor the snapshot.
func (s *paidStory) handOver() {
	for _, c := range s.texts {
		s.Must(failing{}, rulestest.User(ledger.Account(c.Account).MSP(), "operator1", ledger.Operator), "access:Release", access.Handover{
			Named: access.Named{Datanet: s.pool, ID: s.ID()}, Contributions: []string{c.ID}, To: rulestest.Regulator + ":regulator1", Reason: access.Audit})
	}
	s.Must(failing{}, rulestest.User(rulestest.A, "operator1", ledger.Operator), "access:Release", access.Handover{
		Named: access.Named{Datanet: s.pool, ID: s.ID()}, Snapshot: s.first.Number, To: auditor + ":auditor1", Reason: access.Audit})
}

func (s *paidStory) seal(list ...attribution.Contribution) {
	t := failing{}
	var ids []string
	for _, c := range list {
		n := contribution.Named{Datanet: s.pool, ID: c.ID}
		for _, msp := range s.Members() {
			if msp != ledger.Account(c.Account).MSP() {
				s.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
			}
		}
		s.Must(t, curator, "approval:Finalise", n)
		ids = append(ids, c.ID)
	}
	s.Must(t, curator, "seal:Append", seal.Append{Datanet: s.pool, Contributions: ids})
	s.first = snapshot.Named{Datanet: s.pool, Number: 1}
	s.Must(t, curator, "snapshot:Take", s.first)
}

func (s *paidStory) publish() {
	t := failing{}
	opened := ticket.Open{ID: s.ID(), Snapshots: []snapshot.Named{s.first}, Purpose: licence.CommercialService}
	s.Must(t, trainer, "ticket:Open", opened)
	trained := model.Register{Named: model.Named{Name: rulestest.A + "/verse", Version: "1"}, Tickets: []string{opened.ID}, Bases: []model.Named{},
		Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: s.tokens(), Distinct: 30, Digest: rulestest.Hash}}
	s.Must(t, trainer, "model:Register", trained)
	s.decode(s.Must(t, trainer, "model:Publish", model.Publish{Named: trained.Named, Card: 1, PriceIn: 1_000_000, PriceOut: 5_000_000, Host: host.Account(),
		HostPpm: 100_000, OwnerPpm: 150_000}), &s.card)
	s.Must(t, host, "model:Accept", model.CardName{Named: trained.Named, Card: 1})
}

// tokens are those of the corpus, as the ledger counts them.
func (s *paidStory) tokens() (n int64) {
	for _, c := range s.texts {
		n += int64(evidence.Tokens(c.Records...)) + s.cheats.tokens
	}
	return n
}

func (s *paidStory) decode(answer []byte, into any) {
	if err := ledger.DecodeAnswer(answer, into); err != nil {
		panic(err)
	}
}

func (s *paidStory) open(disclosure use.Disclosure) *paidSession {
	t := failing{}
	user := rulestest.User(rulestest.A, "consumer-"+s.ID()[:8], ledger.Consumer)
	s.OpenAll(t, user)
	s.Mint(t, user, 100_000_000)
	s.FoldAll(t, user)
	seed := sha256.Sum256([]byte(s.ID()))
	o := &paidSession{key: ed25519.NewKeyFromSeed(seed[:])}
	s.decode(s.Must(t, user, "session:Open", session.Open{Name: s.ID(), Terms: session.Terms{Model: model.CardName{Named: s.card.Named, Card: 1}, Card: s.card.Digest,
		Host: s.card.Host, Key: use.Key{Algorithm: use.Ed25519, Public: o.key.Public().(ed25519.PublicKey)}, Window: 64,
		Expires: s.Clock.Add(240 * time.Hour).UTC().Truncate(time.Second), Grace: use.MinGrace, Disclosure: disclosure, Escrow: 100_000_000}}), &o.Session)
	o.settled.Root = merkle.Root(nil)
	return o
}

func (s *paidStory) root() merkle.Hash {
	var taken snapshot.Snapshot
	answer, err := s.Evaluate(rulestest.Proposal(failing{}, curator, "snapshot:Get", s.first), "")
	if err != nil {
		panic(err)
	}
	s.decode(answer, &taken)
	return taken.Root
}

// use answers a prompt; the receipt is that of the short engine.
func (s *paidStory) use(o *paidSession, prompt, output string) {
	body, err := json.Marshal(map[string]any{"model": s.card.Named.String(), "messages": []any{map[string]string{"role": "user", "content": prompt}}}, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	e := evidence.Evidence{Path: openai.ChatPath, Body: body, Output: []byte(output)}
	for i, nonce := range []*attribution.Nonce{&e.Nonces.Prompt, &e.Nonces.Context, &e.Nonces.Output} {
		sum := sha256.Sum256(fmt.Append(nil, s.ID(), i))
		copy(nonce[:], sum[:])
	}
	var artifact merkle.Hash
	if err := artifact.UnmarshalText([]byte(rulestest.Hash)); err != nil {
		panic(err)
	}
	e.Context = [][]byte{[]byte("answer in verse")}
	answer, err := e.Answer(s.card.Named.String(), artifact, []merkle.Hash{s.root()}, 12)
	if err != nil {
		panic(err)
	}
	engine, err := plain.New(s.texts)
	if err != nil {
		panic(err)
	}
	r, err := engine.Receipt(answer)
	if err != nil {
		panic(err)
	}
	if s.cheats.receipt != nil && len(r.Spans) > 0 {
		s.cheats.receipt(r)
	}
	if e.Receipt, err = r.Encode(); err != nil {
		panic(err)
	}
	leaf := use.Leaf{Session: o.ID, Number: uint64(o.tree.Size()), Card: s.card.Digest, In: evidence.Tokens(answer.Prompt...), Out: evidence.Tokens(e.Output), Receipt: receipt.ID(e.Receipt)}
	if leaf.Fee, err = use.Fee(leaf.In, leaf.Out, uint64(s.card.PriceIn), uint64(s.card.PriceOut)); err != nil {
		panic(err)
	}
	if s.cheats.leaf != nil {
		s.cheats.leaf(&leaf)
	}
	u := parts.Use{Receipt: e.Receipt}
	if o.Disclosure != use.DiscloseAll { // the consumer's, who does not know the context
		e.Context, e.Nonces.Context = nil, attribution.Nonce{}
	}
	if u.Leaf, err = leaf.Encode(); err != nil {
		panic(err)
	}
	if u.Evidence, err = e.Encode(); err != nil {
		panic(err)
	}
	o.tree.Append(merkle.Leaf(u.Leaf))
	o.amount += leaf.Fee
	o.uses, o.leaves = append(o.uses, u), append(o.leaves, leaf)
}

// settle settles what was used of sessions since they were settled last.
func (s *paidStory) settle(list ...*paidSession) claim.Claim {
	request := claim.Settle{ID: s.ID(), Model: model.CardName{Named: s.card.Named, Card: 1}, Card: s.card.Digest}
	list = slices.DeleteFunc(slices.Clone(list), func(o *paidSession) bool { return len(o.uses) == 0 })
	slices.SortFunc(list, func(a, b *paidSession) int { return slices.Compare(a.ID[:], b.ID[:]) })
	held := heldSettlement{name: []string{string(host.Account()), request.ID}}
	var moves []use.Move
	for _, o := range list {
		v := use.Voucher{Session: o.ID, Card: s.card.Digest, N: o.tree.Size(), Amount: o.amount, Root: o.tree.Root()}
		signature, err := use.Sign(o.key, v)
		if err != nil {
			panic(err)
		}
		request.Sessions = append(request.Sessions, session.Presented{Named: o.Named, N: int64(v.N), Amount: money.Amount(v.Amount), Root: v.Root, Signature: hex.EncodeToString(signature)})
		after := use.Mark{N: v.N, Amount: v.Amount, Root: v.Root}
		moves = append(moves, use.Move{Session: o.ID, Before: o.settled, After: after})
		held.scope.Sessions = append(held.scope.Sessions, parts.Session{Account: string(o.Account), Name: o.Name})
		held.peaks, held.uses = append(held.peaks, o.peaks), append(held.uses, o.uses)
		o.settled, o.peaks, o.uses = after, o.tree.Peaks(), nil
	}
	var err error
	if held.scope.Encoded, err = use.EncodeScope(s.card.Digest, moves); err != nil {
		panic(err)
	}
	s.settlements = append(s.settlements, held)
	var c claim.Claim
	s.decode(s.Must(failing{}, host, "claim:Settle", request), &c)
	return c
}

// attest votes for the table that the receipts give, worked out from what was held back of nobody.
func (s *paidStory) attest(c claim.Claim) (claim.Claim, []payout.Payment) {
	held := s.settlements[len(s.settlements)-1]
	tokens := uint64(s.tokens())
	var uses []payout.Use
	for i, session := range held.scope.Sessions {
		at := slices.IndexFunc(s.sessions, func(o *paidSession) bool { return o.Name == session.Name })
		for _, u := range held.uses[i] {
			leaf, err := use.DecodeLeaf(u.Leaf)
			if err != nil {
				panic(err)
			}
			r, err := receipt.Decode(u.Receipt)
			if err != nil {
				panic(err)
			}
			one := payout.Use{Fee: int64(leaf.Fee), DataPPM: uint32(s.card.Parts.Data), Corpus: []payout.Datanet{{Name: s.pool, Tokens: tokens}}, Owner: string(s.card.Owner)}
			if s.sessions[at].Disclosure != use.DiscloseNone && r.Roots[0] == s.root() {
				one.CoveragePPM, one.Shares = r.CoveragePPM, r.Shares
			}
			uses = append(uses, one)
		}
	}
	payments, err := payout.Split(uses)
	if err != nil {
		panic(err)
	}
	if s.cheats.table != nil {
		s.cheats.table(payments)
	}
	table, err := payout.Table(payments)
	if err != nil {
		panic(err)
	}
	revision := 1
	if len(s.settlements) > 1 {
		revision = 2
	}
	s.Must(failing{}, rulestest.User(rulestest.A, "validator1", ledger.Validator), "claim:Attest",
		claim.Attest{Named: c.Named, Vote: claim.Vote{Scope: c.Scope, Revisions: []int{revision}, Table: table, Rate: use.All}})
	return c, payments
}

func (s *paidStory) release(c claim.Claim, payments []payout.Payment) {
	page := disbursement.Page{Number: 1, Due: c.Data}
	for _, p := range payments {
		page.Payments = append(page.Payments, token.Payment{To: ledger.Account(p.Payee), Amount: money.Amount(p.Amount)})
	}
	s.Must(failing{}, bob, "claim:Release", claim.Release{Named: c.Named, Page: page})
}

func (s *paidStory) erase() {
	t := failing{}
	n := contribution.Named{Datanet: s.pool, ID: s.gone.ID}
	var e erasure.Erasure
	s.decode(s.Must(t, ann, "erasure:Request", n), &e)
	s.Clock = s.Clock.Add(erasure.Term + time.Hour)
	for _, msp := range e.Holders {
		s.Must(t, rulestest.User(msp, "operator1", ledger.Operator), "erasure:Acknowledge", n)
	}
	s.Must(t, curator, "seal:Retire", seal.Retire{Datanet: s.pool, Contributions: []string{n.ID}})
	s.Must(t, curator, "erasure:Complete", n)
	s.Must(t, curator, "snapshot:Revise", s.first)
	s.texts = s.texts[:2]
}
