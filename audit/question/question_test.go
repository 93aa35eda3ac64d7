package question_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// reports is a folder into which the story's reports are written, to be looked at.
var reports = flag.String("reports", "", "write the reports of the story into this folder")

type asked struct {
	*questiontest.Story
	x *index.Index
}

func told(t *testing.T) *asked {
	s := questiontest.Tell(t)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "x.db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, s.Index(t.Context(), x))
	return &asked{s, x}
}

func (s *asked) auditor(t *testing.T) *question.Auditor {
	view, err := s.x.View(t.Context())
	require.NoError(t, err)
	return question.New(view, "datanet")
}

func (s *asked) raw(_ context.Context, number uint64) (*block.Block, error) {
	b, err := block.NewDecoder("datanet").Whole().Decode(s.Chain.Blocks[number])
	return &b, err
}

// show writes an answer in every form and checks what holds for all of them.
func show(t *testing.T, name string, answer question.Answer, err error) string {
	t.Helper()
	require.NoError(t, err)
	document := answer.Report()
	markdown := document.Markdown()
	page, err := document.HTML()
	require.NoError(t, err)
	data, err := ledger.Encode(answer)
	require.NoError(t, err)
	require.NotContains(t, string(data), ":null", "lists are never null")
	require.NotContains(t, string(page), "<script")
	require.NotRegexp(t, `(src|href)="[^#]`, string(page), "no resource from elsewhere")
	require.Contains(t, string(markdown), "What the ledger cannot tell")
	for _, section := range document.Sections {
		for _, said := range section.Statements {
			require.True(t, supported(said.Evidence) || slices.ContainsFunc(ofAll, func(all string) bool { return strings.HasPrefix(section.Title+": "+said.Text, all) }), "%s: nothing beside: %s", section.Title, said.Text)
		}
		if section.Table == nil || slices.ContainsFunc(sums, func(sum string) bool { return strings.Contains(section.Title, sum) }) {
			continue
		}
		for _, row := range section.Table.Rows {
			gap := strings.HasPrefix(name, "training-summary") && row.Cells[1] == ""
			require.True(t, supported(row.Evidence) || gap || row.Cells[0] == "1 Last update", "%s: nothing beside: %v", section.Title, row.Cells)
		}
	}
	if *reports != "" {
		var indented json.RawMessage = data
		require.NoError(t, os.WriteFile(filepath.Join(*reports, name+".md"), markdown, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(*reports, name+".html"), page, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(*reports, name+".json"), indented, 0o600))
	}
	return string(markdown)
}

// ofAll are the beginnings of statements that rest on all blocks up to the height, and on no transaction more than on another.
var ofAll = []string{
	"That nothing is missing: ", "Breaches of the separation of duties: None", "Issued − redeemed", "Objections: Nobody", "Erasure: Nobody",
	"The account: No account", "What else stands under its name: Entries of others",
}

// sums are sections whose tables count or add up what stands elsewhere in the answer, or all that the ledger has, or that
// name the version in a column.
var sums = []string{"The chain", " transaction", "Sums of the settlements", "Payees of the settlements", "Issued − redeemed", "What it read"}

func supported(list []report.Evidence) bool { return slices.ContainsFunc(list, report.Evidence.Some) }

func whats(list []question.Concern) string {
	var all []string
	for _, c := range list {
		all = append(all, c.What)
	}
	return strings.Join(all, "\n")
}

