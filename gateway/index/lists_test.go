package index_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

func allKinds() []string {
	return rules.KeyKinds()
}

func TestEveryKindOfKeyCanBeListed(t *testing.T) {
	for _, kind := range allKinds() {
		require.True(t, index.Listed(kind), "package index says nothing of entries of kind %s", kind)
	}
	require.ElementsMatch(t, allKinds(), index.Kinds())
}

// indexed is an index of the story.
func indexed(t *testing.T, db *database.DB, s *story) *index.Index {
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	for _, b := range s.chain.Blocks {
		require.NoError(t, x.Apply(t.Context(), b))
	}
	return x
}

// items asks the in-memory ledger for a list.
func (s *story) items(t *testing.T, function string, request any) []string {
	answer := s.Must(t, ann, function, request)
	var page ledger.Page[json.RawMessage]
	require.NoError(t, json.Unmarshal(answer, &page))
	require.NotEmpty(t, page.Items, function)
	texts := make([]string, len(page.Items))
	for i, item := range page.Items {
		texts[i] = string(item)
	}
	return texts
}

func values(entries []index.Entry) []string {
	texts := make([]string, len(entries))
	for i, entry := range entries {
		texts[i] = string(entry.Value)
	}
	return texts
}

func list(t require.TestingT, x *index.Index, f index.Filter) []index.Entry {
	page, err := x.Entries(ctx, f, ledger.PageRequest{Limit: ledger.MaxPage})
	require.NoError(t, err)
	require.Empty(t, page.Next)
	return page.Items
}

func ids(t *testing.T, entries []index.Entry) []string {
	var ids []string
	for _, entry := range entries {
		var v struct{ ID string }
		require.NoError(t, json.Unmarshal(entry.Value, &v))
		ids = append(ids, v.ID)
	}
	return ids
}

