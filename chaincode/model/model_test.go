package model_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

var (
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	ann     = rulestest.User(rulestest.C, "ann", ledger.Contributor)
	host    = rulestest.User(rulestest.C, "host1", ledger.Host)
)

func trainerOf(msp string) ledger.Caller { return rulestest.User(msp, "trainer1", ledger.Trainer) }

// trainable is a consortium with two snapshots of A's datanet, of one and of two contributions, and open accounts.
func trainable(t rulestest.T) (c *rulestest.Consortium, pool string) {
	c = rulestest.New(t)
	c.OpenAll(t, ann, host, trainerOf(rulestest.A), trainerOf(rulestest.B), trainerOf(rulestest.C))
	c.SetSchedule(t)
	pool = c.Pool(t)
	for i, name := range c.Approved(t, ann, pool, 2) {
		c.Must(t, curator, "seal:Append", seal.Append{Datanet: pool, From: int64(i), Contributions: []string{name.ID}})
		c.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: pool, Number: i + 1})
	}
	return c, pool
}

func ticketOn(t rulestest.T, c *rulestest.Consortium, pool string, number int) string {
	open := ticket.Open{ID: c.ID(), Snapshots: []snapshot.Named{{Datanet: pool, Number: number}}, Purpose: licence.Research}
	c.Must(t, trainerOf(rulestest.A), "ticket:Open", open)
	return open.ID
}

func request(msp, name string, tokens int64, derivative int, bases []model.Named, tickets ...string) model.Register {
	return model.Register{Named: model.Named{Name: msp + "/" + name, Version: "1"}, Tickets: tickets, Bases: bases, Artifacts: []string{rulestest.Hash},
		Manifest: rulestest.Hash, Purpose: licence.Research, Corpus: model.Corpus{Tokens: tokens, Distinct: 3, Digest: rulestest.Hash}, DerivativePpm: derivative}
}

func register(t rulestest.T, c *rulestest.Consortium, req model.Register) (m model.Model) {
	answer := c.Must(t, trainerOf(ledger.Owner(req.Name)), "model:Register", req)
	if err := ledger.DecodeAnswer(answer, &m); err != nil {
		t.Fatalf("%v", err)
	}
	return m
}

// TestLineagesOfRandomModels builds models on each other at random and compares what the ledger says of them with a
// plain walk over what was registered.
func TestLineagesOfRandomModels(t *testing.T) {
	c, pool := trainable(t)
	rapid.Check(t, func(t *rapid.T) {
		family := c.ID()[:8]
		base := request(rulestest.A, family+"-0", 4, 10_000, []model.Named{}, ticketOn(t, c, pool, 1))
		register(t, c, base)
		parents := map[model.Named][]model.Named{base.Named: nil}
		owed := map[model.Named]int{base.Named: 10_000}
		names := []model.Named{base.Named}
		for i := range rapid.IntRange(1, 5).Draw(t, "models") {
			msp := rapid.SampledFrom([]string{rulestest.A, rulestest.B, rulestest.C}).Draw(t, "owner")
			var bases []model.Named
			for _, name := range names {
				if rapid.Bool().Draw(t, "base") {
					bases = append(bases, name)
				}
			}
			if len(bases) == 0 {
				bases = names[:1]
			}
			req := request(msp, fmt.Sprintf("%s-%d", family, i+1), 4, rapid.IntRange(0, 20_000).Draw(t, "derivative"), sorted(bases))
			m := register(t, c, req)
			parents[m.Named], owed[m.Named] = bases, req.DerivativePpm
			names = append(names, m.Named)

			above := map[model.Named]bool{}
			walk(parents, m.Named, above)
			sum := 0
			for name := range above {
				sum += owed[name]
				require.Contains(t, m.Ancestors, name)
			}
			require.Len(t, m.Ancestors, len(above))
			require.Equal(t, sum, m.UpstreamPpm(), "every ancestor is paid once")
			require.Len(t, m.Lineage, 1)
			require.Equal(t, above, downstream(t, c, names, m.Named), "the other direction says the same")
			publishes(t, c, m, sum)
		}
	})
}

