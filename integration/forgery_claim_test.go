package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/integration/story"
)

// decided has the members decide on something.
func decided(t *testing.T, c *consortium, kind string, params any) {
	t.Helper()
	raw, err := ledger.Encode(params)
	require.NoError(t, err)
	content := proposal.Content{ID: freshID(), Kind: kind, Params: raw, Expires: c.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)}
	digest, err := content.Digest()
	require.NoError(t, err)
	must[any](t, c, operator(1, poets), "proposal:Propose", content)
	for _, msp := range []string{lab, poets} {
		must[any](t, c, operator(2, msp), "proposal:Approve", approvalOf(content.ID, digest))
	}
	must[any](t, c, operator(1, poets), "proposal:Execute", named(content.ID))
}

// served is a model of the society that the laboratory hosts, with one session of the laboratory's consumer.
type served struct {
	card     model.Card
	host     story.User
	consumer story.User
	session  session.Session
	spending spendingKey
}

func serve(t *testing.T, c *consortium, escrow money.Amount) *served {
	p := newPool(t, c)
	p.grow(t, 2)
	first := snapshot.Named{Datanet: p.name, Number: 1}
	taken := must[snapshot.Snapshot](t, c, curator, "snapshot:Take", first)
	s := &served{host: story.User{Name: "host1", MSP: lab}, consumer: story.User{Name: "consumer1", MSP: lab}, spending: newSpendingKey(t)}
	trainer := story.User{Name: "trainer1", MSP: poets}
	for _, user := range []story.User{trainer, s.host, s.consumer, operator(1, library)} {
		must[any](t, c, user, "account:Open", ledger.Nothing{})
	}
	platform := accountOf(operator(1, library))
	decided(t, c, "schedule.set", schedule.Schedule{Platform: platform, PlatformPpm: 50_000, Issuer: platform})
	opened := must[ticket.Ticket](t, c, trainer, "ticket:Open", ticket.Open{ID: freshID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research})
	digest := taken.Root.String()
	registered := must[model.Model](t, c, trainer, "model:Register", model.Register{Named: model.Named{Name: poets + "/served-" + freshID()[:8], Version: "1"},
		Tickets: []string{opened.ID}, Bases: []model.Named{}, Artifacts: []string{digest}, Manifest: digest, Purpose: licence.Research,
		Corpus: model.Corpus{Tokens: taken.Tokens, Distinct: 2, Digest: digest}})
	s.card = must[model.Card](t, c, trainer, "model:Publish", model.Publish{Named: registered.Named, Card: 1, PriceOut: 1, Host: accountOf(s.host),
		HostPpm: 100_000, OwnerPpm: 150_000})
	must[any](t, c, s.host, "model:Accept", s.cardName())
	decided(t, c, "token.mint", token.Mint{To: accountOf(s.consumer), Amount: escrow})
	credits := ask[ledger.Page[token.Credit]](t, c, s.consumer, "token:Credits", token.Listing{Account: accountOf(s.consumer)})
	source := token.Source{}
	for _, credit := range credits.Items {
		source.Credits = append(source.Credits, credit.ID)
	}
	s.session = must[session.Session](t, c, s.consumer, "session:Open", session.Open{Name: freshID(), Source: source, Terms: session.Terms{
		Model: s.cardName(), Card: s.card.Digest, Host: accountOf(s.host), Key: s.spending.key(t), Window: 4,
		Expires: c.Now().Add(48 * time.Hour).UTC().Truncate(time.Second), Grace: use.MinGrace, Disclosure: use.DiscloseSample, Escrow: escrow}})
	return s
}

func (s *served) cardName() model.CardName {
	return model.CardName{Named: s.card.Named, Card: s.card.Card}
}

func (s *served) settlement(t *testing.T, n int64, amount money.Amount) claim.Settle {
	return claim.Settle{ID: freshID(), Model: s.cardName(), Card: s.card.Digest, Sessions: []session.Presented{s.spending.present(t, s.session, n, amount)}}
}

