package corpustest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// Server is the host's side of the network's model: it makes answers, leaves and receipts, honest ones or not, and is the
// meter of its archive.
type Server struct {
	Archive *archive.Archive

	n        *Network
	sessions map[merkle.Hash]*Session
	pending  []meter.Settlement
}

// Session is a session with both its sides: the host's answers, and the consumer's key.
type Session struct {
	session.Session

	host    *Server
	key     ed25519.PrivateKey
	sealer  evidence.Sealer
	answers []meter.Answer
	tree    merkle.Frontier
	amount  uint64
	settled use.Mark
}

// Use is an answer before it is committed, for tests to change.
type Use struct {
	Leaf     use.Leaf
	Evidence evidence.Evidence
	Receipt  *receipt.Receipt // encoded into the evidence, unless it is nil
	Keep     bool             // leave the leaf's receipt id as it is
}

// Serve begins to serve the network's model at its host's gateway.
func (n *Network) Serve() *Server {
	t, g := n.t, n.Gateways[n.Card.Host.MSP()]
	s := &Server{n: n, sessions: map[merkle.Hash]*Session{}}
	var err error
	s.Archive, err = archive.Open(t.Context(), archive.Options{Folder: t.TempDir(), DB: g.DB, Keys: g.Store, Meter: s, Ledger: g.Functions,
		Log: slog.New(slog.DiscardHandler), Now: n.Now, Sealer: func(ctx context.Context, sid merkle.Hash) (evidence.Sealer, error) {
			key, err := g.Store.Key(ctx, content.EvidenceKeys, sid.String())
			if err != nil {
				return evidence.Sealer{}, err
			}
			return evidence.NewSealer(key)
		}})
	require.NoError(t, err)
	g.Handle(archive.Prefix, s.Archive.Handler(Caller))
	return s
}

// Now is the ledger's time.
func (n *Network) Now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Consortium.Clock
}

// Pass lets time pass.
func (n *Network) Pass(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.Consortium.Clock = n.Consortium.Clock.Add(d)
}

// ArchiveOf reads archives as a gateway.
func (n *Network) ArchiveOf(g *Gateway) *archive.Client {
	return archive.NewClient(g.Transport(), n.addresses)
}

// Answers is the meter's.
func (s *Server) Answers(sid merkle.Hash, from uint64, most int) ([]meter.Answer, error) {
	of := s.sessions[sid]
	if of == nil || from > uint64(len(of.answers)) {
		return nil, meter.ErrUnknown
	}
	return of.answers[from:min(from+uint64(most), uint64(len(of.answers)))], nil
}

// Pending is the meter's.
func (s *Server) Pending() []meter.Settlement { return s.pending }

// Open has a consumer of an organisation open a session with a million credits.
func (s *Server) Open(msp string, disclosure use.Disclosure) *Session {
	n, t := s.n, s.n.t
	t.Helper()
	user := rulestest.User(msp, "consumer-"+ID()[:8], ledger.Consumer)
	n.mu.Lock()
	n.Consortium.OpenAll(t, user)
	n.Consortium.Mint(t, user, 1_000_000_000)
	n.Consortium.FoldAll(t, user)
	n.mu.Unlock()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := use.NewKey(public)
	require.NoError(t, err)
	o := &Session{host: s, key: private}
	terms := session.Terms{Model: model.CardName{Named: n.Card.Named, Card: n.Card.Card}, Card: n.Card.Digest, Host: n.Card.Host, Key: key, Window: 64,
		Expires: n.Now().Add(72 * time.Hour).UTC().Truncate(time.Second), Grace: use.MinGrace, Disclosure: disclosure, Escrow: 1_000_000_000}
	require.NoError(t, ledger.DecodeAnswer(n.Must(user, "session:Open", session.Open{Name: ID(), Terms: terms}), &o.Session))
	g := n.Gateways[n.Card.Host.MSP()]
	drawn, err := g.Store.DrawKey(t.Context(), content.EvidenceKeys, o.ID.String())
	require.NoError(t, err)
	o.sealer, err = evidence.NewSealer(drawn)
	require.NoError(t, err)
	o.settled.Root = merkle.Root(nil)
	s.sessions[o.ID] = o
	return o
}