func TestTheRegulatorAsksEverythingOfTheStory(t *testing.T) {
	s := told(t)
	a := s.auditor(t)
	ctx := t.Context()

	t.Run("which snapshots trained a model, by which right, and what was in doubt", func(t *testing.T) {
		m, err := a.Model(ctx, s.Small, ledger.PageRequest{})
		show(t, "model", m, err)
		require.Len(t, m.Snapshots, 2, "its own and its base's")
		require.Len(t, m.Ancestors, 1)
		require.Len(t, m.Tickets, 2)
		var grants []question.Grant
		for _, one := range m.Tickets {
			require.NotEmpty(t, one.Licences)
			for _, l := range one.Licences {
				require.Empty(t, l.Failures)
			}
			grants = append(grants, one.Grants...)
		}
		require.Len(t, grants, 1)
		require.EqualValues(t, "active", grants[0].Then)
		require.EqualValues(t, "revoked", grants[0].Now)
		require.Len(t, m.Contributions, 3+4)
		require.Contains(t, whats(m.Concerns), "is revoked now; what was trained before stays as it is")
		require.Contains(t, whats(m.Concerns), s.Erased.ID+", which the model was trained on, is erased now")
		require.NotContains(t, whats(m.Concerns), "after the terms")
		require.Equal(t, "model:Register", m.Registered.Function)

		// Page by page it is the same.
		var ids []string
		for page := (ledger.PageRequest{Limit: 2}); ; {
			some, err := a.Model(ctx, s.Small, page)
			require.NoError(t, err)
			for _, o := range some.Contributions {
				ids = append(ids, o.ID)
			}
			if page.Cursor = some.Next; page.Cursor == "" {
				break
			}
		}
		var want []string
		for _, o := range m.Contributions {
			want = append(want, o.ID)
			require.NotEmpty(t, o.Ballots)
			require.NotEmpty(t, o.Evidence)
		}
		require.Equal(t, want, ids)
	})

	t.Run("what became of a contribution that was erased", func(t *testing.T) {
		c, err := a.Contribution(ctx, s.Erased)
		text := show(t, "contribution", c, err)
		require.NotNil(t, c.Erasure)
		require.NotNil(t, c.Erasure.Completed)
		for _, k := range c.Erasure.Acknowledgements {
			require.NotNil(t, k.Evidence, k.Organisation)
		}
		require.Equal(t, 1, c.Sealed.First)
		require.Equal(t, 3, c.Sealed.Until)
		require.Len(t, c.Releases, 2, "within two snapshots")
		require.Len(t, c.Models, 2)
		require.Equal(t, []string{"pending", "approved", "erasing", "erased"}, states(c.Steps))
		require.Contains(t, text, "content and wrapping key are destroyed")
	})

	t.Run("who declined", func(t *testing.T) {
		c, err := a.Contribution(ctx, s.Rejected)
		text := show(t, "rejected", c, err)
		require.Nil(t, c.Sealed)
		require.Contains(t, text, "off-topic")
		require.Equal(t, []string{"pending", "rejected"}, states(c.Steps))
		_, err = a.Contribution(ctx, s.Copied)
		require.Error(t, err, "a copy was never registered")
	})

	t.Run("what an inference owes to whom", func(t *testing.T) {
		r, err := a.Receipt(ctx, s.Receipt)
		show(t, "receipt", r, err)
		for _, c := range r.Checks {
			require.True(t, c.Holds, c.What)
		}
		require.Len(t, r.Checks, 6)
		require.Equal(t, s.Pool, r.Sources[0].Datanet)
		_, err = a.Receipt(ctx, s.Receipt[1:])
		require.Equal(t, ledger.CodeInvalid, ledger.AsFault(err).Code)
	})

	t.Run("who recomputed a settlement, and who was paid", func(t *testing.T) {
		c, err := a.Claim(ctx, s.Settled)
		show(t, "claim", c, err)
		require.Equal(t, c.Settlement.Data, c.Paid)
		require.Len(t, c.Payments, 2)
		require.True(t, c.Settlement.Exact)
		require.True(t, c.Votes[0].Before)
		require.Nil(t, c.Objection)
	})

	t.Run("who objected", func(t *testing.T) {
		c, err := a.Claim(ctx, s.Disputing)
		text := show(t, "objection", c, err)
		require.NotNil(t, c.Objection)
		require.NotEmpty(t, c.Objection.Evidence)
		require.Contains(t, text, "objected: receipt in session")
	})

	t.Run("everything of a period", func(t *testing.T) {
		p, err := a.Period(ctx, question.PeriodOf{Page: ledger.PageRequest{Limit: 1000}})
		text := show(t, "period", p, err)
		require.EqualValues(t, len(s.Chain.Blocks), p.Blocks)
		require.EqualValues(t, p.Total, len(p.Events))
		require.Empty(t, p.Next)
		// The story begins with an hour of its own.
		first, err := a.Period(ctx, question.PeriodOf{Until: s.Clock.Add(-74*time.Hour - 30*time.Minute)})
		require.NoError(t, err)
		require.Zero(t, first.First)
		require.Less(t, first.End, p.End)
		rest, err := a.Period(ctx, question.PeriodOf{From: s.Clock.Add(-74*time.Hour - 30*time.Minute)})
		require.NoError(t, err)
		require.Equal(t, first.End, rest.First)
		require.Equal(t, first.LastHash, rest.Previous)
		require.Equal(t, p.Total, first.Total+rest.Total)
		require.Nil(t, first.Before)
		require.Equal(t, rest.First, first.After.Number)
		require.False(t, first.Open)
		require.True(t, rest.Open)

		// A period without blocks stands between two that follow on one another, or after the last one.
		after := rest.First
		headers, err := a.Blocks(ctx, after-1, 2)
		require.NoError(t, err)
		quiet, err := a.Period(ctx, question.PeriodOf{From: headers.Headers[0].Clock.Add(16 * time.Minute), Until: headers.Headers[1].Clock.Add(-16 * time.Minute)})
		said := show(t, "quiet period", quiet, err)
		require.Zero(t, quiet.Blocks)
		require.Zero(t, quiet.Total)
		require.Equal(t, []question.BlockHeader{*quiet.Before, *quiet.After}, headers.Headers)
		require.Equal(t, quiet.Before.Hash, quiet.After.Previous)
		require.Contains(t, said, fmt.Sprintf("Right before it comes block %d, with", after-1))
		require.Contains(t, said, fmt.Sprintf("Right after it comes block %d, with", after))
		require.NotContains(t, said, "period is over")
		future, err := a.Period(ctx, question.PeriodOf{From: s.Clock.Add(time.Hour), Until: s.Clock.Add(2 * time.Hour)})
		said = show(t, "future period", future, err)
		require.Zero(t, future.Blocks)
		require.True(t, future.Open)
		require.Equal(t, uint64(len(s.Chain.Blocks))-1, future.Before.Number)
		require.Contains(t, said, "The ledger has no block after it")
		require.Contains(t, said, "does not show yet that the period is over")
		early, err := a.Period(ctx, question.PeriodOf{From: s.Clock.AddDate(-20, 0, 0), Until: s.Clock.AddDate(-19, 0, 0)})
		said = show(t, "early period", early, err)
		require.EqualValues(t, 1, early.Blocks, "nothing says when the genesis block was made")
		require.NotNil(t, early.After)
		require.Contains(t, said, "configuration", "a change of the channel has a place to look it up, if no id")

		_, err = a.Period(ctx, question.PeriodOf{From: s.Clock, First: 1})
		require.Error(t, err)
		require.Contains(t, text, "the first is the genesis block")
		for field, of := range map[string]question.PeriodOf{"end": {First: 4, End: 4}, "until": {From: s.Clock, Until: s.Clock}, "first": {First: 1 << 40}} {
			_, err = a.Period(ctx, of)
			require.Equal(t, field, ledger.AsFault(err).Field, "%+v", of)
		}
		beyond, err := a.Period(ctx, question.PeriodOf{First: 2, End: 1 << 40})
		require.NoError(t, err)
		require.Contains(t, beyond.Mapping, fmt.Sprintf("there are none from %d on", len(s.Chain.Blocks)))
	})

	t.Run("headers, page by page", func(t *testing.T) {
		b, err := a.Blocks(ctx, 0, 2)
		require.Contains(t, show(t, "headers", b, err), "There are more: go on with --first 2")
		b, err = a.Blocks(ctx, 0, len(s.Chain.Blocks))
		require.NotContains(t, show(t, "all headers", b, err), "There are more")
		_, err = a.Blocks(ctx, uint64(len(s.Chain.Blocks)), 1)
		require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)
	})

	t.Run("accounts that are none", func(t *testing.T) {
		_, err := a.Roles(ctx, "AMSP", ledger.PageRequest{})
		require.Equal(t, "account", ledger.AsFault(err).Field)
		_, err = a.Fees(ctx, question.FeesOf{Host: "AMSP"})
		require.Equal(t, "host", ledger.AsFault(err).Field)
	})

	t.Run("what is held of a person", func(t *testing.T) {
		p, err := a.Person(ctx, s.Ann.Account(), ledger.PageRequest{})
		show(t, "person", p, err)
		require.Len(t, p.Given, 3)
		require.NotNil(t, p.Given[0].Erasure)
		require.Len(t, p.Roles, 1)
		require.NotNil(t, p.Opened)
		nobody, err := a.Person(ctx, "BMSP:nobody", ledger.PageRequest{})
		require.NoError(t, err)
		require.Nil(t, nobody.Opened)
		_, err = a.Person(ctx, "nonsense", ledger.PageRequest{})
		require.Error(t, err)
	})

	t.Run("where fees went", func(t *testing.T) {
		f, err := a.Fees(ctx, question.FeesOf{})
		show(t, "fees", f, err)
		require.Len(t, f.Settlements, 2)
		require.EqualValues(t, 40_000, f.Totals.Fees)
		require.Equal(t, f.Totals.Fees, f.Totals.AtOnce+f.Totals.DataPaid+f.Totals.DataLeft)
		none, err := a.Fees(ctx, question.FeesOf{Model: s.Small})
		require.NoError(t, err)
		require.Empty(t, none.Settlements)
	})

	t.Run("whether credits were created or lost", func(t *testing.T) {
		supply, err := a.Supply(ctx)
		text := show(t, "supply", supply, err)
		require.Equal(t, "0", supply.Difference)
		require.Empty(t, supply.Unbalanced)
		require.Equal(t, s.Tally(t), supply.Tally)
		require.Contains(t, text, "no credit was created or lost")
	})

	t.Run("one transaction from proposal to state", func(t *testing.T) {
		lost, err := a.Transaction(ctx, s.Copy, s.raw)
		text := show(t, "transaction", lost, err)
		require.Equal(t, "MVCC_READ_CONFLICT", lost.Code)
		require.Empty(t, lost.Writes)
		require.NotEmpty(t, lost.Proposal.Document)
		require.Contains(t, text, "it had no effect")
		placed, err := a.Transaction(ctx, lost.Transaction.Version(), s.raw)
		require.NoError(t, err)
		require.Equal(t, lost, placed)
		first, err := a.Transaction(ctx, "0.0", s.raw)
		text = show(t, "channel", first, err)
		require.Contains(t, text, "It calls no function of the chaincode")
		require.NotContains(t, text, "Proposed by")
		for _, nowhere := range []string{"0.9", "1000000.0", "9999999999999999999.0", "1.2000000", "1.2.3", "-1.0", ".0", ""} {
			_, err := a.Transaction(ctx, nowhere, nil)
			require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code, nowhere)
		}
		m, err := a.Model(ctx, s.Small, ledger.PageRequest{})
		require.NoError(t, err)
		valid, err := a.Transaction(ctx, m.Registered.Transaction, nil)
		show(t, "registration", valid, err)
		require.NotEmpty(t, valid.Writes)
		_, err = a.Transaction(ctx, strings.Repeat("0", 64), nil)
		require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)
	})

	t.Run("who held which role, and no breach", func(t *testing.T) {
		r, err := a.Roles(ctx, "", ledger.PageRequest{})
		text := show(t, "roles", r, err)
		require.Empty(t, r.Breaches)
		require.NotEmpty(t, r.Held)
		require.Positive(t, r.Looked)
		require.Contains(t, text, "None: no organisation may vote on its own contributions")
	})

	t.Run("what was released and never cited", func(t *testing.T) {
		u, err := a.Unused(ctx, ledger.PageRequest{})
		show(t, "unused", u, err)
		require.Len(t, u.Tickets, 1)
		require.Equal(t, s.Idle, u.Tickets[0].ID)
		require.Len(t, u.Tickets[0].Releases, 1)
	})
}

