package attesting_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/corpus/corpustest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/meter"
)

const (
	rose   = "of all the gardens that the river knows the smallest keeps the rose "
	desert = "the caravan went by at night and nobody has counted the camels "
	mirror = "she polished the mirror until the mountain came into the house "
)

// market is a network with a model of two contributions, which C hosts, and an attestor in B.
type market struct {
	*corpustest.Network
	t         *testing.T
	host      *corpustest.Server
	ann, bob  contribution.Contribution
	library   *corpus.Library
	attestor  *attesting.Worker
	submitted []string
}

func open(t *testing.T, change ...func(*attesting.Options)) *market {
	m := &market{Network: corpustest.Start(t), t: t}
	m.ann, m.bob = m.Upload(corpustest.Ann, rose+mirror), m.Upload(corpustest.Bob, rose+desert)
	m.Publish(m.Approve(m.bob, m.ann), rulestest.Hash, m.ann.Tokens+m.bob.Tokens)
	m.host = m.Serve()
	m.attest(rulestest.B, change...)
	return m
}

// attest opens the worker of an organisation.
func (m *market) attest(msp string, change ...func(*attesting.Options)) {
	t, g := m.t, m.Gateways[msp]
	var err error
	m.library, err = corpus.New(corpus.Options{Folder: filepath.Join(t.TempDir(), "corpora"), Organisation: msp, Store: g.Store, Exchange: g.Client,
		Ledger: g.Functions, Transactions: m.Index, Memory: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.library.Close()) })
	o := attesting.Options{Organisation: msp, Recipient: g.Account(), Rate: use.All, Engine: attesting.Streaming, Patience: 24 * time.Hour, Every: time.Hour,
		Host: m.ArchiveOf(g), Corpora: m.library, Ledger: g.Functions, Index: m.Index, Secrets: g.Store, DB: g.DB, Log: slog.New(slog.DiscardHandler), Now: m.Now,
		Submit: func(ctx context.Context, function string, request any) ([]byte, error) {
			m.submitted = append(m.submitted, function)
			return g.Submit(ctx, function, request)
		}}
	for _, c := range change {
		c(&o)
	}
	m.attestor, err = attesting.Open(t.Context(), o)
	require.NoError(t, err)
}

func (m *market) claim(n claim.Named) claim.Detail {
	answer, err := m.Gateways[rulestest.B].Evaluate(m.t.Context(), "claim:Get", n)
	require.NoError(m.t, err)
	var d claim.Detail
	require.NoError(m.t, ledger.DecodeAnswer(answer, &d))
	return d
}

func (m *market) balance(a ledger.Account) money.Amount {
	answer, err := m.Gateways[rulestest.B].Evaluate(m.t.Context(), "token:Balance", token.Owned{Account: a})
	require.NoError(m.t, err)
	var h token.Holding
	require.NoError(m.t, ledger.DecodeAnswer(answer, &h))
	return h.Balance + h.Credits
}

// release pays the table that the attestor has worked out, and returns what the ledger says.
func (m *market) release(c claim.Claim) error {
	d := m.claim(c.Named)
	var table merkle.Hash
	for _, v := range d.Votes {
		if v.By != "" {
			table = v.Table
		}
	}
	page, err := m.attestor.Page(m.t.Context(), d.Claim, table)
	require.NoError(m.t, err)
	request := claim.Release{Named: c.Named, Page: disbursement.Page{Number: 1, Due: money.Amount(page.Due), Rest: page.Rest}}
	for _, p := range page.Payments {
		request.Payments = append(request.Payments, token.Payment{To: ledger.Account(p.Payee), Amount: money.Amount(p.Amount)})
	}
	_, err = m.Try(corpustest.Ann, "claim:Release", request)
	return err
}

