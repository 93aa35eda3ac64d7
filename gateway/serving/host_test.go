package serving_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

const credits = 1_000_000

func chat(model, text, more string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, text, more)
}

func (h *house) model() string { return h.market.Card.Named.String() }

func TestAPaidAnswerComesWithItsReceiptAndIsSignedFor(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	for i, c := range []struct{ path, body string }{
		{openai.ChatPath, chat(h.model(), "we happy", `,"seed":7`)},
		{openai.ChatPath, chat(h.model(), "we happy", `,"seed":7,"stream":true`)},
		{openai.TextPath, fmt.Sprintf(`{"model":%q,"prompt":"the quality of","max_tokens":6,"seed":2}`, h.model())},
		{openai.TextPath, fmt.Sprintf(`{"model":%q,"prompt":"the quality of","max_tokens":6,"seed":2,"stream":true}`, h.model())},
		{openai.ChatPath, chat(h.model(), "Shall I compare", "")},
	} {
		a := p.ask(c.body, 100_000)
		s := p.post(a, c.path, c.body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		require.NotEmpty(t, s.text)
		require.NotNil(t, s.paid)
		require.EqualValues(t, i, s.paid.Place)
		require.Equal(t, evidence.Tokens([]byte(s.text)), s.usage.CompletionTokens, "usage counts canonical tokens")
		if s.header.Get("Content-Type") != openai.StreamType {
			require.Equal(t, s.paid.ReceiptID.String(), s.header.Get(openai.ReceiptHeader))
		}
		require.NoError(t, p.take(c.path, s.text, s.paid))

		r, err := receipt.Decode(s.paid.Receipt)
		require.NoError(t, err)
		require.Equal(t, roots, r.Roots)
		stored, err := h.host.Receipt(t.Context(), s.paid.ReceiptID)
		require.NoError(t, err)
		require.Equal(t, s.paid.Receipt, stored)

		again := p.post(a, c.path, c.body)
		require.Equal(t, http.StatusOK, again.status)
		require.Equal(t, s.text, again.text, "the same request gets the stored answer")
		require.Equal(t, s.paid, again.paid)
		require.Equal(t, s.usage, again.usage)
		require.Equal(t, s.finish, again.finish)
	}
	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.EqualValues(t, 5, funds.Uses)
	require.EqualValues(t, 4, funds.Vouched.N, "each request brings the voucher for the answers before it")
}

func TestAnAnswerFollowsFromItsSeed(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	texts := map[string]bool{}
	for _, seed := range []string{`,"seed":5`, `,"seed":5`, `,"seed":5,"temperature":1.5`} {
		body := chat(h.model(), "we", seed)
		s := p.post(p.ask(body, 100_000), openai.ChatPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		require.NoError(t, p.take(openai.ChatPath, s.text, s.paid))
		texts[s.text] = true
	}
	require.Len(t, texts, 1)
}

func TestAnAnswerStaysWithinItsCap(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	body := fmt.Sprintf(`{"model":%q,"prompt":"we happy few","seed":7,"max_tokens":50}`, h.model())
	// Three tokens in at 1,000 micro-credits, and as many out at 5,000 as fit.
	for _, c := range []struct{ cap, tokens uint64 }{{8_000, 1}, {12_999, 1}, {13_000, 2}} {
		s := p.post(p.ask(body, c.cap), openai.TextPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		require.Equal(t, c.tokens, s.usage.CompletionTokens)
		require.Equal(t, openai.FinishLength, s.finish)
		require.Equal(t, fmt.Sprint(3000+c.tokens*5000), s.paid.Fee)
		require.NoError(t, p.take(openai.TextPath, s.text, s.paid))
	}
	for _, cap := range []uint64{0, 2_999, 7_999} {
		a := p.ask(body, cap)
		s := p.post(a, openai.TextPath, body)
		require.Equal(t, openai.CodeCap, s.fault.Code)
		require.NoError(t, p.wallet.Drop(p.session.ID, a.Request.Number))
	}
	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.Zero(t, funds.Unfinished, "what is refused leaves nothing behind")
}

func TestStopTextsEndTheBuiltInModelsAnswer(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	body := fmt.Sprintf(`{"model":%q,"prompt":"we happy","seed":7,"stop":["band","rain"],"stream":true}`, h.model())
	s := p.post(p.ask(body, 100_000), openai.TextPath, body)
	require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
	require.NotContains(t, s.text, "band")
	require.NoError(t, p.take(openai.TextPath, s.text, s.paid))
}

func TestWhatAVoucherDoesNotAllowIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	p, other := h.payer(credits, nil), h.payer(credits, nil)
	body := chat(h.model(), "we happy", `,"seed":7`)
	good := p.ask(body, 100_000)
	s := p.post(good, openai.ChatPath, body)
	require.Equal(t, http.StatusOK, s.status)

	refused := func(code openai.Code, a openai.Ask, body string) {
		t.Helper()
		s := p.post(a, openai.ChatPath, body)
		require.NotNil(t, s.fault, "%s", s.raw)
		require.Equal(t, code, s.fault.Code, "%s", s.fault.Message)
	}
	resign := func(a openai.Ask, key ed25519.PrivateKey) openai.Ask {
		var err error
		a.Voucher.Request, err = a.Request.Digest()
		require.NoError(t, err)
		a.Signature, err = use.Sign(key, a.Voucher)
		require.NoError(t, err)
		return a
	}
	refused(openai.CodeVoucher, good, body+" ") // another body than was signed
	swapped := good
	swapped.Request.Cap++
	refused(openai.CodeVoucher, swapped, body) // another cap than was signed
	refused(openai.CodeVoucher, resign(good, other.key), body)
	foreign := good
	foreign.Voucher.Session = other.session.ID
	refused(openai.CodeVoucher, resign(foreign, p.key), body)
	twice := good
	twice.Request.Body = sha256.Sum256([]byte(body + " "))
	refused(openai.CodeConflict, resign(twice, p.key), body+" ")
	much := good
	much.Request.Number, much.Request.Cap = 900, credits
	refused(openai.CodeFunds, resign(much, p.key), body)
	inflated := good
	inflated.Request.Number = 901
	inflated.Voucher.N, inflated.Voucher.Amount = 1, 1
	refused(openai.CodeVoucher, resign(inflated, p.key), body)
	none := p.ask(chat("M/none@1", "x", ""), 100_000)
	refused(openai.CodeNotFound, none, chat("M/none@1", "x", ""))
	unknown := good
	unknown.Voucher.Session = merkle.Hash{9}
	begun := time.Now()
	refused(openai.CodeSessionUnknown, resign(unknown, p.key), body)
	require.GreaterOrEqual(t, time.Since(begun), 4*time.Second, "the index may be about to show it")

	for _, header := range []string{"", "x", strings.Repeat("A", 371), base64.RawURLEncoding.EncodeToString(make([]byte, 278))} {
		s, err := h.send(t.Context(), openai.ChatPath, body, openai.VoucherHeader, header)
		require.NoError(t, err)
		require.Equal(t, openai.CodeVoucher, s.fault.Code)
	}
	text, err := good.Encode()
	require.NoError(t, err)
	s, err = h.send(t.Context(), openai.ChatPath, body, openai.VoucherHeader, text, openai.VoucherHeader, text)
	require.NoError(t, err)
	require.Equal(t, openai.CodeVoucher, s.fault.Code)
	s, err = h.send(t.Context(), openai.ChatPath, strings.Repeat(" ", openai.MaxBody+1), openai.VoucherHeader, text)
	require.NoError(t, err)
	require.Equal(t, openai.CodeTooLarge, s.fault.Code)

	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, funds.Uses)
	require.Zero(t, funds.Unfinished)
}

func TestAConsumerThatStopsPayingGetsItsWindowAndNoMore(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	body := chat(h.model(), "we happy", `,"seed":7`)
	var answers []said
	first := p.ask(body, 10_000)
	for q := range uint64(4) {
		a := first
		a.Request.Number = q
		var err error
		a.Voucher.Request, err = a.Request.Digest()
		require.NoError(t, err)
		a.Signature, err = use.Sign(p.key, a.Voucher)
		require.NoError(t, err)
		s := p.post(a, openai.ChatPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		answers = append(answers, s)
		p.bodies[q] = []byte(body)
	}
	a := first
	a.Request.Number = 4
	var err error
	a.Voucher.Request, err = a.Request.Digest()
	require.NoError(t, err)
	a.Signature, err = use.Sign(p.key, a.Voucher)
	require.NoError(t, err)
	s := p.post(a, openai.ChatPath, body)
	require.Equal(t, openai.CodeWindow, s.fault.Code)
	require.Equal(t, http.StatusTooManyRequests, s.status)

	// A voucher that comes alone opens the window again.
	for _, s := range answers {
		require.NoError(t, p.take(openai.ChatPath, s.text, s.paid))
	}
	v, signature, err := p.wallet.Voucher(p.session.ID, p.key)
	require.NoError(t, err)
	header, err := openai.EncodeVoucherHeader(v, signature)
	require.NoError(t, err)
	require.NoError(t, h.host.Vouch(t.Context(), header))
	require.Equal(t, http.StatusOK, p.post(a, openai.ChatPath, body).status)
}

func TestAnExpiredAndAnEndedSessionAnswerNothing(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	body := chat(h.model(), "we happy", "")
	a := p.ask(body, 10_000)
	h.mu.Lock()
	h.clock = p.session.Expires
	h.mu.Unlock()
	s := p.post(a, openai.ChatPath, body)
	require.Equal(t, openai.CodeSessionExpired, s.fault.Code)
	h.ledger.Lock()
	h.market.Clock = p.session.Ends()
	h.ledger.Unlock()
	h.must(p.by, "session:Expire", p.session.Named)
	soon(t, func() bool {
		funds, err := h.meter.Session(p.session.ID)
		return err == nil && funds.Ended
	})
	s = p.post(a, openai.ChatPath, body)
	require.Equal(t, openai.CodeSessionExpired, s.fault.Code)
}

func TestOfAnEndedSessionOnlyTheReceiptsStay(t *testing.T) {
	h := newHouse(t, nil)
	p, other := h.payer(credits, nil), h.payer(credits, nil)
	body := chat(h.model(), "we happy", "")
	s := p.post(p.ask(body, 100_000), openai.ChatPath, body)
	require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
	require.Equal(t, http.StatusOK, other.post(other.ask(body, 100_000), openai.ChatPath, body).status)
	require.NoError(t, h.host.Forget(t.Context()))
	_, err := h.meter.Session(p.session.ID)
	require.NoError(t, err, "it has not ended")
	require.NoError(t, h.meter.End(p.session.ID))
	require.NoError(t, h.host.Forget(t.Context()))
	_, err = h.meter.Session(p.session.ID)
	require.ErrorIs(t, err, meter.ErrUnknown)
	_, err = h.keys.Key(t.Context(), content.EvidenceKeys, p.session.ID.String())
	require.ErrorIs(t, err, content.ErrNoKey, "what the journal still has of it cannot be read")
	_, err = h.host.Answers(t.Context(), p.by.MSP, p.session.ID, 0, 10)
	require.ErrorIs(t, err, meter.ErrUnknown)
	stored, err := h.host.Receipt(t.Context(), s.paid.ReceiptID)
	require.NoError(t, err)
	require.Equal(t, s.paid.Receipt, stored)
	_, err = h.keys.Key(t.Context(), content.EvidenceKeys, other.session.ID.String())
	require.NoError(t, err)
}

func TestASessionWhoseBooksAreLostIsRefusedAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	h.ledger.Lock()
	before := h.market.Open(t, h.market.Consumer(t, rulestest.A, 1_000_000), 500_000)
	before.Use(t, 10_000)
	h.market.Must(t, h.market.Host, "claim:Settle", claim.Settle{ID: h.market.ID(), Model: h.market.CardName(), Card: h.market.Card.Digest, Sessions: []ledgersession.Presented{before.Present(t)}})
	h.ledger.Unlock()
	h.medium = &journaltest.Memory{}
	h.restart()
	body := chat(h.model(), "we happy", "")
	a := p.ask(body, 100_000)
	soon(t, func() bool { return p.post(a, openai.ChatPath, body).status == http.StatusOK }) // what it knows nothing of and is not settled begins anew
	a.Voucher.Session = before.Session.ID
	s := p.post(a, openai.ChatPath, body)
	require.NotNil(t, s.fault)
	require.Equal(t, openai.CodeVoucher, s.fault.Code)
	require.Contains(t, s.fault.Message, "open another session")
}

func TestTopUpsAreFollowed(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(10_000, nil)
	body := chat(h.model(), "we happy", "")
	a := p.ask(body, 10_000)
	a.Request.Cap = 20_000
	var err error
	a.Voucher.Request, err = a.Request.Digest()
	require.NoError(t, err)
	a.Signature, err = use.Sign(p.key, a.Voucher)
	require.NoError(t, err)
	require.Equal(t, openai.CodeFunds, p.post(a, openai.ChatPath, body).fault.Code)
	h.must(p.by, "session:TopUp", ledgersession.TopUp{Name: p.session.Name, ID: strings.Repeat("ab", 16), Amount: money.Amount(10_000)})
	soon(t, func() bool {
		funds, err := h.meter.Session(p.session.ID)
		return err == nil && funds.Funded == 20_000
	})
	require.Equal(t, http.StatusOK, p.post(a, openai.ChatPath, body).status)
	h.restart()
	soon(t, func() bool { return p.post(a, openai.ChatPath, body).status == http.StatusOK })
	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.EqualValues(t, 20_000, funds.Funded, "a top-up counts once")
}

func TestARestartLosesNothingThatWasCommitted(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	var asks []openai.Ask
	var answers []said
	for i := range 3 {
		body := chat(h.model(), "we happy", fmt.Sprintf(`,"seed":%d`, i))
		a := p.ask(body, 100_000)
		s := p.post(a, openai.ChatPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		asks, answers = append(asks, a), append(answers, s)
	}
	// As if nothing but the last one had come to the store of receipts.
	require.NoError(t, h.host.Flush(t.Context()))
	_, err := h.db.ExecContext(t.Context(), "DELETE FROM receipts WHERE id <> ?", answers[2].paid.ReceiptID[:])
	require.NoError(t, err)
	h.restart()
	require.NoError(t, h.host.Flush(t.Context()))
	var stored int
	require.NoError(t, h.db.QueryRowContext(t.Context(), "SELECT count(*) FROM receipts").Scan(&stored))
	require.Equal(t, 3, stored)
	for i, a := range asks {
		body := string(p.bodies[a.Request.Number])
		s := p.post(a, openai.ChatPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		require.Equal(t, answers[i].text, s.text)
		require.Equal(t, answers[i].paid, s.paid)
		stored, err := h.host.Receipt(t.Context(), s.paid.ReceiptID)
		require.NoError(t, err)
		require.Equal(t, s.paid.Receipt, stored)
	}

	// The gateway of the account's organisation, and nobody else, gets them from a place on.
	list, err := h.host.Answers(t.Context(), p.by.MSP, p.session.ID, 1, 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, answers[1].text, string(list[0].Output))
	require.Equal(t, answers[1].paid, list[0].Datanet)
	require.Equal(t, p.bodies[asks[1].Request.Number], list[0].Body)
	require.Equal(t, openai.ChatPath, list[0].Path)
	_, err = h.host.Answers(t.Context(), "OtherMSP", p.session.ID, 1, 10)
	require.ErrorIs(t, err, meter.ErrUnknown)
	_, err = h.host.Receipt(t.Context(), merkle.Hash{})
	require.ErrorIs(t, err, serving.ErrNoReceipt)
}

func TestNoTextOfAnAnswerLiesOpenInTheJournal(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(credits, nil)
	body := chat(h.model(), "a very secret question about happy", `,"seed":3`)
	s := p.post(p.ask(body, 100_000), openai.ChatPath, body)
	require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
	size, err := h.medium.Size()
	require.NoError(t, err)
	all := make([]byte, size)
	_, err = h.medium.ReadAt(all, 0)
	require.NoError(t, err)
	require.NotContains(t, string(all), "secret")
	require.NotContains(t, string(all), s.text)
	require.NotContains(t, h.logs.String(), "secret")
}

func TestAModelThatCostsNothingIsForMembersAndHasAReceipt(t *testing.T) {
	h := newHouse(t, nil, rulestest.Open)
	body := chat(h.model(), "we happy", "")
	s, err := h.send(t.Context(), openai.ChatPath, body)
	require.NoError(t, err)
	require.Equal(t, openai.CodeUnauthorized, s.fault.Code)
	soon(t, func() bool {
		s, err = h.send(t.Context(), openai.ChatPath, body, "X-Member", "yes")
		require.NoError(t, err)
		return s.fault.Code == openai.CodeVoucher
	})
	card := h.market.Card.Publish
	card.Card, card.PriceIn, card.PriceOut = 2, 0, 0
	h.must(h.market.Trainer, "model:Publish", card)
	name := h.market.CardName()
	name.Card = 2
	h.must(h.market.Host, "model:Accept", name)
	for _, stream := range []string{"", `,"stream":true`} {
		body := chat(h.model(), "we happy", stream)
		soon(t, func() bool {
			s, err = h.send(t.Context(), openai.ChatPath, body, "X-Member", "yes")
			require.NoError(t, err)
			return s.fault == nil
		})
		r, err := receipt.Decode(s.paid.Receipt)
		require.NoError(t, err)
		require.Equal(t, roots, r.Roots)
		require.Empty(t, s.paid.Leaf)
		require.NotEmpty(t, s.text)
		e := evidence.Evidence{Receipt: s.paid.Receipt, Path: openai.ChatPath, Body: []byte(body), Output: []byte(s.text), Nonces: s.paid.Nonces()}
		require.NoError(t, e.CheckFree(evidence.Subject{Model: h.model(), Artifacts: []merkle.Hash{{}, digestOf(t)}}))
	}
}

func TestAChangedCorpusIsTakenUpAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	p := h.payer(1<<39, nil)
	body := chat(h.model(), "we happy", "")
	s := p.post(p.ask(body, 100_000), openai.ChatPath, body)
	require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
	require.NoError(t, p.take(openai.ChatPath, s.text, s.paid))
	h.mu.Lock()
	before := h.stale
	h.stale, h.roots = make(chan struct{}), []merkle.Hash{{7}}
	h.mu.Unlock()
	close(before)
	soon(t, func() bool {
		s := p.post(p.ask(body, 20_000), openai.ChatPath, body)
		require.Equal(t, http.StatusOK, s.status, "%+v", s.fault)
		require.NoError(t, p.take(openai.ChatPath, s.text, s.paid))
		r, err := receipt.Decode(s.paid.Receipt)
		require.NoError(t, err)
		return r.Roots[0] == merkle.Hash{7}
	})
}
