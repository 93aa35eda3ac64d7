package integration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/integration/story"
)

// tryForgedSeals lets members tamper with seals, snapshots, models and acknowledgements of erasure. Real peers reject
// what the owner's peer has not endorsed, or has endorsed alone. What passes is told plainly: it is in the blocks, for
// the audit to find.
func tryForgedSeals(t *testing.T, c *consortium) {
	p := newPool(t, c)
	p.grow(t, 4)
	name := func(i int) contribution.Named { return contribution.Named{Datanet: p.name, ID: p.ids[i]} }
	first := snapshot.Named{Datanet: p.name, Number: 1}
	taken := must[snapshot.Snapshot](t, c, curator, "snapshot:Take", first)
	head := ask[seal.Head](t, c, curator, "seal:Get", seal.Named{Datanet: p.name})
	trainer := story.User{Name: "trainer1", MSP: poets}
	must[any](t, c, trainer, "account:Open", ledger.Nothing{})
	opened := must[ticket.Ticket](t, c, trainer, "ticket:Open", ticket.Open{ID: freshID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research})
	digest := head.Pages[0].String()
	registered := must[model.Model](t, c, trainer, "model:Register", model.Register{Named: model.Named{Name: poets + "/chain-" + freshID()[:8], Version: "1"},
		Tickets: []string{opened.ID}, Bases: []model.Named{}, Artifacts: []string{digest}, Manifest: digest, Purpose: licence.Research,
		Corpus: model.Corpus{Tokens: taken.Tokens, Distinct: 2, Digest: digest}})
	must[any](t, c, author, "erasure:Request", name(3))
	host := story.User{Name: "host1", MSP: library}
	must[any](t, c, host, "account:Open", ledger.Nothing{})
	card := must[model.Card](t, c, trainer, "model:Publish", model.Publish{Named: registered.Named, Card: 1, PriceOut: 1, Host: accountOf(host),
		HostPpm: 100_000, OwnerPpm: 150_000})

	skipped := head // one leaf less than was approved
	skipped.Count--
	rooted := taken
	rooted.Root = merkle.Hash{1}
	robbed := registered
	robbed.Developer = ledger.NewAccount(lab, "trainer1")
	acknowledged := func(msp string) []forged {
		return []forged{{Key: []string{"erasure-slot", p.name, p.ids[3], msp},
			Value: erasure.Slot{Named: name(3), MSP: msp, By: ledger.NewAccount(msp, "operator1"), Tx: taken.Tx}}}
	}
	accepted := registered
	accepted.Card = 1
	consent := model.Consent{Named: card.Named, Card: 1, MSP: library, By: accountOf(host), Tx: card.Tx}
	write := func(value any, key ...string) []forged { return []forged{{Key: key, Value: value}} }
	weaken := func(key ...string) []forged { return []forged{{Key: key, Policy: "OR('" + lab + ".peer')"}} }

	tamper(t, c, members...)
	for _, forgery := range []struct {
		claim     string
		writes    []forged
		endorsers []string
	}{
		{"a seal by a majority without the datanet's owner", write(skipped, "seal", p.name), []string{lab, library}},
		{"a seal by the owner's peer alone", write(skipped, "seal", p.name), []string{poets}},
		{"a page by a majority without the owner", write(map[string]string{"ids": "", "leaves": ""}, "page", p.name, "00000000"), []string{lab, library}},
		{"a retired leaf by a majority without the owner",
			write(map[string]any{"leaves": []seal.Retired{{ID: p.ids[0], From: 2}}}, "retired", p.name, "00000000"), []string{lab, library}},
		{"a weaker guard of the seal by a majority without the owner", weaken("seal", p.name), []string{lab, library}},
		{"another root of a snapshot by a majority without the owner", write(rooted, "snapshot", p.name, "0000000001"), []string{lab, library}},
		{"another root of a snapshot by the owner's peer alone", write(rooted, "snapshot", p.name, "0000000001"), []string{poets}},
		{"an earlier revision rewritten by a majority without the owner", write(rooted, "snapshot-revision", p.name, "0000000001", "000001"), []string{lab, library}},
		{"another's model taken over by a majority without its owner", write(robbed, "model", registered.Name, "1"), []string{lab, library}},
		{"an acknowledgement for another holder by a majority without it", acknowledged(library), []string{lab, poets}},
		{"an acknowledgement by the holder's peer alone", acknowledged(library), []string{library}},
		{"a host's consent by the model's owner and another, without the host", write(consent, "rate-card-consent", registered.Name, "1", "000001"), []string{poets, lab}},
		{"a host's consent by the host's peer alone", write(consent, "rate-card-consent", registered.Name, "1", "000001"), []string{library}},
	} {
		outcome := try(t, c, operator(1, lab), "forge:Write", forgery.writes, forgery.endorsers...)
		require.Equal(t, policyFailure, outcome.String(), forgery.claim)
	}

	refusal := func(function string, request any) string {
		document, err := ledger.Encode(request)
		require.NoError(t, err)
		outcome, err := c.Evaluate(t.Context(), story.Call{User: curator, Function: function, Document: document})
		require.NoError(t, err)
		return outcome.String()
	}
	t.Run("a rate card that its owner and another say is in force is not without its host's consent", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", write(accepted, "model", registered.Name, "1"), poets, lab).String())
		require.Contains(t, refusal("model:Card", model.CardName{Named: registered.Named}), library+" has not accepted rate card 1")
		accepted.Card, accepted.Offer = 0, 1
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", write(accepted, "model", registered.Name, "1"), poets, lab).String())
	})

	t.Run("the honest twins pass", func(t *testing.T) {
		must[any](t, c, host, "model:Accept", model.CardName{Named: registered.Named, Card: 1})
		for _, msp := range []string{library, poets} {
			must[any](t, c, operator(1, msp), "erasure:Acknowledge", name(3))
		}
		must[any](t, c, curator, "seal:Retire", seal.Retire{Datanet: p.name, Contributions: p.ids[3:4]})
		c.Advance(erasure.Term)
		must[any](t, c, author, "erasure:Complete", name(3))
		revised := must[snapshot.Snapshot](t, c, curator, "snapshot:Revise", first)
		p.leaves[3] = attribution.ErasedLeaf()
		require.Equal(t, attribution.SnapshotRoot(p.leaves), revised.Root)
		must[any](t, c, trainer, "model:Retire", registered.Named)
	})

	t.Run("a guard that its owner and another have weakened is not trusted", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", weaken("seal", p.name), poets, lab).String())
		outcome := try(t, c, curator, "snapshot:Take", snapshot.Named{Datanet: p.name, Number: 2})
		require.Contains(t, outcome.String(), "is not guarded as what belongs to "+poets+" must be")
	})

	t.Run("a colluding majority is only found by the audit", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			write(seal.Place{Position: 1, First: 1}, "sealed", p.name, p.ids[0]), lab, library).String(),
			"two of three members can write a wrong place of a leaf")
		require.Contains(t, refusal("snapshot:Prove", snapshot.Inclusion{Named: first, Contribution: p.ids[0]}), "is not leaf 1", "the page, which they cannot write, tells")
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			write(snapshot.Snapshot{Named: snapshot.Named{Datanet: p.name, Number: 9}}, "snapshot", p.name, "0000000009"), lab, library).String(),
			"and create a snapshot that the owner never took: its endorsements, and the seal, which counts them, show that")
		require.Contains(t, refusal("snapshot:Get", snapshot.Named{Datanet: p.name, Number: 9}), "is not guarded as what belongs to "+poets+" must be",
			"unless they forget the guard")
	})
	restore(t, c, members...)
}