func TestLists(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)

		t.Run("the current state is the ledger's", func(t *testing.T) {
			state := s.State()
			for _, want := range state {
				kind, _, _ := want.Key.Split()
				got, err := x.Entry(t.Context(), want.Key)
				require.NoError(t, err)
				require.Equal(t, want.Version.Block, got.Block)
				require.Equal(t, want.Version.Tx, uint64(got.Position))
				if kind != "credit" && kind != "spend" {
					require.Equal(t, string(want.Value), string(got.Value))
				}
			}
			count := 0
			for _, kind := range allKinds() {
				count += len(list(t, x, index.Filter{Kind: kind}))
			}
			require.Equal(t, len(state), count)
		})

		for _, c := range []struct {
			function string
			request  any
			filter   index.Filter
		}{
			{"access:Grants", access.Listing{Datanet: s.pool}, index.Filter{Kind: "grant", Within: []string{s.pool}}},
			{"access:Grants", access.Listing{Datanet: s.pool}, index.Filter{Kind: "grant", Account: orgB}},
			{"access:Releases", access.Listing{Datanet: s.pool}, index.Filter{Kind: "release", Within: []string{s.pool}}},
			{"access:Releases", access.Listing{Datanet: s.pool}, index.Filter{Kind: "release", Account: string(trainerB.Account()), Order: index.ByKey}},
			{"access:ReleasesOf", access.OfContribution{Named: s.sealed[0]}, index.Filter{Kind: "released", Within: []string{s.pool, s.sealed[0].ID}}},
			{"access:SnapshotReleases", access.Listing{Datanet: s.pool}, index.Filter{Kind: "released-snapshot", Within: []string{s.pool}}},
			{"account:List", account.Listing{MSP: orgA}, index.Filter{Kind: "account", Within: []string{orgA}}},
			{"account:List", account.Listing{MSP: orgA}, index.Filter{Kind: "account", Organisation: orgA, Order: index.ByKey}},
			{"account:Roles", account.History{Account: ann.Account()}, index.Filter{Kind: "account-roles", Within: []string{string(ann.Account())}}},
			{"approval:History", approval.Listing{Named: s.rejected}, index.Filter{Kind: "vote", Within: []string{s.pool, s.rejected.ID}}},
			{"contribution:List", contribution.Listing{Datanet: s.pool}, index.Filter{Kind: "contribution", Within: []string{s.pool}}},
			{"contribution:List", contribution.Listing{Datanet: s.pool}, index.Filter{Kind: "contribution", Datanet: s.pool, Order: index.ByKey}},
			{"datanet:List", ledger.PageRequest{}, index.Filter{Kind: "datanet"}},
			{"datanet:List", ledger.PageRequest{}, index.Filter{Kind: "datanet", Organisation: orgA, Account: string(curator.Account()), State: "active"}},
			{"datanet:Versions", datanet.Listing{Name: s.pool}, index.Filter{Kind: "datanet-version", Within: []string{s.pool}}},
			{"erasure:List", contribution.Listing{Datanet: s.pool}, index.Filter{Kind: "erasure", Datanet: s.pool}},
			{"model:List", ledger.PageRequest{}, index.Filter{Kind: "model", Organisation: orgA, Order: index.ByKey}},
			{"model:Cards", model.CardListing{Named: s.model}, index.Filter{Kind: "rate-card", Within: []string{s.model.Name, s.model.Version}}},
			{"model:Cards", model.CardListing{Named: s.model}, index.Filter{Kind: "rate-card", Account: string(host.Account())}},
			{"claim:List", claim.Listing{Host: s.claimed.Host}, index.Filter{Kind: "claim", Account: string(s.claimed.Host), Order: index.ByKey}},
			{"pool:List", pool.Listing{Datanet: s.pool}, index.Filter{Kind: "pool-payout", Datanet: s.pool, Order: index.ByKey}},
			{"sampling:List", sampling.Listing{MSP: orgA}, index.Filter{Kind: "sampling", Organisation: orgA, Account: string(validator(orgA).Account()), Order: index.ByKey}},
			{"session:List", session.Listing{Account: ann.Account()}, index.Filter{Kind: "session", Account: string(ann.Account()), Order: index.ByKey}},
			{"session:Funds", session.FundListing{Named: s.idle}, index.Filter{Kind: "fund", Account: string(ann.Account()), State: "unused"}},
			{"session:Funds", session.FundListing{Named: s.session}, index.Filter{Kind: "fund", Organisation: orgC, State: "used"}},
			{"proposal:List", ledger.PageRequest{}, index.Filter{Kind: "proposal"}},
			{"schedule:Versions", ledger.PageRequest{}, index.Filter{Kind: "schedule-version"}},
			{"snapshot:List", snapshot.Listing{Datanet: s.pool}, index.Filter{Kind: "snapshot", Within: []string{s.pool}}},
			{"snapshot:Revisions", snapshot.RevisionListing{Named: snapshot.Named{Datanet: s.pool, Number: 1}}, index.Filter{Kind: "snapshot-revision", Within: []string{s.pool, "0000000001"}}},
			{"ticket:List", ledger.PageRequest{}, index.Filter{Kind: "ticket"}},
			{"token:Credits", token.Listing{Account: bob.Account()}, index.Filter{Kind: "credit", Account: string(bob.Account()), Order: index.ByKey}},
			{"token:Statement", token.Listing{Account: ann.Account()}, index.Filter{Kind: "spend", Account: string(ann.Account()), Order: index.ByKey}},
			{"token:Redemptions", token.RedemptionListing{Account: ann.Account()}, index.Filter{Kind: "redemption", Account: string(ann.Account()), State: "escrowed"}},
			{"token:Redemptions", token.RedemptionListing{}, index.Filter{Kind: "redemption"}},
			{"token:Mints", ledger.PageRequest{}, index.Filter{Kind: "mint"}},
			{"token:Mints", ledger.PageRequest{}, index.Filter{Kind: "mint", Account: string(ann.Account()), Order: index.ByKey}},
		} {
			t.Run(fmt.Sprintf("%s gives the same documents as %+v", c.function, c.filter), func(t *testing.T) {
				require.Equal(t, s.items(t, c.function, c.request), values(list(t, x, c.filter)))
			})
		}

		t.Run("contributions by contributor and state", func(t *testing.T) {
			mine := index.Filter{Kind: "contribution", Account: string(ann.Account()), State: "pending"}
			require.Equal(t, []string{s.pending[0].ID, s.pending[1].ID}, ids(t, list(t, x, mine)))
			mine.Order = index.Newest
			require.Equal(t, []string{s.pending[1].ID, s.pending[0].ID}, ids(t, list(t, x, mine)))
		})
		t.Run("an organisation's queue has what is pending and not voted on by it in this revision", func(t *testing.T) {
			queue := func(msp string) []string {
				return ids(t, list(t, x, index.Filter{Kind: "contribution", Awaits: msp}))
			}
			require.Equal(t, []string{s.pending[0].ID}, queue(orgA))
			require.Equal(t, []string{s.pending[0].ID, s.pending[1].ID}, queue(orgB))
			require.Equal(t, []string{s.rejected.ID}, queue(orgC), "Ann is of C, and once only although two revisions have open slots")
		})
		t.Run("a queue can be of one datanet", func(t *testing.T) {
			require.Len(t, list(t, x, index.Filter{Kind: "contribution", Awaits: orgB, Datanet: s.pool}), 2)
			require.Empty(t, list(t, x, index.Filter{Kind: "contribution", Awaits: orgB, Datanet: orgA + "/other"}))
		})
		t.Run("proposals wait for those who have not approved", func(t *testing.T) {
			require.Empty(t, list(t, x, index.Filter{Kind: "proposal", Awaits: orgA}))
			require.Equal(t, []string{s.proposal}, ids(t, list(t, x, index.Filter{Kind: "proposal", Awaits: orgB})), "executed ones wait for nobody")
		})
		t.Run("erasures wait for the holders that have not acknowledged", func(t *testing.T) {
			require.Empty(t, list(t, x, index.Filter{Kind: "erasure", Awaits: orgA}))
			require.Equal(t, []string{s.sealed[2].ID}, ids(t, list(t, x, index.Filter{Kind: "erasure", Awaits: orgC})))
		})
		t.Run("a model waits for the organisation that is to host it", func(t *testing.T) {
			require.Len(t, list(t, x, index.Filter{Kind: "replica", Awaits: orgC}), 1)
			require.Empty(t, list(t, x, index.Filter{Kind: "replica", Awaits: orgB}), "it has agreed")
			require.Len(t, list(t, x, index.Filter{Kind: "model", Awaits: orgC}), 1)
			require.Empty(t, list(t, x, index.Filter{Kind: "model", Awaits: orgB}))
		})
		t.Run("claims wait for the attestors that have not voted, while they are open", func(t *testing.T) {
			require.Equal(t, []string{s.claimed.ID}, ids(t, list(t, x, index.Filter{Kind: "claim", Awaits: orgA})))
			require.Equal(t, []string{s.attested.ID, s.claimed.ID}, ids(t, list(t, x, index.Filter{Kind: "claim", Awaits: orgC})), "what is released waits for nobody")
			require.Empty(t, list(t, x, index.Filter{Kind: "claim", Awaits: orgB}), "the host's organisation does not attest")
			require.Equal(t, []string{s.paid.ID}, ids(t, list(t, x, index.Filter{Kind: "claim", State: "released"})))
			require.Equal(t, []string{s.paid.ID, s.attested.ID}, ids(t, list(t, x, index.Filter{Kind: "claim-slot", Account: string(validator(orgA).Account()), State: "attested"})))
		})
		t.Run("what is open and what is over, of sessions, their tabs, secrets and pay-outs", func(t *testing.T) {
			names := func(f index.Filter) (names []string) {
				for _, entry := range list(t, x, f) {
					_, parts, ok := entry.Key.Split()
					require.True(t, ok)
					names = append(names, parts[1])
				}
				return names
			}
			require.Equal(t, []string{s.idle.Name}, names(index.Filter{Kind: "session", Organisation: orgC, State: "open"}))
			require.Equal(t, []string{s.session.Name}, names(index.Filter{Kind: "session", State: "ended"}))
			require.Equal(t, []string{s.idle.Name}, names(index.Filter{Kind: "tab", Account: string(ann.Account()), State: "open"}))
			require.Equal(t, []string{s.session.Name}, names(index.Filter{Kind: "tab", State: "closed"}))
			require.Equal(t, []string{s.secret.ID}, names(index.Filter{Kind: "sampling", Organisation: orgA, State: "sealed"}))
			require.Len(t, list(t, x, index.Filter{Kind: "sampling", State: "revealed"}), 1)
			for i, state := range []string{"short", "funded", "paid"} {
				require.Equal(t, []string{s.payouts[i].ID}, names(index.Filter{Kind: "pool-payout", Datanet: s.pool, State: state}))
			}
		})
		t.Run("votes of a validator", func(t *testing.T) {
			require.Len(t, list(t, x, index.Filter{Kind: "vote", Account: string(validator(orgB).Account()), State: "approve"}), 3)
		})
		t.Run("tickets by trainer", func(t *testing.T) {
			require.Len(t, list(t, x, index.Filter{Kind: "ticket", Account: string(trainerB.Account()), State: "open"}), 1)
		})
		t.Run("a missing entry is a fault", func(t *testing.T) {
			_, err := x.Entry(t.Context(), ledger.NewKey("ticket", "none"))
			require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)
		})
		t.Run("a history has every value, the latest first", func(t *testing.T) {
			page, err := x.History(t.Context(), contribution.Key(s.pool, s.sealed[2].ID), ledger.PageRequest{})
			require.NoError(t, err)
			var states []string
			for _, version := range page.Items {
				var c contribution.Contribution
				require.NoError(t, json.Unmarshal(version.Value, &c))
				states = append(states, string(c.State))
			}
			require.Equal(t, []string{"erasing", "approved", "pending"}, states)
			require.Equal(t, ann.Account(), page.Items[2].By)
			require.Equal(t, "contribution:Submit", page.Items[2].Function)
			require.Equal(t, s.Clock, page.Items[2].Time)
		})
		t.Run("a statement has credits that are spent, and adds up", func(t *testing.T) {
			page, err := x.Statement(t.Context(), ann.Account(), ledger.PageRequest{})
			require.NoError(t, err)
			var total, consumed int64
			for _, item := range page.Items {
				kind, _, _ := item.Key.Split()
				if kind == "credit" {
					var credit token.Credit
					require.NoError(t, json.Unmarshal(item.Value, &credit))
					require.Equal(t, item.Tx, credit.ID)
					total += int64(credit.Amount)
					continue
				}
				var spend token.Spend
				require.NoError(t, json.Unmarshal(item.Value, &spend))
				total -= int64(spend.Amount)
				if spend.Apart {
					for _, credit := range spend.Consumed {
						consumed += int64(credit.Amount)
					}
					consumed -= int64(spend.Amount) // the change came back as a credit
				}
			}
			var holding token.Holding
			require.NoError(t, json.Unmarshal(s.Must(t, ann, "token:Balance", token.Owned{Account: ann.Account()}), &holding))
			require.Equal(t, int64(holding.Balance+holding.Credits), total-consumed)
		})
		t.Run("a credit that was spent is deleted in its history", func(t *testing.T) {
			page, err := x.Statement(t.Context(), ann.Account(), ledger.PageRequest{})
			require.NoError(t, err)
			oldest := page.Items[len(page.Items)-1]
			history, err := x.History(t.Context(), oldest.Key, ledger.PageRequest{})
			require.NoError(t, err)
			require.Len(t, history.Items, 2)
			require.True(t, history.Items[0].Deleted)
			require.Nil(t, history.Items[0].Value)
		})
	})
}

func TestMalformedListsAreRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x, err := index.Open(t.Context(), db, "datanet")
		require.NoError(t, err)
		for name, f := range map[string]index.Filter{
			"no kind":                       {},
			"an unknown kind":               {Kind: "secret"},
			"a state of what has none":      {Kind: "page", State: "open"},
			"slots of what has none":        {Kind: "ticket", Awaits: orgA},
			"an unknown order":              {Kind: "ticket", Order: "t.secret"},
			"a part with U+0000":            {Kind: "ticket", Within: []string{"a\x00b"}},
			"an empty part":                 {Kind: "ticket", Within: []string{""}},
			"a part that is not UTF-8":      {Kind: "ticket", Within: []string{"\xff"}},
			"an account with U+0000":        {Kind: "ticket", Account: "A\x00"},
			"a state that is not UTF-8":     {Kind: "ticket", State: "\xff"},
			"an organisation without limit": {Kind: "ticket", Organisation: strings.Repeat("x", 1000)},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := x.Entries(t.Context(), f, ledger.PageRequest{})
				require.Equal(t, ledger.CodeInvalid, ledger.AsFault(err).Code, "%v", err)
			})
		}
		t.Run("a page without limit", func(t *testing.T) {
			_, err := x.Entries(t.Context(), index.Filter{Kind: "ticket"}, ledger.PageRequest{Limit: ledger.MaxPage + 1})
			require.Equal(t, "limit", ledger.AsFault(err).Field)
		})
	})
}

