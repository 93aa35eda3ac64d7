package integration_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/export"
	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/integration/story"
)

// asker asks the regulator's questions of what the stories left on a real ledger.
type asker struct {
	*question.Auditor
	view *index.View
	seen map[string]string // what was read of each kind of answer
}

// askAll indexes the regulator's own blocks and asks every question of everything in them: models, contributions that
// were rejected or erased, grants that were revoked, settlements to which an attestor objected. What a colluding majority
// forged is seen.
func askAll(t *testing.T, c *consortium) {
	height := c.height(t, regulator)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "questions.db"))+"?synchronous=normal")
	require.NoError(t, err)
	defer db.Close()
	x, err := index.Open(t.Context(), db, c.topology.Chaincode.Name)
	require.NoError(t, err)
	c.indexed(t, x, regulator, height)
	view, err := x.ViewAt(t.Context(), height)
	require.NoError(t, err)
	a := &asker{question.New(view, c.topology.Channel), view, map[string]string{}}
	client, err := c.client(story.User{Name: somebody[regulator], MSP: regulator})
	require.NoError(t, err)
	raw := func(ctx context.Context, number uint64) (*block.Block, error) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		blocks, err := client.Blocks(ctx, number)
		if err != nil {
			return nil, err
		}
		b, err := block.NewDecoder(c.topology.Chaincode.Name).Whole().Decode(<-blocks)
		return &b, err
	}

	a.models(t, raw)
	a.each(t, "contribution", func(parts []string) (question.Answer, error) {
		return a.Contribution(t.Context(), contribution.Named{Datanet: parts[0], ID: parts[1]})
	})
	a.each(t, "snapshot", func(parts []string) (question.Answer, error) {
		number := 0
		for _, digit := range parts[1] {
			number = 10*number + int(digit-'0')
		}
		answer, err := a.Snapshot(t.Context(), snapshot.Named{Datanet: parts[0], Number: number})
		if err == nil {
			_, err = export.Croissant(answer)
		}
		return answer, err
	})
	a.each(t, "claim", func(parts []string) (question.Answer, error) {
		return a.Claim(t.Context(), claim.Named{Host: ledger.Account(parts[0]), ID: parts[1]})
	})
	a.each(t, "account", func(parts []string) (question.Answer, error) {
		return a.Person(t.Context(), ledger.Account(parts[1]), ledger.PageRequest{})
	})
	for name, phrase := range map[string]string{"model": "Was an expired, withdrawn or disputed licence ever used?", "contribution": "content and wrapping key are destroyed", "claim": " objected: fee in session"} {
		require.Contains(t, a.seen[name], phrase)
	}
	require.Contains(t, a.seen["contribution"], "| reject |")
	require.Contains(t, a.seen["contribution"], "The erasure was completed")

	supply, err := a.Supply(t.Context())
	a.read(t, "supply", supply, err)
	require.Equal(t, "0", supply.Difference, "what a majority invented it took back")
	require.NotEmpty(t, supply.Unbalanced, "and it is seen where it did")
	period, err := a.Period(t.Context(), question.PeriodOf{})
	a.read(t, "period", period, err)
	require.Equal(t, height, period.Blocks)
	fees, err := a.Fees(t.Context(), question.FeesOf{Page: ledger.PageRequest{Limit: ledger.MaxPage}})
	a.read(t, "fees", fees, err)
	for _, s := range fees.Settlements {
		require.True(t, s.Exact, s.ID)
	}
	unused, err := a.Unused(t.Context(), ledger.PageRequest{Limit: ledger.MaxPage})
	a.read(t, "unused", unused, err)
	require.NotEmpty(t, unused.Tickets)
	roles, err := a.Roles(t.Context(), "", ledger.PageRequest{Limit: ledger.MaxPage})
	a.read(t, "roles", roles, err)
	require.NotEmpty(t, roles.Held)
	for _, held := range roles.Held {
		require.NotEmpty(t, held.Account.MSP())
	}
}

// models asks of every model, and of the transactions that registered them.
func (a *asker) models(t *testing.T, raw func(context.Context, uint64) (*block.Block, error)) {
	a.each(t, "model", func(parts []string) (question.Answer, error) {
		n := model.Named{Name: parts[0], Version: parts[1]}
		answer, err := a.Model(t.Context(), n, ledger.PageRequest{Limit: ledger.MaxPage})
		require.NoError(t, err)
		for _, ticket := range answer.Tickets {
			for _, l := range ticket.Licences {
				require.Empty(t, l.Failures, "%s: the interlock let nothing pass that the audit finds", n)
			}
			for _, g := range ticket.Grants {
				require.Empty(t, g.Failures, "%s", n)
			}
		}
		for _, write := range []func(question.Model) ([]byte, error){export.MLBOM, export.Prov} {
			_, err := write(answer)
			require.NoError(t, err)
		}
		summary, err := a.Training(t.Context(), n)
		a.read(t, "training-summary", summary, err)
		registered, err := a.Transaction(t.Context(), answer.Registered.Transaction, raw)
		a.read(t, "transaction", registered, err)
		require.GreaterOrEqual(t, len(registered.Proposal.Endorsers), 2)
		require.NotEmpty(t, registered.Proposal.Reads)
		return answer, nil
	})
}

// each asks of every entry of a kind; what a majority forged may be none that a question understands.
func (a *asker) each(t *testing.T, kind string, ask func(parts []string) (question.Answer, error)) {
	asked := 0
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := a.view.Find(t.Context(), index.Filter{Kind: kind}, page)
		require.NoError(t, err)
		for _, e := range found.Items {
			if strings.HasPrefix(e.Function, "forge:") {
				continue
			}
			_, parts, _ := e.Key.Split()
			answer, err := ask(parts)
			a.read(t, kind, answer, err)
			asked++
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			break
		}
	}
	require.Positive(t, asked, kind)
	t.Logf("%d answers about a %s", asked, kind)
}

// read writes an answer in both forms.
func (a *asker) read(t *testing.T, name string, answer question.Answer, err error) {
	t.Helper()
	require.NoError(t, err)
	page, err := answer.Report().HTML()
	require.NoError(t, err)
	require.NotContains(t, string(page), "<script")
	a.seen[name] += string(answer.Report().Markdown())
}