func TestWhatAnHonestHostClaimsIsPaidToThoseWhoseLinesWereGiven(t *testing.T) {
	for _, engine := range []attesting.Engine{attesting.Streaming, attesting.Indexed} {
		t.Run(string(engine), func(t *testing.T) {
			m := open(t, func(o *attesting.Options) { o.Engine = engine })
			one, two, silent := m.host.Open(rulestest.A, use.DiscloseAll), m.host.Open(rulestest.B, use.DiscloseSample), m.host.Open(rulestest.A, use.DiscloseNone)
			one.Use("tell me of the rose", rose)
			one.Use("and of the desert", desert+" which is not what anybody wrote")
			two.Use("what of the mirror", mirror)
			silent.Use("a secret", rose+desert)
			first := m.host.Settle(one, silent)
			require.NoError(t, m.attestor.Work(t.Context()))
			require.Equal(t, []string{"claim:Attest"}, m.submitted)
			require.NoError(t, m.attestor.Work(t.Context()))
			require.Len(t, m.submitted, 1, "it votes once")
			require.NoError(t, m.release(first))
			ann, bob := m.balance(m.ann.Contributor), m.balance(m.bob.Contributor)
			require.Positive(t, ann)
			require.Positive(t, bob)
			require.Greater(t, m.balance(ledger.PoolAccount(m.Pool)), first.Fees/10, "what is not covered, and what is not disclosed")
			require.Equal(t, claim.Released, m.claim(first.Named).State)

			one.Use("again", rose)
			second := m.host.Settle(two, one)
			require.NoError(t, m.attestor.Work(t.Context()))
			require.NoError(t, m.release(second))
			require.Greater(t, m.balance(m.ann.Contributor), ann)
			require.Equal(t, bob, m.balance(m.bob.Contributor))
			tally := m.Consortium.Tally(t)
			require.NoError(t, tally.Check())

			require.NoError(t, m.host.Archive.Sweep(t.Context()))
			_, err := m.attestor.Examine(t.Context(), second.Named)
			require.ErrorContains(t, err, "erased", "texts are forgotten once all is paid")
		})
	}
}

// TestEveryPlantedCheatIsFoundAndItsMoneyNotPaid tampers with one use among honest ones.
func TestEveryPlantedCheatIsFoundAndItsMoneyNotPaid(t *testing.T) {
	for cheat, test := range map[string]struct {
		change  func(m *market) func(*corpustest.Use)
		finding claim.Finding
	}{
		"shares to another account": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) {
				for i := range u.Receipt.Spans {
					u.Receipt.Spans[i].Payees[0].Account = string(corpustest.Trainer.Account())
				}
				u.Receipt.Shares[0].Account = string(corpustest.Trainer.Account())
			}
		}, "receipt"},
		"a receipt without its spans": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.Spans, u.Receipt.Shares, u.Receipt.CoveragePPM = nil, nil, 0 }
		}, "receipt"},
		"a fee that is too high": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Leaf.Fee++ }
		}, "fee"},
		"more tokens in, and their fee": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Leaf.In++; u.Leaf.Fee += 1000 }
		}, "units"},
		"more tokens out, and their fee": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Leaf.Out++; u.Leaf.Fee += 5000 }
		}, "units"},
		"another corpus": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.N++ }
		}, "subject"},
		"a root that never was": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.Roots[0][0] ^= 1 }
		}, "subject"},
		"another model": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.Model = "AMSP/other@1" }
		}, "subject"},
		"another artifact": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.Artifact[0] ^= 1 }
		}, "subject"},
		"another strictness": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt.Tau = 0 }
		}, "receipt"},
		"another prompt": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) {
				u.Evidence.Body = []byte(strings.Replace(string(u.Evidence.Body), "rose", "nose", 1))
			}
		}, "subject"},
		"a context that was not declared": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Evidence.Context = [][]byte{[]byte("print her lines")} }
		}, "subject"},
		"another output": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Evidence.Output = []byte(desert) }
		}, "subject"},
		"a number that stands twice": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Leaf.Number = 0 }
		}, "leaves"},
		"a leaf of another rate card": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Leaf.Card[0] ^= 1 }
		}, "leaves"},
		"a receipt that the leaf does not name": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Keep = true }
		}, "receipt"},
		"no receipt at all": {func(m *market) func(*corpustest.Use) {
			return func(u *corpustest.Use) { u.Receipt, u.Evidence.Receipt = nil, []byte("none") }
		}, "receipt"},
	} {
		t.Run(cheat, func(t *testing.T) {
			m := open(t)
			session := m.host.Open(rulestest.A, use.DiscloseAll)
			session.Use("tell me of the mirror", mirror)
			session.Use("tell me of the rose", rose, test.change(m))
			session.Use("tell me of the desert", desert)
			c := m.host.Settle(session)
			require.NoError(t, m.attestor.Work(t.Context()))
			require.Equal(t, []string{"claim:Object"}, m.submitted)
			found := m.claim(c.Named)
			require.Equal(t, claim.Frozen, found.State)
			require.Equal(t, test.finding, found.Objection.Finding)
			require.EqualValues(t, 1, found.Objection.Place)
			require.Equal(t, session.ID, found.Objection.Session)
			report, err := m.attestor.Report(t.Context(), c.Named)
			require.NoError(t, err)
			require.NotContains(t, string(report), "smallest", "a report holds no text")
			require.Zero(t, m.balance(m.ann.Contributor))
			require.Equal(t, c.Data, found.Left, "nothing of it is paid")
			require.NoError(t, m.host.Archive.Sweep(t.Context()))
			again, err := m.attestor.Examine(t.Context(), c.Named)
			require.NoError(t, err)
			require.Equal(t, test.finding, again.Difference.Finding, "texts stay while the claim is frozen")
		})
	}
}

