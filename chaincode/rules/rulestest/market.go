package rulestest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// Market is a consortium with a published model of A, which C hosts, on A's datanet of three contributions: two of Ann of
// B, one of Bob of C. A, B and C validate; so A and B attest.
type Market struct {
	*Consortium
	Pool          string
	Contributions []string
	Card          model.Card

	Curator, Trainer, Host, Ann, Bob ledger.Caller
}

// NewMarket opens a market. C has accepted the rate card: a credit for 1,000 tokens in, five for 1,000 out; of every fee
// 60 % for the data, 10 % for the validators, 5 % for the platform, 10 % for the host and 15 % for the owner, who gets what
// a changed datanet does not ask.
func NewMarket(t T, change ...func(*datanet.Content)) *Market {
	t.Helper()
	return MarketOn(t, New(t), change...)
}

// MarketOn opens a market of a consortium, as [NewMarket] does.
func MarketOn(t T, c *Consortium, change ...func(*datanet.Content)) *Market {
	t.Helper()
	m := &Market{Consortium: c, Curator: User(A, "curator1", ledger.Curator), Trainer: User(A, "trainer1", ledger.Trainer),
		Host: User(C, "host1", ledger.Host), Ann: User(B, "ann", ledger.Contributor), Bob: User(C, "bob", ledger.Contributor)}
	m.OpenAll(t, m.Trainer, m.Host, m.Ann, m.Bob)
	m.SetSchedule(t)
	m.Pool = m.Consortium.Pool(t, change...)
	for _, n := range append(m.Approved(t, m.Ann, m.Pool, 2), m.Approved(t, m.Bob, m.Pool, 1)...) {
		m.Contributions = append(m.Contributions, n.ID)
	}
	m.Must(t, m.Curator, "seal:Append", seal.Append{Datanet: m.Pool, Contributions: m.Contributions})
	first := snapshot.Named{Datanet: m.Pool, Number: 1}
	m.Must(t, m.Curator, "snapshot:Take", first)
	released := ticket.Open{ID: m.ID(), Snapshots: []snapshot.Named{first}, Purpose: licence.CommercialService}
	m.Must(t, m.Trainer, "ticket:Open", released)
	trained := model.Register{Named: model.Named{Name: A + "/verse", Version: "1"}, Tickets: []string{released.ID}, Bases: []model.Named{},
		Artifacts: []string{Hash}, Manifest: Hash, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: 12, Distinct: 3, Digest: Hash}}
	var registered model.Model
	if err := ledger.DecodeAnswer(m.Must(t, m.Trainer, "model:Register", trained), &registered); err != nil {
		t.Fatalf("%v", err)
	}
	card := model.Publish{Named: trained.Named, Card: 1, PriceIn: 1_000_000, PriceOut: 5_000_000, Host: m.Host.Account(), HostPpm: 100_000,
		OwnerPpm: 850_000 - registered.Due.DataPpm - registered.Due.ValidatorsPpm}
	if err := ledger.DecodeAnswer(m.Must(t, m.Trainer, "model:Publish", card), &m.Card); err != nil {
		t.Fatalf("%v", err)
	}
	m.Must(t, m.Host, "model:Accept", model.CardName{Named: trained.Named, Card: 1})
	return m
}

// CardName names the rate card.
func (m *Market) CardName() model.CardName {
	return model.CardName{Named: m.Card.Named, Card: m.Card.Card}
}

// Consumer is a new user of an organisation with an open account and so many micro-credits in its balance.
func (m *Market) Consumer(t T, msp string, amount money.Amount) ledger.Caller {
	t.Helper()
	user := User(msp, "consumer-"+m.ID()[:8], ledger.Consumer)
	m.OpenAll(t, user)
	m.Mint(t, user, amount)
	m.FoldAll(t, user)
	return user
}

// Payer holds the spending key of a session, and the tree over its uses.
type Payer struct {
	session.Session
	key    ed25519.PrivateKey
	tree   merkle.Frontier
	amount money.Amount
}

// Terms are those of a session under the market's card that expires in two days, with 24 hours of grace and the spending
// key of a seed.
func (m *Market) Terms(seed string, escrow money.Amount) session.Terms {
	return session.Terms{Model: m.CardName(), Card: m.Card.Digest, Host: m.Card.Host, Key: publicOf(spendingKey(seed)), Window: 4,
		Expires: m.Clock.Add(48 * time.Hour).UTC().Truncate(time.Second), Grace: use.MinGrace, Disclosure: use.DiscloseSample, Escrow: escrow}
}

// Open opens a session.
func (m *Market) Open(t T, by ledger.Caller, escrow money.Amount) *Payer {
	t.Helper()
	name := m.ID()
	p := &Payer{key: spendingKey(name)}
	answer := m.Must(t, by, "session:Open", session.Open{Name: name, Terms: m.Terms(name, escrow)})
	if err := ledger.DecodeAnswer(answer, &p.Session); err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

func spendingKey(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func publicOf(key ed25519.PrivateKey) use.Key {
	return use.Key{Algorithm: use.Ed25519, Public: key.Public().(ed25519.PublicKey)}
}

// Use adds an answer of a fee to the session.
func (p *Payer) Use(t T, fee money.Amount) {
	t.Helper()
	leaf := use.Leaf{Session: p.ID, Number: p.tree.Size(), Card: p.Card, In: 1, Out: 1, Fee: uint64(fee)}
	hash, err := leaf.Hash()
	if err != nil {
		t.Fatalf("%v", err)
	}
	p.tree.Append(hash)
	p.amount += fee
}

// Present is the session's latest voucher.
func (p *Payer) Present(t T, funds ...string) session.Presented {
	t.Helper()
	v := use.Voucher{Session: p.ID, Card: p.Card, N: p.tree.Size(), Amount: uint64(p.amount), Root: p.tree.Root()}
	signature, err := use.Sign(p.key, v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return session.Presented{Named: p.Named, N: int64(v.N), Amount: p.amount, Root: v.Root, Signature: hex.EncodeToString(signature), Funds: funds}
}