// Use answers a prompt with an output, over the corpus of all that was uploaded. change may make it wrong.
func (o *Session) Use(prompt, output string, change ...func(*Use)) {
	n, t := o.host.n, o.host.n.t
	t.Helper()
	body, err := json.Marshal(map[string]any{"model": n.Card.Named.String(), "messages": []any{map[string]string{"role": "user", "content": prompt}}}, json.Deterministic(true))
	require.NoError(t, err)
	u := &Use{Evidence: evidence.Evidence{Path: openai.ChatPath, Body: body, Output: []byte(output)}}
	for _, nonce := range []*attribution.Nonce{&u.Evidence.Nonces.Prompt, &u.Evidence.Nonces.Context, &u.Evidence.Nonces.Output} {
		_, err := rand.Read(nonce[:])
		require.NoError(t, err)
	}
	artifact, err := hex.DecodeString(rulestest.Hash)
	require.NoError(t, err)
	answer, err := u.Evidence.Answer(n.Card.Named.String(), merkle.Hash(artifact), []merkle.Hash{n.root()}, 12)
	require.NoError(t, err)
	u.Receipt = n.Receipt(answer)
	u.Leaf = use.Leaf{Session: o.ID, Number: uint64(len(o.answers)), Card: o.Card, In: evidence.Tokens(answer.Prompt...), Out: evidence.Tokens(u.Evidence.Output)}
	u.Leaf.Fee, err = use.Fee(u.Leaf.In, u.Leaf.Out, uint64(n.Card.PriceIn), uint64(n.Card.PriceOut))
	require.NoError(t, err)
	for _, c := range change {
		c(u)
	}
	if u.Receipt != nil {
		u.Evidence.Receipt, err = u.Receipt.Encode()
		require.NoError(t, err)
	}
	if !u.Keep {
		u.Leaf.Receipt = receipt.ID(u.Evidence.Receipt)
	}
	hash, err := u.Leaf.Hash()
	require.NoError(t, err)
	o.tree.Append(hash)
	o.amount += u.Leaf.Fee
	encoded, err := u.Evidence.Encode()
	require.NoError(t, err)
	o.answers = append(o.answers, meter.Answer{Place: uint64(len(o.answers)), Leaf: u.Leaf, Evidence: o.sealer.Seal(o.ID, u.Leaf.Receipt, encoded)})
}

// Rewrite changes the leaf of an answer that was given before, and returns all leaves as they are then.
func (o *Session) Rewrite(place int, change func(*use.Leaf)) (leaves []byte) {
	t := o.host.n.t
	t.Helper()
	change(&o.answers[place].Leaf)
	o.tree, o.amount = merkle.Frontier{}, 0
	for _, a := range o.answers {
		encoded, err := a.Leaf.Encode()
		require.NoError(t, err)
		hash, err := a.Leaf.Hash()
		require.NoError(t, err)
		o.tree.Append(hash)
		o.amount += a.Leaf.Fee
		leaves = append(leaves, encoded...)
	}
	return leaves
}

// Receipt computes a receipt over the corpus of all that was uploaded.
func (n *Network) Receipt(answer attribution.Answer) *receipt.Receipt {
	n.t.Helper()
	view, err := index.InMemory(n.t.Context(), index.FromCorpus(n.texts), index.Options{})
	require.NoError(n.t, err)
	r, err := indexed.New(view).Receipt(answer)
	require.NoError(n.t, err)
	return r
}

// root is that of the card's snapshot in its latest revision.
func (n *Network) root() merkle.Hash {
	n.t.Helper()
	answer, err := n.Gateways[rulestest.A].Evaluate(n.t.Context(), "snapshot:Get", n.Card.Snapshots[0])
	require.NoError(n.t, err)
	var s snapshot.Snapshot
	require.NoError(n.t, ledger.DecodeAnswer(answer, &s))
	return s.Root
}

// Item is the session as it is settled, with a voucher for all answers so far.
func (o *Session) Item() meter.Item {
	t := o.host.n.t
	v := use.Voucher{Session: o.ID, Card: o.Card, N: o.tree.Size(), Amount: o.amount, Root: o.tree.Root()}
	signature, err := use.Sign(o.key, v)
	require.NoError(t, err)
	item := meter.Item{Session: o.ID, Account: string(o.Account), Voucher: v, Signature: signature, Before: o.settled}
	_, err = hex.Decode(item.Name[:], []byte(o.Name))
	require.NoError(t, err)
	return item
}

// Settle archives and settles sessions.
func (s *Server) Settle(sessions ...*Session) claim.Claim {
	n, t := s.n, s.n.t
	t.Helper()
	settlement := meter.Settlement{ID: ID(), Card: n.Card.Digest}
	request := claim.Settle{ID: settlement.ID, Model: sessions[0].Model, Card: n.Card.Digest}
	for _, o := range sessions {
		item := o.Item()
		settlement.Items = append(settlement.Items, item)
		request.Sessions = append(request.Sessions, session.Presented{Named: o.Named, N: int64(item.Voucher.N), Amount: money.Amount(item.Voucher.Amount),
			Root: item.Voucher.Root, Signature: hex.EncodeToString(item.Signature)})
	}
	s.pending = append(s.pending, settlement)
	require.NoError(t, s.Archive.Archive(t.Context(), settlement))
	require.NoError(t, s.Archive.Archive(t.Context(), settlement), "the same again is done")
	var c claim.Claim
	require.NoError(t, ledger.DecodeAnswer(n.Must(Host, "claim:Settle", request), &c))
	s.pending = nil
	for _, o := range sessions {
		o.settled = use.Mark{N: o.tree.Size(), Amount: o.amount, Root: o.tree.Root()}
	}
	return c
}