// A host's receipts must not take whatever memory they like.
func TestAnAttestorHoldsNoMoreSharesThanItHasRoomFor(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	session.Use("tell me of the mirror", mirror)
	session.Use("tell me of the desert", desert)
	c := m.host.Settle(session)
	defer attesting.BoundShares(1)()
	x, err := m.attestor.Examine(t.Context(), c.Named)
	require.NoError(t, err)
	require.Equal(t, claim.Finding("receipt"), x.Difference.Finding)
	require.EqualValues(t, 1, x.Difference.Place)
}

func TestReceiptsThatWereSwappedAreFound(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	var first corpustest.Use
	session.Use("tell me of the mirror", mirror, func(u *corpustest.Use) { first = *u })
	session.Use("tell me of the rose", rose, func(u *corpustest.Use) { u.Receipt = first.Receipt })
	c := m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, claim.Finding("subject"), m.claim(c.Named).Objection.Finding)
}

func TestASampleIsDrawnWithASecretThatWasRegisteredBeforeAndIsRevealedAfterwards(t *testing.T) {
	m := open(t, func(o *attesting.Options) { o.Rate = 300_000 })
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, []string{"sampling:Register"}, m.submitted, "ahead of need")
	session := m.host.Open(rulestest.A, use.DiscloseSample)
	for range 40 {
		session.Use("tell me of the rose", rose)
	}
	c := m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, []string{"sampling:Register", "claim:Attest"}, m.submitted)
	vote := m.claim(c.Named).Votes[1].Vote
	require.Equal(t, 300_000, vote.Rate)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, "sampling:Register", m.submitted[2], "the next one, before this is revealed")
	require.NoError(t, m.release(c))
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, "sampling:Reveal", m.submitted[3])
	answer, err := m.Gateways[rulestest.B].Evaluate(t.Context(), "sampling:Get", sampling.Named{MSP: rulestest.B, ID: vote.Secret})
	require.NoError(t, err)
	var shown sampling.Secret
	require.NoError(t, ledger.DecodeAnswer(answer, &shown))
	raw, err := hex.DecodeString(shown.Secret)
	require.NoError(t, err)
	drawn := 0
	for place := range uint64(40) {
		if use.Secret(raw).Draws(300_000, c.Scope, session.ID, place) {
			drawn++
		}
	}
	require.Positive(t, drawn)
	require.Less(t, drawn, 40)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Len(t, m.submitted, 4)
}

func TestAClaimThatWasSettledBeforeTheFirstSecretIsRecomputedWhole(t *testing.T) {
	m := open(t, func(o *attesting.Options) { o.Rate = 300_000 })
	session := m.host.Open(rulestest.A, use.DiscloseSample)
	session.Use("tell me of the rose", rose)
	c := m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	vote := m.claim(c.Named).Votes[1].Vote
	require.Equal(t, use.All, vote.Rate)
	require.Empty(t, vote.Secret)
}

func TestAnAttestorSeesNoMoreTextsThanItSaysThatItDraws(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseSample)
	for range 60 {
		session.Use("tell me of the rose", rose)
	}
	c := m.host.Settle(session)
	b := m.ArchiveOf(m.Gateways[rulestest.B])
	all := places(session.ID, 60)
	ignore := func(int, []byte) error { return nil }
	require.ErrorContains(t, b.Texts(t.Context(), c.Named, 10_000, all, ignore), "more than a draw")
	require.NoError(t, b.Texts(t.Context(), c.Named, 10_000, all[:5], ignore))
	require.NoError(t, b.Texts(t.Context(), c.Named, 10_000, all[:5], ignore), "the same again is no more")
	require.ErrorContains(t, b.Texts(t.Context(), c.Named, use.All, all, ignore), "draws 10000", "a rate is said once")
	require.NoError(t, b.Receipts(t.Context(), c.Named, all, ignore), "receipts hold no text")
	require.ErrorContains(t, m.ArchiveOf(m.Gateways[rulestest.C]).Texts(t.Context(), c.Named, use.All, all, ignore), "none of the attestors")
}

