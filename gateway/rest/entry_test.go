package rest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/index"
)

func TestAValueThatIsNoJSONIsNotShown(t *testing.T) {
	for _, value := range []string{`{"a":`, `{"a":1}{}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `7`, ``} {
		bad := index.Entry{Key: ledger.NewKey("grant", "a", "b"), Value: []byte(value)}
		require.Nil(t, entryOf(bad).Value, value)
		if shown := entryAsItIs(bad); shown.Value != nil {
			_, err := ledger.Encode(shown)
			require.Error(t, err, value)
		}
	}
	good := index.Entry{Key: ledger.NewKey("grant", "a", "b"), Value: []byte(`{"a":1}`)}
	for _, shown := range []Entry{entryOf(good), entryAsItIs(good)} {
		data, err := ledger.Encode(shown)
		require.NoError(t, err)
		require.Contains(t, string(data), `"value":{"a":1}`)
	}
}
