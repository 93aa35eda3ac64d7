package session_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/session"
)

func TestASessionIsOpenedAsTheLedgerCanKeepIt(t *testing.T) {
	m := rulestest.NewMarket(t)
	ann := m.Consumer(t, rulestest.B, 1_000)
	good := m.Terms("a key", 1_000)
	for claimed, refused := range map[string]struct {
		change func(*session.Terms)
		code   ledger.Code
		field  string
	}{
		"more than there is":           {func(s *session.Terms) { s.Escrow = 1_001 }, ledger.CodeInsufficient, ""},
		"a card that is not in force":  {func(s *session.Terms) { s.Model.Card = 2 }, ledger.CodeState, "model.card"},
		"no card":                      {func(s *session.Terms) { s.Model.Card = 0 }, ledger.CodeInvalid, "model.card"},
		"another card's digest":        {func(s *session.Terms) { s.Card = merkle.Hash{1} }, ledger.CodeInvalid, "card"},
		"another host":                 {func(s *session.Terms) { s.Host = m.Ann.Account() }, ledger.CodeInvalid, "host"},
		"an unknown model":             {func(s *session.Terms) { s.Model.Version = "2" }, ledger.CodeNotFound, "model.name"},
		"no uses":                      {func(s *session.Terms) { s.Window = 0 }, ledger.CodeInvalid, "window"},
		"a window without bound":       {func(s *session.Terms) { s.Window = session.MaxWindow + 1 }, ledger.CodeInvalid, "window"},
		"less than a day of grace":     {func(s *session.Terms) { s.Grace = 23 }, ledger.CodeInvalid, "grace"},
		"an expiry that is near":       {func(s *session.Terms) { s.Expires = m.Clock.Add(time.Minute) }, ledger.CodeInvalid, "expires"},
		"an expiry that is far":        {func(s *session.Terms) { s.Expires = m.Clock.Add(session.MaxTerm + time.Hour) }, ledger.CodeInvalid, "expires"},
		"an expiry in parts of second": {func(s *session.Terms) { s.Expires = s.Expires.Add(time.Millisecond) }, ledger.CodeInvalid, "expires"},
	} {
		terms := good
		refused.change(&terms)
		_, fault := m.Try(t, ann, "session:Open", session.Open{Name: m.ID(), Terms: terms})
		require.NotNil(t, fault, claimed)
		require.Equal(t, refused.code, fault.Code, "%s: %v", claimed, fault)
		require.Equal(t, refused.field, fault.Field, "%s: %v", claimed, fault)
	}
	p := m.Open(t, ann, 1_000)
	other := m.Terms(p.Name, 999)
	_, fault := m.Try(t, ann, "session:Open", session.Open{Name: p.Name, Terms: other})
	require.Equal(t, ledger.CodeExists, fault.Code)
	require.NotEqual(t, p.ID, m.Open(t, ann, 0).ID, "each session has an id of its own")
}

func TestAFreeModelNeedsNoSession(t *testing.T) {
	m := rulestest.NewMarket(t, rulestest.Open)
	ann := m.Consumer(t, rulestest.B, 1_000)
	card := m.Card.Publish
	card.Card, card.PriceIn, card.PriceOut = 2, 0, 0
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, m.Trainer, "model:Publish", card), &m.Card))
	require.True(t, m.Card.Free())
	m.Must(t, m.Host, "model:Accept", m.CardName())
	_, fault := m.Try(t, ann, "session:Open", session.Open{Name: m.ID(), Terms: m.Terms("a key", 1_000)})
	require.NotNil(t, fault)
	require.Equal(t, ledger.CodeState, fault.Code)
	require.Contains(t, fault.Message, "costs nothing")
}

func TestTheIDIsThatOfTheTerms(t *testing.T) {
	m := rulestest.NewMarket(t)
	p := m.Open(t, m.Consumer(t, rulestest.B, 1_000), 1_000)
	terms := use.Terms{Account: string(p.Account), Host: string(p.Host), Card: p.Card, Key: p.Key, Window: 4, Expires: uint64(p.Expires.Unix()),
		Grace: 24, Disclosure: use.DiscloseSample, Escrow: 1_000}
	_, err := hex.Decode(terms.Name[:], []byte(p.Name))
	require.NoError(t, err)
	id, err := terms.Session("datanet")
	require.NoError(t, err)
	require.Equal(t, id, p.ID)
}