// TestPagesAreTheListCutUp reads lists in pages of any size.
func TestPagesAreTheListCutUp(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		rapid.Check(t, func(t *rapid.T) {
			f := index.Filter{Kind: rapid.SampledFrom(index.Kinds()).Draw(t, "kind")}
			f.Order = rapid.SampledFrom([]index.Order{"", index.ByKey, index.Oldest, index.Newest}).Draw(t, "order")
			if rapid.Bool().Draw(t, "within") {
				f.Within = []string{s.pool}
			}
			if f.Kind == "vote" || f.Kind == "contribution" {
				f.Account = rapid.SampledFrom([]string{"", string(ann.Account()), string(validator(orgB).Account())}).Draw(t, "account")
				f.Datanet = rapid.SampledFrom([]string{"", s.pool}).Draw(t, "datanet")
			}
			size := rapid.IntRange(1, 9).Draw(t, "size")
			pages(t, list(t, x, f), size, func(page ledger.PageRequest) (ledger.Page[index.Entry], error) { return x.Entries(ctx, f, page) })
		})
		t.Run("histories, statements and transactions too", func(t *testing.T) {
			key := contribution.Key(s.pool, s.rejected.ID)
			all, err := x.History(ctx, key, ledger.PageRequest{})
			require.NoError(t, err)
			require.Greater(t, len(all.Items), 2)
			pages(t, all.Items, 1, func(page ledger.PageRequest) (ledger.Page[index.Entry], error) { return x.History(ctx, key, page) })
			all, err = x.Statement(ctx, ann.Account(), ledger.PageRequest{})
			require.NoError(t, err)
			require.Greater(t, len(all.Items), 5)
			pages(t, all.Items, 2, func(page ledger.PageRequest) (ledger.Page[index.Entry], error) {
				return x.Statement(ctx, ann.Account(), page)
			})
			for _, f := range []index.TxFilter{{}, {From: s.Clock.AddDate(-1, 0, 0)}, {Account: ann.Account()}, {Organisation: orgB, Until: s.Clock.AddDate(1, 0, 0)}} {
				all, err := x.Transactions(ctx, f, ledger.PageRequest{Limit: ledger.MaxPage})
				require.NoError(t, err)
				require.Greater(t, len(all.Items), 5)
				pages(t, all.Items, 4, func(page ledger.PageRequest) (ledger.Page[index.Transaction], error) {
					return x.Transactions(ctx, f, page)
				})
			}
		})
		t.Run("a cursor of another list is refused", func(t *testing.T) {
			page, err := x.Entries(ctx, index.Filter{Kind: "vote"}, ledger.PageRequest{Limit: 1})
			require.NoError(t, err)
			require.NotEmpty(t, page.Next)
			_, err = x.Entries(ctx, index.Filter{Kind: "vote", State: "open"}, ledger.PageRequest{Cursor: page.Next})
			require.Equal(t, "cursor", ledger.AsFault(err).Field)
			_, err = x.Transactions(ctx, index.TxFilter{}, ledger.PageRequest{Cursor: page.Next})
			require.Equal(t, "cursor", ledger.AsFault(err).Field)
		})
	})
}