// tryForgedClaims shows what members with a chaincode of their own cannot do to sessions, claims and secrets.
func tryForgedClaims(t *testing.T, c *consortium) {
	s := serve(t, c, 100_000)
	host := accountOf(s.host)
	made := must[claim.Claim](t, c, s.host, "claim:Settle", s.settlement(t, 2, 10_000))
	secret := use.Secret{1}
	registered := must[sampling.Secret](t, c, operator(1, poets), "sampling:Register", sampling.Register{ID: freshID(), Commitment: secret.Commitment()})
	page := disbursement.Page{Number: 1, Due: made.Left, Payments: []token.Payment{{To: accountOf(author), Amount: made.Left}}}
	table, err := page.Digest()
	require.NoError(t, err)
	vote := claim.Vote{Scope: made.Scope, Revisions: []int{1}, Table: table, Rate: use.All}
	filled := func(msp string) []forged {
		return []forged{{Key: []string{"claim-slot", string(host), made.ID, msp},
			Value: claim.Slot{Named: made.Named, MSP: msp, By: ledger.NewAccount(msp, "validator1"), Vote: vote, Tx: made.Tx}}}
	}
	write := func(value any, key ...string) []forged { return []forged{{Key: key, Value: value}} }
	tab := session.Tab{Funded: 100_000, N: 9, Amount: 100_000, Root: merkle.Hash{1}}
	reopened := s.session
	reopened.Expires = reopened.Expires.Add(8000 * time.Hour)
	exchanged := registered
	exchanged.Commitment = use.Secret{2}.Commitment()
	free := func(number int) []forged {
		card := s.card
		card.Card, card.PriceIn, card.PriceOut = number, 0, 0
		return write(card, "rate-card", card.Name, card.Version, fmt.Sprintf("%06d", number))
	}

	tamper(t, c, members...)
	for _, forgery := range []struct {
		claim     string
		writes    []forged
		endorsers []string
	}{
		{"an attestation in another organisation's slot by a majority without it", filled(poets), []string{lab, library}},
		{"an attestation in its slot by its own peer alone", filled(poets), []string{poets}},
		{"a tab that the host's peer alone moves", write(tab, "tab", string(s.session.Account), s.session.Name), []string{lab}},
		{"terms that one organisation changes", write(reopened, "session", string(s.session.Account), s.session.Name), []string{lab}},
		{"a claim that one organisation decides", write(made, "claim", string(host), made.ID), []string{library}},
		{"another's sampling secret exchanged by a majority without it", write(exchanged, "sampling", poets, registered.ID), []string{lab, library}},
		{"another's sampling secret exchanged by its peer alone", write(exchanged, "sampling", poets, registered.ID), []string{poets}},
		{"a rate card repriced by a majority without the model's owner", write(s.card, "rate-card", s.card.Name, "1", "000001"), []string{lab, library}},
		{"a model made free by a majority without its owner", free(1), []string{lab, library}},
		{"a model made free by its owner's peer alone", free(1), []string{poets}},
		{"another rate card, that costs nothing, by the owner's peer alone", free(2), []string{poets}},
	} {
		outcome := try(t, c, operator(1, lab), "forge:Write", forgery.writes, forgery.endorsers...)
		require.Equal(t, policyFailure, outcome.String(), forgery.claim)
	}

	t.Run("the honest twins pass", func(t *testing.T) {
		attest := claim.Attest{Named: made.Named, Vote: vote}
		validator := story.User{Name: "validator1", MSP: poets}
		require.Equal(t, policyFailure, try(t, c, validator, "claim:Attest", attest, lab, library).String(), "an honest vote endorsed by the others alone")
		require.Equal(t, policyFailure, try(t, c, s.host, "claim:Settle", s.settlement(t, 3, 20_000), lab).String(), "an honest settlement endorsed by one peer")
		must[any](t, c, validator, "claim:Attest", attest)
		next := s.card.Publish
		next.Card, next.PriceIn, next.PriceOut = 2, 0, 0
		trainer := story.User{Name: "trainer1", MSP: poets}
		require.Contains(t, try(t, c, trainer, "model:Publish", next).String(), "cannot cost nothing")
		next.PriceIn = 1
		must[any](t, c, trainer, "model:Publish", next)
	})

	t.Run("what its owner and another make free takes no sessions, and voids no fee", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", free(1), poets, lab).String())
		opened := session.Open{Name: freshID(), Terms: s.session.Terms}
		require.Contains(t, try(t, c, s.consumer, "session:Open", opened).String(), "costs nothing")
		require.Contains(t, try(t, c, s.host, "claim:Settle", s.settlement(t, 3, 20_000)).String(), "is not the one with the digest")
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", write(s.card, "rate-card", s.card.Name, s.card.Version, "000001"), poets, lab).String(),
			"the card is put back, for what follows; the audit finds both writes")
		must[any](t, c, s.host, "claim:Settle", s.settlement(t, 3, 20_000))
	})

	t.Run("votes in slots that a majority weakened do not count", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: []string{"claim-slot", string(host), made.ID, poets}, Policy: "OR('" + lab + ".peer')"}}, poets, lab).String(),
			"the owner of a slot and one other can weaken it")
		release := claim.Release{Named: made.Named, Page: page}
		outcome := try(t, c, s.host, "claim:Release", release)
		require.Contains(t, outcome.String(), "is not guarded as what belongs to "+poets+" must be")
		c.Advance(claim.Term)
		decided(t, c, "claim.decide", claim.Decision{Named: made.Named, Table: table})
		must[any](t, c, s.host, "claim:Release", release)
	})
	restore(t, c, members...)
}