func states(steps []question.Step) (list []string) {
	for _, s := range steps {
		list = append(list, s.State)
	}
	return list
}

// An answer is about its height: whatever comes later does not change it.
func TestAnswersOfThePastAreWhatTheyWere(t *testing.T) {
	s := told(t)
	half := uint64(len(s.Chain.Blocks) * 3 / 4)
	then, err := s.x.ViewAt(t.Context(), half)
	require.NoError(t, err)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "y.db")))
	require.NoError(t, err)
	defer db.Close()
	shorter, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, questiontest.Apply(t.Context(), shorter, s.Chain.Blocks[:half]))
	now, err := shorter.View(t.Context())
	require.NoError(t, err)
	for name, ask := range map[string]func(a *question.Auditor) (question.Answer, error){
		"model": func(a *question.Auditor) (question.Answer, error) {
			return a.Model(t.Context(), s.Card.Named, ledger.PageRequest{})
		},
		"contribution": func(a *question.Auditor) (question.Answer, error) { return a.Contribution(t.Context(), s.Erased) },
		"period":       func(a *question.Auditor) (question.Answer, error) { return a.Period(t.Context(), question.PeriodOf{}) },
		"person": func(a *question.Auditor) (question.Answer, error) {
			return a.Person(t.Context(), s.Ann.Account(), ledger.PageRequest{})
		},
		"fees":   func(a *question.Auditor) (question.Answer, error) { return a.Fees(t.Context(), question.FeesOf{}) },
		"supply": func(a *question.Auditor) (question.Answer, error) { return a.Supply(t.Context()) },
		"unused": func(a *question.Auditor) (question.Answer, error) { return a.Unused(t.Context(), ledger.PageRequest{}) },
	} {
		t.Run(name, func(t *testing.T) {
			past, err := ask(question.New(then, "datanet"))
			require.NoError(t, err)
			present, err := ask(question.New(now, "datanet"))
			require.NoError(t, err)
			if p, ok := present.(question.Person); ok {
				p.Roles[0].Last = nil // which is later than the height
				present = p
			}
			require.Equal(t, present, past)
		})
	}
}