func pages[T any](t require.TestingT, all []T, size int, read func(ledger.PageRequest) (ledger.Page[T], error)) {
	got := []T{}
	request := ledger.PageRequest{Limit: size}
	for {
		page, err := read(request)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), size)
		got = append(got, page.Items...)
		if request.Cursor = page.Next; page.Next == "" {
			break
		}
		require.Len(t, page.Items, size)
	}
	require.Equal(t, all, got)
}

func TestTransactions(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		all, err := x.Transactions(ctx, index.TxFilter{}, ledger.PageRequest{Limit: ledger.MaxPage})
		require.NoError(t, err)
		count := 0
		for _, b := range s.chain.Blocks {
			count += len(b.Data.Data)
		}
		require.Len(t, all.Items, count)

		t.Run("an invalid one is kept with its verdict and wrote nothing", func(t *testing.T) {
			tx, err := x.Transaction(ctx, s.conflict)
			require.NoError(t, err)
			require.Equal(t, "MVCC_READ_CONFLICT", tx.Code)
			require.Empty(t, tx.Writes)
			lost, err := x.Transactions(ctx, index.TxFilter{Code: tx.Code}, ledger.PageRequest{})
			require.NoError(t, err)
			require.Len(t, lost.Items, 1)
		})
		t.Run("by account and function", func(t *testing.T) {
			page, err := x.Transactions(ctx, index.TxFilter{Account: bob.Account(), Function: "contribution:Revise"}, ledger.PageRequest{})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
			tx, err := x.Transaction(ctx, page.Items[0].Tx)
			require.NoError(t, err)
			require.Equal(t, "contribution.revised/1", tx.Event)
			require.Equal(t, orgB, tx.MSP)
			require.NotEmpty(t, tx.Payload)
			require.Contains(t, fmt.Sprint(keys(tx.Writes)), "contribution/"+s.pool+"/"+s.rejected.ID)
		})
		t.Run("by time", func(t *testing.T) {
			page, err := x.Transactions(ctx, index.TxFilter{From: s.Clock.AddDate(1, 0, 0)}, ledger.PageRequest{})
			require.NoError(t, err)
			require.Empty(t, page.Items)
		})
		t.Run("one that is not there is a fault", func(t *testing.T) {
			for _, id := range []string{"none", "", "\x00", "\xff"} {
				_, err := x.Transaction(ctx, id)
				require.Equal(t, ledger.CodeNotFound, ledger.AsFault(err).Code)
			}
		})
	})
}

