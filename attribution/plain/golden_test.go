package plain_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/plain"
)

func TestTheReceiptsOfThePublishedExamplesAreEqualByteForByte(t *testing.T) {
	examples, err := golden.Examples()
	require.NoError(t, err)
	require.Len(t, examples, 500)
	for i, example := range examples {
		engine, err := plain.New(example.Corpus)
		require.NoError(t, err, "example %d", i)
		r, err := engine.Receipt(example.Answer)
		require.NoError(t, err, "example %d", i)
		encoded, err := r.Encode()
		require.NoError(t, err, "example %d", i)
		require.Equal(t, hex.EncodeToString(example.Receipt), hex.EncodeToString(encoded), "example %d", i)
	}
}