func TestWhatSnapshotsHoldAndTheSummaryOfTrainingContent(t *testing.T) {
	s := told(t)
	a := s.auditor(t)
	held, err := a.Snapshot(t.Context(), snapshot.Named{Datanet: s.Pool, Number: 1})
	show(t, "snapshot", held, err)
	require.EqualValues(t, 3, held.Makeup.Contributions)
	require.Len(t, held.Revisions, 2)
	require.EqualValues(t, 1, held.Makeup.States[len(held.Makeup.States)-1].Contributions, "one is erased now")
	_, err = a.Snapshot(t.Context(), snapshot.Named{Datanet: s.Pool, Number: 9})
	require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)

	summary, err := a.Training(t.Context(), s.Small)
	text := show(t, "training-summary", summary, err)
	require.EqualValues(t, 4, summary.Makeup.Contributions, "each once, though two snapshots hold three of them")
	require.EqualValues(t, 16, summary.Makeup.Tokens)
	require.EqualValues(t, 1, summary.Makeup.PersonalData.Contributions)
	questions := map[string]int{}
	for _, f := range summary.Fields {
		questions[f.Number]++
		require.True(t, f.Value != "" || f.Gap != "", f.Title)
	}
	require.Equal(t, map[string]int{"1": 2, "1.1": 2, "1.2": 3, "1.3": 7, "2.1": 4, "2.2.1": 2, "2.2.2": 4, "2.3": 8, "2.4": 4, "2.5": 4, "2.6": 2,
		"3.1": 2, "3.2": 1, "3.3": 1}, questions, "the template's questions, without room for comments")
	require.Contains(t, text, "less than 1 billion tokens (16 canonical tokens")
}