func TestAP256KeySpendsASession(t *testing.T) {
	m := rulestest.NewMarket(t)
	ann := m.Consumer(t, rulestest.B, 50_000)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	terms := m.Terms("unused", 50_000)
	terms.Key, err = use.NewKey(private.Public())
	require.NoError(t, err)
	var s session.Session
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, ann, "session:Open", session.Open{Name: m.ID(), Terms: terms}), &s))
	v := use.Voucher{Session: s.ID, Card: s.Card, N: 1, Amount: 10_000, Root: merkle.Hash{1}, Request: merkle.Hash{2}}
	signature, err := use.Sign(private, v)
	require.NoError(t, err)
	presented := session.Presented{Named: s.Named, N: 1, Amount: 10_000, Root: v.Root, Request: v.Request, Signature: hex.EncodeToString(signature)}
	settle := claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{presented}}
	without := settle
	without.Sessions = []session.Presented{presented}
	without.Sessions[0].Request = merkle.Hash{}
	_, fault := m.Try(t, m.Host, "claim:Settle", without)
	require.Equal(t, "sessions.0.signature", fault.Field, "the request is signed too")
	m.Must(t, m.Host, "claim:Settle", settle)
}

func TestWhatOneSessionKeepsAfterNewPrices(t *testing.T) {
	m := rulestest.NewMarket(t)
	ann := m.Consumer(t, rulestest.B, 100_000)
	p := m.Open(t, ann, 50_000)
	old, oldCard := m.CardName(), m.Card.Digest
	card := m.Card.Publish
	card.Card, card.PriceOut = 2, 9_000_000
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, m.Trainer, "model:Publish", card), &m.Card))
	m.Must(t, m.Host, "model:Accept", model.CardName{Named: card.Named, Card: 2})
	m.Must(t, m.Trainer, "model:Retire", card.Named)
	p.Use(t, 10_000)
	_, fault := m.Try(t, m.Host, "claim:Settle", claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest, Sessions: []session.Presented{p.Present(t)}})
	require.Equal(t, "sessions.0.name", fault.Field, "it is under the first card")
	m.Must(t, m.Host, "claim:Settle", claim.Settle{ID: m.ID(), Model: old, Card: oldCard, Sessions: []session.Presented{p.Present(t)}})
}

// TestNothingThatAConsumerSendsMakesASettlementFail puts into one block everything that a consumer can send before expiry
// and grace have passed, in front of a settlement.
func TestNothingThatAConsumerSendsMakesASettlementFail(t *testing.T) {
	m := rulestest.NewMarket(t)
	ann := m.Consumer(t, rulestest.B, 100_000)
	p := m.Open(t, ann, 50_000)
	p.Use(t, 10_000)
	fund := session.TopUp{Name: p.Name, ID: m.ID(), Amount: 1}
	m.Must(t, ann, "session:TopUp", fund)
	var envelopes []*memledger.Envelope
	for _, call := range []memledger.Proposal{
		rulestest.Proposal(t, m.Host, "claim:Settle", claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest,
			Sessions: []session.Presented{p.Present(t, fund.ID)}}),
		rulestest.Proposal(t, ann, "session:TopUp", session.TopUp{Name: p.Name, ID: m.ID(), Amount: money.Amount(5)}),
		rulestest.Proposal(t, ann, "session:Open", session.Open{Name: m.ID(), Terms: m.Terms("next", 0)}),
	} {
		envelope, err := m.Propose(call)
		require.NoError(t, err)
		envelopes = append(envelopes, envelope)
	}
	for _, function := range []string{"session:Expire", "session:Reclaim"} {
		_, err := m.Propose(rulestest.Proposal(t, ann, function, p.Named))
		require.Equal(t, ledger.CodeState, ledger.AsFault(err).Code, function)
	}
	for _, i := range []int{1, 2, 0} {
		require.NoError(t, m.Submit(envelopes[i]))
	}
	block, err := m.Cut()
	require.NoError(t, err)
	require.Equal(t, memledger.Valid, block.Flags[0])
	require.Equal(t, memledger.Valid, block.Flags[2], "the settlement")
}
