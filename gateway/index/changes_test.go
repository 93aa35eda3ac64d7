package index_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

func TestChanges(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		read := func(t *testing.T, f index.ChangeFilter, limit int) []index.Change {
			var all []index.Change
			at := index.Cursor{}
			for {
				changes, next, err := x.Changes(t.Context(), at, f, limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(changes), limit)
				all = append(all, changes...)
				if next == at {
					return all
				}
				at = next
			}
		}
		all := read(t, index.ChangeFilter{}, 1000)

		t.Run("every valid transaction that wrote is a change, in order", func(t *testing.T) {
			valid := 0
			page, err := x.Transactions(t.Context(), index.TxFilter{Code: "VALID"}, ledger.PageRequest{Limit: ledger.MaxPage})
			require.NoError(t, err)
			for _, tx := range page.Items {
				if tx.Event != "" {
					valid++
				}
			}
			require.Len(t, all, valid)
			for i := 1; i < len(all); i++ {
				a, b := all[i-1].Cursor, all[i].Cursor
				require.True(t, a.Block < b.Block || a.Block == b.Block && a.Position < b.Position)
			}
		})
		t.Run("read in pieces they are the same", func(t *testing.T) { require.Equal(t, all, read(t, index.ChangeFilter{}, 1)) })
		t.Run("read on from any cursor nothing is lost or repeated", func(t *testing.T) {
			for i, change := range all {
				at, err := index.ParseCursor(change.Cursor.String())
				require.NoError(t, err)
				rest, _, err := x.Changes(t.Context(), at, index.ChangeFilter{}, 1000)
				require.NoError(t, err)
				require.Len(t, rest, len(all)-i-1)
			}
		})
		t.Run("filtered by kind and datanet", func(t *testing.T) {
			for _, change := range read(t, index.ChangeFilter{Kind: "vote", Datanet: s.pool}, 10) {
				require.Contains(t, []string{"contribution:Submit", "contribution:Revise", "approval:Vote"}, change.Tx.Function)
				for _, changed := range change.Changed {
					require.Equal(t, "vote", changed.Kind)
				}
			}
			require.Empty(t, read(t, index.ChangeFilter{Kind: "vote", Datanet: "AMSP/other"}, 10))
		})
		t.Run("filtered by account: what it signed and what concerns it", func(t *testing.T) {
			functions := map[string]bool{}
			for _, change := range read(t, index.ChangeFilter{Account: string(bob.Account())}, 10) {
				functions[change.Tx.Function] = true
			}
			require.True(t, functions["contribution:Revise"], "signed")
			require.True(t, functions["token:Transfer"], "received")
			require.False(t, functions["seal:Append"])
		})
		t.Run("a deletion says so", func(t *testing.T) {
			deleted := 0
			for _, change := range read(t, index.ChangeFilter{Kind: "credit", Account: string(ann.Account())}, 10) {
				for _, changed := range change.Changed {
					if changed.Deleted {
						require.Equal(t, string(ann.Account()), changed.Account)
						deleted++
					}
				}
			}
			require.Equal(t, 4, deleted)
		})
		t.Run("who waits is told of the next block", func(t *testing.T) {
			last, err := x.Last(t.Context())
			require.NoError(t, err)
			notified := x.Notify()
			changes, next, err := x.Changes(t.Context(), last, index.ChangeFilter{}, 10)
			require.NoError(t, err)
			require.Empty(t, changes)
			require.Equal(t, last, next)
			height, err := x.Height(t.Context())
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- x.WaitHeight(context.Background(), height+1) }()
			s.submit(t, ann)
			require.NoError(t, x.Apply(t.Context(), s.chain.Blocks[height]))
			<-notified
			require.NoError(t, <-done)
			changes, _, err = x.Changes(t.Context(), last, index.ChangeFilter{}, 10)
			require.NoError(t, err)
			require.Len(t, changes, 1)
			for int(height)+1 < len(s.chain.Blocks) { // nothing is left for the next kind of database
				height++
				require.NoError(t, x.Apply(t.Context(), s.chain.Blocks[height]))
			}
		})
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{"0.0", "12.3", "1", "", ".", "-1.0", "01.0", "1.1048576", "8796093022207.1048575", "8796093022208.0", "1.2.3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := index.ParseCursor(text)
		if err == nil {
			require.Equal(t, text, cursor.String())
		}
	})
}

// FuzzPageCursor reads a list with any text as cursor: a page, or a fault.
func FuzzPageCursor(f *testing.F) {
	db, err := database.Open(f.Context(), database.SQLiteURL(f.TempDir()+"/x.db")+"?synchronous=normal")
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, db.Close()) })
	s := tell(f)
	x, err := index.Open(f.Context(), db, "datanet")
	require.NoError(f, err)
	for _, b := range s.chain.Blocks {
		require.NoError(f, x.Apply(f.Context(), b))
	}
	for _, order := range []index.Order{index.ByKey, index.Newest} {
		page, err := x.Entries(f.Context(), index.Filter{Kind: "vote", Order: order}, ledger.PageRequest{Limit: 1})
		require.NoError(f, err)
		f.Add(page.Next)
	}
	page, err := x.Transactions(f.Context(), index.TxFilter{From: s.Clock}, ledger.PageRequest{Limit: 1})
	require.NoError(f, err)
	f.Add(page.Next)
	f.Add(strings.Repeat("A", 5000))
	f.Fuzz(func(t *testing.T, cursor string) {
		request := ledger.PageRequest{Limit: 3, Cursor: cursor}
		for _, order := range []index.Order{index.ByKey, index.Newest} {
			_, err := x.Entries(t.Context(), index.Filter{Kind: "vote", Order: order}, request)
			mustBeFaultAtCursor(t, err)
		}
		_, err := x.Transactions(t.Context(), index.TxFilter{From: s.Clock}, request)
		mustBeFaultAtCursor(t, err)
		_, err = x.History(t.Context(), "k", request)
		mustBeFaultAtCursor(t, err)
	})
}

func mustBeFaultAtCursor(t *testing.T, err error) {
	if err != nil {
		require.Equal(t, "cursor", ledger.AsFault(err).Field, "%v", err)
	}
}