// counting is a ledger whose index has summed up nothing.
type counting struct{ *index.View }

func (counting) Held(context.Context, string, []index.Extent) (index.Held, bool, error) {
	return index.Held{}, false, nil
}

// peer gives the story's blocks.
type peer struct{ blocks []*common.Block }

func (p peer) Blocks(ctx context.Context, first uint64) (<-chan *common.Block, error) {
	blocks := make(chan *common.Block, len(p.blocks))
	for _, b := range p.blocks[first:] {
		blocks <- b
	}
	context.AfterFunc(ctx, func() { close(blocks) })
	return blocks, nil
}

// What the index sums up as it reads blocks, one by one or many at once, is what the leaves come to at every height.
func TestSumsOfSnapshotsAreThoseOfTheirLeaves(t *testing.T) {
	s := questiontest.Tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x, err := index.Open(t.Context(), db, "datanet")
		require.NoError(t, err)
		for name, fill := range map[string]func(t *testing.T){
			"block by block": func(t *testing.T) { require.NoError(t, s.Index(t.Context(), x)) },
			"many at once": func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				followed := make(chan error, 1)
				go func() { followed <- x.Follow(ctx, peer{s.Chain.Blocks}) }()
				require.NoError(t, x.WaitHeight(ctx, uint64(len(s.Chain.Blocks))))
				stop()
				require.NoError(t, <-followed)
			},
		} {
			t.Run(name, func(t *testing.T) {
				require.NoError(t, x.Reset(t.Context()))
				fill(t)
				compared := 0
				for height := range len(s.Chain.Blocks) {
					view, err := x.ViewAt(t.Context(), uint64(height)+1)
					require.NoError(t, err)
					for number := 1; ; number++ {
						n := snapshot.Named{Datanet: s.Pool, Number: number}
						got, err := question.New(view, "datanet").Snapshot(t.Context(), n)
						if err != nil {
							break // there are no more
						}
						want, err := question.New(counting{view}, "datanet").Snapshot(t.Context(), n)
						require.NoError(t, err)
						require.Equal(t, want.Makeup, got.Makeup, "height %d, snapshot %d", height+1, number)
						compared++
					}
					for _, m := range []model.Named{s.Small, s.Card.Named} {
						got, err := question.New(view, "datanet").Training(t.Context(), m)
						if err != nil {
							continue
						}
						want, err := question.New(counting{view}, "datanet").Training(t.Context(), m)
						require.NoError(t, err)
						require.Equal(t, want.Makeup, got.Makeup, "height %d, model %s", height+1, m)
						compared++
					}
				}
				require.Greater(t, compared, 20)
				view, err := x.View(t.Context())
				require.NoError(t, err)
				held, whole, err := view.Held(t.Context(), s.Pool, []index.Extent{{Number: 1, Count: 1}})
				require.NoError(t, err)
				require.True(t, whole, "the comparison was not with what is summed up: %v", held)
			})
		}
	})
}