func TestWhatIsWithheldIsObjectedToOnceItsTimeIsOver(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	session.Use("tell me of the rose", rose)
	c := m.host.Settle(session)
	refusing := m.ArchiveOf(m.Gateways[rulestest.C]) // which is no attestor
	m.attest(rulestest.B, func(o *attesting.Options) { o.Host = refusing })
	require.ErrorContains(t, m.attestor.Work(t.Context()), "none of the attestors")
	require.Empty(t, m.submitted)
	m.Pass(24 * time.Hour)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, claim.Finding("withheld"), m.claim(c.Named).Objection.Finding)
}

func TestOfAnErasedContributionNothingIsPaidOnOldRoots(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	session.Use("tell me of the desert", desert)
	c := m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	before := m.claim(c.Named).Votes[1].Vote

	m.Must(corpustest.Bob, "erasure:Request", m.bob.Name())
	m.Pass(erasure.Term)
	require.NoError(t, m.Gateways[rulestest.B].Store.Erase(t.Context(), m.bob.Name()))
	require.NoError(t, m.library.Erase(t.Context(), m.bob.Name()))
	_, err := m.attestor.Examine(t.Context(), c.Named)
	require.ErrorContains(t, err, "not yet revised")

	answer, err := m.Gateways[rulestest.B].Evaluate(t.Context(), "erasure:Get", m.bob.Name())
	require.NoError(t, err)
	var detail erasure.Detail
	require.NoError(t, ledger.DecodeAnswer(answer, &detail))
	for _, slot := range detail.Acknowledgements {
		_, err := m.Gateways[slot.MSP].Submit(t.Context(), "erasure:Acknowledge", m.bob.Name())
		require.NoError(t, err)
	}
	m.Must(corpustest.Curator, "seal:Retire", seal.Retire{Datanet: m.Pool, Contributions: []string{m.bob.ID}})
	m.Must(corpustest.Curator, "erasure:Complete", m.bob.Name())
	m.Must(corpustest.Curator, "snapshot:Revise", snapshot.Named{Datanet: m.Pool, Number: 1})
	require.ErrorContains(t, m.release(c), "latest revisions", "the vote has to be renewed")
	require.NoError(t, m.attestor.Work(t.Context()))
	after := m.claim(c.Named).Votes[1].Vote
	require.NotEqual(t, before.Table, after.Table)
	require.Equal(t, []int{2}, after.Revisions)
	require.NoError(t, m.release(c))
	require.Zero(t, m.balance(m.bob.Contributor))
	page := []payout.Payment{{Payee: payout.Pool(m.Pool), Amount: int64(c.Data)}}
	table, err := payout.Table(page)
	require.NoError(t, err)
	require.Equal(t, table, after.Table, "all of it goes to the pool")
}

func places(sid merkle.Hash, n int) (list []archive.Place) {
	for i := range n {
		list = append(list, archive.Place{Session: sid, Place: uint64(i)})
	}
	return list
}

// reading is a host's archive that notes from which places leaves are read.
type reading struct {
	attesting.Host
	from []uint64
}

func (r *reading) Leaves(ctx context.Context, n claim.Named, from ...archive.Place) (io.ReadCloser, error) {
	for _, p := range from {
		r.from = append(r.from, p.Place)
	}
	return r.Host.Leaves(ctx, n, from...)
}

