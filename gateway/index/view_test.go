package index_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
)

func TestAViewIsTheStateAtItsHeight(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		view, err := x.View(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(len(s.chain.Blocks)), view.Height())
		var keys []ledger.Key
		prefixes := map[ledger.Key][]ledger.Entry{}
		for _, e := range s.State() {
			keys = append(keys, e.Key)
			kind, _, ok := e.Key.Split()
			require.True(t, ok)
			prefix := ledger.NewKey(kind)
			prefixes[prefix] = append(prefixes[prefix], ledger.Entry{Key: e.Key, Value: e.Value})
		}
		values, err := view.States(t.Context(), append(keys, ledger.NewKey("absent")))
		require.NoError(t, err)
		for i, e := range s.State() {
			require.Equal(t, e.Value, values[i], "%s", e.Key)
		}
		require.Nil(t, values[len(keys)])
		for prefix, want := range prefixes {
			var got []ledger.Entry
			for from := ledger.Key(""); ; {
				some, next, err := view.Range(t.Context(), prefix, from, 2)
				require.NoError(t, err)
				got = append(got, some...)
				if from = next; from == "" {
					break
				}
			}
			require.Equal(t, want, got, "%s", prefix)
		}
	})
}