// In a larger consortium a contribution can be approved against a vote. With three members all who may vote are needed.
func TestAModelOnADisputedContributionSaysSo(t *testing.T) {
	const fifth = "EMSP"
	chain := blocktest.New("datanet")
	m := rulestest.MarketOn(t, rulestest.Watched(t, func(b *memledger.Block) { chain.Append(b) }, rulestest.A, rulestest.B, rulestest.C, "DMSP", fifth))
	disputed := contribution.Named{Datanet: m.Pool, ID: m.ID()}
	m.Must(t, m.Ann, "contribution:Submit", contribution.Submit{Datanet: m.Pool, ID: disputed.ID, Content: m.Poem()})
	for _, msp := range []string{fifth, rulestest.A, rulestest.C, "DMSP"} {
		verdict := rulestest.Verdict(approval.Approve)
		if msp == fifth {
			verdict = rulestest.Verdict(approval.Reject)
			verdict.Reason = "licence"
		}
		m.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: disputed, Revision: 1, Verdict: verdict})
	}
	m.Must(t, m.Ann, "approval:Finalise", disputed)
	m.Must(t, m.Curator, "seal:Append", seal.Append{Datanet: m.Pool, From: int64(len(m.Contributions)), Contributions: []string{disputed.ID}})
	second := snapshot.Named{Datanet: m.Pool, Number: 2}
	m.Must(t, m.Curator, "snapshot:Take", second)
	used := ticket.Open{ID: m.ID(), Snapshots: []snapshot.Named{second}, Purpose: licence.Research}
	m.Must(t, m.Trainer, "ticket:Open", used)
	trained := model.Named{Name: rulestest.A + "/doubtful", Version: "1"}
	m.Must(t, m.Trainer, "model:Register", model.Register{Named: trained, Tickets: []string{used.ID}, Bases: []model.Named{}, Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash,
		Purpose: licence.Research, Corpus: model.Corpus{Tokens: 16, Distinct: 3, Digest: rulestest.Hash}})

	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "x.db"))+"?synchronous=normal")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, questiontest.Apply(t.Context(), x, chain.Blocks))
	view, err := x.View(t.Context())
	require.NoError(t, err)
	answer, err := question.New(view, "datanet").Model(t.Context(), trained, ledger.PageRequest{})
	text := show(t, "disputed", answer, err)
	want := m.Pool + "/" + disputed.ID + " was approved, but declined by " + fifth + ": licence."
	require.Equal(t, want, whats(answer.Concerns))
	require.Contains(t, text, want)
	require.Equal(t, fifth+":validator1", answer.Concerns[0].Evidence[0].By)

	first, err := question.New(view, "datanet").Model(t.Context(), m.Card.Named, ledger.PageRequest{})
	require.NoError(t, err)
	require.Empty(t, first.Concerns, "the other model has nothing of it")
}