func TestLeavesThatWereVerifiedAreNotReadAgain(t *testing.T) {
	m := open(t)
	db := m.Gateways[rulestest.B].DB
	from := &reading{Host: m.ArchiveOf(m.Gateways[rulestest.B])}
	reads := func(o *attesting.Options) { o.Host = from }
	m.attest(rulestest.B, reads)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	voted := func(uses int) claim.Claim {
		t.Helper()
		for range uses {
			session.Use("tell me of the rose", rose)
		}
		c := m.host.Settle(session)
		require.NoError(t, m.attestor.Work(t.Context()))
		require.Equal(t, "claim:Attest", m.submitted[len(m.submitted)-1])
		require.NotEmpty(t, m.claim(c.Named).Votes[1].By)
		return c
	}
	first := voted(3)
	voted(2)
	require.Equal(t, []uint64{0, 3}, from.from)
	m.attest(rulestest.B, reads)
	voted(1)
	require.Equal(t, []uint64{0, 3, 5}, from.from, "a restart forgets nothing")
	x, err := m.attestor.Examine(t.Context(), first.Named)
	require.NoError(t, err)
	require.NotNil(t, x.Vote)
	require.EqualValues(t, 0, from.from[3], "an earlier settlement is read from the first leaf on")
	voted(1)
	require.EqualValues(t, 6, from.from[4], "and takes nothing back")

	for _, harm := range []string{`UPDATE attesting_sessions SET amount = amount + 1`, `UPDATE attesting_sessions SET peaks = numbers`,
		`UPDATE attesting_sessions SET numbers = peaks`, `DELETE FROM attesting_sessions`} {
		from.from = nil
		require.NoError(t, db.InTx(t.Context(), func(tx *database.Tx) error {
			_, err := tx.ExecContext(t.Context(), harm)
			return err
		}))
		voted(1)
		require.EqualValues(t, 0, from.from[len(from.from)-1], "what was lost or harmed is read again: %s", harm)
	}
	m.Pass(80 * 24 * time.Hour)
	require.NoError(t, m.attestor.Work(t.Context()))
	var left int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM attesting_sessions`).Scan(&left))
	require.Zero(t, left, "of sessions that are over nothing is kept")
}

// TestALeafThatIsChangedAfterItWasVerifiedIsFound has host and consumer agree on another leaf in an early place, whether the
// archive shows it or not.
func TestALeafThatIsChangedAfterItWasVerifiedIsFound(t *testing.T) {
	for _, shown := range []bool{false, true} {
		for name, change := range map[string]func(*use.Leaf){
			"a fee":     func(l *use.Leaf) { l.Out++; l.Fee += 5000 },
			"a receipt": func(l *use.Leaf) { l.Receipt[0] ^= 1 },
			"a number":  func(l *use.Leaf) { l.Number = 99 },
		} {
			t.Run(fmt.Sprintf("%s, shown: %v", name, shown), func(t *testing.T) {
				m := open(t)
				session := m.host.Open(rulestest.A, use.DiscloseAll)
				for range 3 {
					session.Use("tell me of the rose", rose)
				}
				m.host.Settle(session)
				require.NoError(t, m.attestor.Work(t.Context()))
				leaves := session.Rewrite(1, change)
				session.Use("tell me of the mirror", mirror)
				if shown {
					require.NoError(t, m.host.Archive.DB.InTx(t.Context(), func(tx *database.Tx) error {
						_, err := tx.ExecContext(t.Context(), `UPDATE archive_leaves SET leaves = ?`, leaves)
						return err
					}))
				}
				c := m.host.Settle(session)
				require.NoError(t, m.attestor.Work(t.Context()))
				require.Equal(t, []string{"claim:Attest", "claim:Object"}, m.submitted)
				require.Equal(t, claim.Finding("leaves"), m.claim(c.Named).Objection.Finding)
			})
		}
	}
}

func TestANumberThatStoodInAnEarlierSettlementIsFound(t *testing.T) {
	m := open(t)
	session := m.host.Open(rulestest.A, use.DiscloseAll)
	session.Use("tell me of the rose", rose)
	m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	session.Use("tell me of the mirror", mirror, func(u *corpustest.Use) { u.Leaf.Number = 0 })
	c := m.host.Settle(session)
	require.NoError(t, m.attestor.Work(t.Context()))
	found := m.claim(c.Named)
	require.Equal(t, claim.Finding("leaves"), found.Objection.Finding)
	require.EqualValues(t, 1, found.Objection.Place)
}

func TestSessionsWithManyGapsAreReadFromTheFirstLeafOn(t *testing.T) {
	m := open(t)
	from := &reading{Host: m.ArchiveOf(m.Gateways[rulestest.B])}
	m.attest(rulestest.B, func(o *attesting.Options) { o.Host = from })
	session := m.host.Open(rulestest.A, use.DiscloseNone)
	gaps := func(uses int) claim.Claim {
		for range uses {
			session.Use("?", "rose", func(u *corpustest.Use) { u.Leaf.Number *= 2 })
		}
		return m.host.Settle(session)
	}
	gaps(meter.MaxRanges + 2)
	require.NoError(t, m.attestor.Work(t.Context()))
	c := gaps(1)
	require.NoError(t, m.attestor.Work(t.Context()))
	require.Equal(t, []uint64{0, 0}, from.from)
	require.NotEmpty(t, m.claim(c.Named).Votes[1].By)
}