// publishes puts a rate card in force whose parts leave the rest to host and owner, and tries one that does not sum.
func publishes(t *rapid.T, c *rulestest.Consortium, m model.Model, upstream int) {
	left := money.Million - 600_000 - 100_000 - 50_000 - upstream
	share := rapid.IntRange(0, left).Draw(t, "host")
	p := model.Publish{Named: m.Named, Card: 1, PriceOut: 5, Host: host.Account(), HostPpm: share, OwnerPpm: left - share + 1}
	_, fault := c.Try(t, trainerOf(ledger.Owner(m.Name)), "model:Publish", p)
	require.Equal(t, "ownerPpm", fault.Field)
	p.OwnerPpm--
	var card model.Card
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, trainerOf(ledger.Owner(m.Name)), "model:Publish", p), &card))
	parts := card.Parts
	require.Equal(t, money.Million, parts.Data+parts.Validators+parts.Platform+parts.Upstream+parts.Host+parts.Owner)
	require.Equal(t, upstream, parts.Upstream)
}

func sorted(names []model.Named) []model.Named {
	list := append([]model.Named{}, names...)
	for i := range list {
		for j := range i {
			if list[i].Name < list[j].Name {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
	return list
}

func walk(parents map[model.Named][]model.Named, from model.Named, seen map[model.Named]bool) {
	for _, base := range parents[from] {
		seen[base] = true
		walk(parents, base, seen)
	}
}

// downstream asks of every model what is below it, and returns those above m.
func downstream(t *rapid.T, c *rulestest.Consortium, names []model.Named, m model.Named) map[model.Named]bool {
	above := map[model.Named]bool{}
	for _, name := range names {
		var page ledger.Page[model.Affected]
		require.NoError(t, ledger.DecodeAnswer(c.Must(t, ann, "model:Downstream", model.Impact{Model: &name}), &page))
		for _, a := range page.Items {
			if a.Named == m {
				above[name] = true
			}
		}
	}
	return above
}

func TestALineageHasEachSnapshotOnceAndBoundsTheCorpusOfTwoOfOneDatanet(t *testing.T) {
	c, pool := trainable(t)
	first := register(t, c, request(rulestest.A, "first", 4, 0, []model.Named{}, ticketOn(t, c, pool, 1)))
	both := request(rulestest.A, "both", 8, 0, []model.Named{first.Named}, ticketOn(t, c, pool, 2))
	m := register(t, c, both)
	require.Len(t, m.Lineage, 2)
	require.Equal(t, first.Named.String(), m.Lineage[0].Via)
	both.Name, both.Corpus.Tokens = rulestest.A+"/more", 13
	_, fault := c.Try(t, trainerOf(rulestest.A), "model:Register", both)
	require.Equal(t, "corpus.tokens", fault.Field, "the snapshots have 4 and 8 tokens, 12 with what they share counted twice")
}

// TestOnlyWhatOwesNothingToOthersMayBeFree publishes models at no price: on data that asks for a part, on data that asks
// for none, and on a base that does.
func TestOnlyWhatOwesNothingToOthersMayBeFree(t *testing.T) {
	free := func(m model.Model) model.Publish {
		return model.Publish{Named: m.Named, Card: 1, Host: host.Account(), HostPpm: 100_000,
			OwnerPpm: money.Million - 150_000 - m.Due.DataPpm - m.Due.ValidatorsPpm - m.UpstreamPpm()}
	}
	c, asking := trainable(t)
	owing := register(t, c, request(rulestest.A, "owing", 4, 0, []model.Named{}, ticketOn(t, c, asking, 1)))
	owner := trainerOf(rulestest.A)
	card := free(owing)
	_, fault := c.Try(t, owner, "model:Publish", card)
	require.Equal(t, ledger.CodeInvalid, fault.Code)
	require.Equal(t, "priceOut", fault.Field)
	card.PriceIn = 1
	c.Must(t, owner, "model:Publish", card)

	open := c.Pool(t, rulestest.Open)
	content := c.Poem()
	content.Fingerprint.Epoch = 2
	poem := contribution.Named{Datanet: open, ID: c.ID()}
	c.Must(t, ann, "contribution:Submit", contribution.Submit{Datanet: open, ID: poem.ID, Content: content})
	for _, msp := range []string{rulestest.A, rulestest.B} {
		c.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: poem, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	c.Must(t, ann, "approval:Finalise", poem)
	c.Must(t, curator, "seal:Append", seal.Append{Datanet: open, Contributions: []string{poem.ID}})
	c.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: open, Number: 1})
	owes := register(t, c, request(rulestest.A, "open", 4, 10_000, []model.Named{}, ticketOn(t, c, open, 1)))
	c.Must(t, owner, "model:Publish", free(owes))
	derived := register(t, c, request(rulestest.A, "derived", 4, 0, []model.Named{owes.Named}))
	_, fault = c.Try(t, owner, "model:Publish", free(derived))
	require.Equal(t, "priceOut", fault.Field, "the base's owner gets a part")
}
