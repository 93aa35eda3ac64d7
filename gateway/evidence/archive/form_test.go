package archive

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzPlaces(f *testing.F) {
	f.Add(encodePlaces([]Place{{Place: 1}, {Session: [32]byte{2}, Place: 1 << 63}}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodePlaces(data)
		if err == nil {
			require.Equal(t, data, encodePlaces(list))
			require.LessOrEqual(t, len(list), MaxPlaces)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 7, 8})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		frame, err := readFrame(in)
		if err == nil {
			var out bytes.Buffer
			require.NoError(t, writeFrame(&out, frame))
			require.Equal(t, data[:out.Len()], out.Bytes())
		}
	})
}

func TestARateAllowsNoMoreThanChanceDoes(t *testing.T) {
	require.EqualValues(t, 100, allowed(100, 1_000_000))
	require.EqualValues(t, 8+1+6, allowed(1_000_000, 1), "one is to be expected, and six deviations of one")
	require.Less(t, allowed(1_000_000, 10_000), int64(11_000))
	require.EqualValues(t, 1, allowed(1, 1))
}