func keys(entries []index.Entry) []string {
	var keys []string
	for _, entry := range entries {
		keys = append(keys, entry.Key.String())
	}
	return keys
}

// TestNoListIsSortedOrScanned looks at how SQLite carries out lists: by the index of what it is listed by, in that
// index's order, so that a page of a long list costs no more than one of a short one.
func TestNoListIsSortedOrScanned(t *testing.T) {
	s := tell(t)
	db, err := database.Open(t.Context(), database.SQLiteURL(t.TempDir()+"/x.db"))
	require.NoError(t, err)
	defer db.Close()
	x := indexed(t, db, s)
	for want, filters := range map[string][]index.Filter{
		"SEARCH e USING INDEX sqlite_autoindex_entries_1 (key>? AND key<?)": {
			{Kind: "contribution"}, {Kind: "contribution", Within: []string{s.pool}}, {Kind: "contribution", Account: "CMSP:ann", Order: index.ByKey}},
		"SEARCH e USING INDEX entries_account (kind=? AND account=?": {
			{Kind: "contribution", Account: "CMSP:ann"}, {Kind: "contribution", Account: "CMSP:ann", State: "pending", Datanet: s.pool, Order: index.Newest}},
		"SEARCH e USING INDEX entries_state (kind=? AND state=?": {
			{Kind: "contribution", State: "pending"}, {Kind: "contribution", Awaits: orgA}, {Kind: "contribution", Awaits: orgA, Datanet: s.pool}},
		"SEARCH e USING INDEX entries_datanet (kind=? AND datanet=?":                   {{Kind: "contribution", Datanet: s.pool, Order: index.Newest}},
		"SEARCH e USING INDEX entries_datanet_state (kind=? AND datanet=? AND state=?": {{Kind: "contribution", Datanet: s.pool, State: "pending"}},
		"SEARCH e USING INDEX entries_organisation (kind=? AND organisation=?":         {{Kind: "vote", Organisation: orgA, State: "open"}},
		"SEARCH e USING INDEX entries_kind (kind=?":                                    {{Kind: "vote", Order: index.Newest}},
	} {
		for _, f := range filters {
			page, err := x.Entries(t.Context(), f, ledger.PageRequest{Limit: 1})
			require.NoError(t, err)
			for _, cursor := range []string{"", page.Next} {
				plan, err := index.Plan(t.Context(), x, f, cursor)
				require.NoError(t, err)
				require.Contains(t, plan[0], want, "%+v", f)
				require.NotContains(t, strings.Join(plan, "; "), "TEMP B-TREE", "%+v", f)
				require.NotContains(t, strings.Join(plan, "; "), "SCAN", "%+v", f)
			}
		}
	}
}