// paged is a ledger on which each account has shown two sets of roles.
type paged struct{ *index.View }

func (p paged) Shown(ctx context.Context, account, after ledger.Account, limit int) ([]index.Shown, error) {
	once, err := p.View.Shown(ctx, account, after, limit)
	var twice []index.Shown
	for _, s := range once {
		other := s
		other.Roles = append(slices.Clone(s.Roles), "another")
		twice = append(twice, s, other)
	}
	return twice[:min(len(twice), limit)], err
}

func TestNoRoleIsLostBetweenTwoPages(t *testing.T) {
	s := told(t)
	view, err := s.x.View(t.Context())
	require.NoError(t, err)
	a := question.New(paged{view}, "datanet")
	whole, err := a.Roles(t.Context(), "", ledger.PageRequest{Limit: 1000})
	require.NoError(t, err)
	require.Empty(t, whole.Next)
	for limit := 1; limit < 6; limit++ {
		var held []question.Held
		page := ledger.PageRequest{Limit: limit}
		for {
			r, err := a.Roles(t.Context(), "", page)
			require.NoError(t, err)
			held = append(held, r.Held...)
			if page.Cursor = r.Next; page.Cursor == "" {
				break
			}
		}
		require.Equal(t, whole.Held, held, "%d at a time", limit)
	}
	one, err := question.New(view, "datanet").Roles(t.Context(), whole.Held[0].Account, ledger.PageRequest{})
	text := show(t, "roles of one", one, err)
	require.Contains(t, text, fmt.Sprintf("None that %s signed", whole.Held[0].Account))
}

// Whatever the ledger has under an account's name is counted in the answer about the person.
func TestNothingUnderAnAccountsNameIsLeftOut(t *testing.T) {
	s := told(t)
	state := map[ledger.Key]bool{}
	accounts := map[ledger.Account]bool{}
	for number := range s.Chain.Blocks {
		b, err := s.raw(t.Context(), uint64(number))
		require.NoError(t, err)
		for _, tx := range b.Transactions {
			if accounts[tx.Creator.Account()] = true; !tx.Valid() {
				continue
			}
			for _, w := range tx.Writes {
				state[w.Key] = !w.Delete
			}
		}
	}
	delete(accounts, "")
	counted := 0
	for who := range accounts {
		want := map[string]int{}
		for key, there := range state {
			if kind, parts, ok := key.Split(); ok && there && len(parts) > 0 && parts[0] == string(who) {
				want[kind]++
			}
		}
		answer, err := s.auditor(t).Person(t.Context(), who, ledger.PageRequest{})
		require.NoError(t, err)
		for _, k := range answer.Kept {
			if n, there := want[k.Kind]; there && !k.More {
				require.Equal(t, n, k.Count, "%s of %s", k.Kind, who)
				counted++
			}
			delete(want, k.Kind)
		}
		delete(want, "claim-slot") // others' slots of its settlements, which are counted
		require.Empty(t, want, "%s", who)
		for _, r := range answer.Snapshot {
			require.True(t, slices.ContainsFunc(answer.Given, func(g question.Given) bool {
				return g.Datanet == r.Datanet && r.Snapshot >= g.Sealed.First && (g.Sealed.Until == 0 || r.Snapshot < g.Sealed.Until)
			}), "%s has nothing in snapshot %d of %s", who, r.Snapshot, r.Datanet)
		}
	}
	require.Greater(t, counted, 10)
}

func TestFeesOfAModelThatIsNoneAreNotNothing(t *testing.T) {
	_, err := told(t).auditor(t).Fees(t.Context(), question.FeesOf{Model: model.Named{Name: "AMSP/typo", Version: "1"}})
	require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)
	require.Equal(t, "model", ledger.AsFault(err).Field)
}
