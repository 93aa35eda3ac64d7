package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	type value struct {
		Name  string
		Parts []string
		Inner struct{ Parts []Role }
		Hash  [4]byte
		At    time.Time
		Maybe *struct{ A int } `json:",omitzero"`
		Any   map[string]int   `json:",omitzero"`
		Bytes []byte           `json:",omitzero"`
		Many  []struct{ A int }
	}
	decoded := 0
	var m Memory
	load := func(data []byte) value {
		v, err := Remember(&m, data, func(data []byte) (value, error) { decoded++; return Value[value]("k", data) })
		require.NoError(t, err)
		return v
	}
	data := []byte(`{"Name":"n","Parts":["a","b","c"],"Inner":{"Parts":["d"]},"Hash":"AQIDBA==","At":"2026-01-02T03:04:05Z"}`)
	first := load(data)
	require.Equal(t, first, load(data))
	require.Equal(t, 1, decoded, "the same bytes are decoded once")
	require.Equal(t, first, load([]byte(string(data))))
	require.Equal(t, 2, decoded, "equal bytes elsewhere are others")
	for _, v := range []value{first, load(data)} {
		require.Equal(t, len(v.Parts), cap(v.Parts), "who appends gets a copy")
		require.Equal(t, len(v.Inner.Parts), cap(v.Inner.Parts), "who appends gets a copy")
	}

	for _, changeable := range []string{`{"Maybe":{"A":1}}`, `{"Any":{"a":1}}`, `{"Bytes":"AQ=="}`, `{"Many":[{"A":1}]}`} {
		decoded = 0
		data := []byte(changeable)
		load(data)
		load(data)
		require.Equal(t, 2, decoded, "what rules may change in place is not remembered: %s", changeable)
	}

	decoded = 0
	long := []byte(`{"Name":"` + strings.Repeat("n", longest) + `"}`)
	load(long)
	load(long)
	require.Equal(t, 2, decoded, "what is long is not remembered")

	_, err := Remember(&m, data, func([]byte) (int, error) { return 0, errors.New("another type") })
	require.ErrorContains(t, err, "another type")
	_, err = Remember(nil, data, func([]byte) (int, error) { return 0, errors.New("no memory") })
	require.ErrorContains(t, err, "no memory")
}

func TestMemoryHoldsWhatWasAskedForLately(t *testing.T) {
	var m Memory
	decoded := map[string]int{}
	load := func(data []byte) {
		_, err := Remember(&m, data, func(data []byte) (string, error) { decoded[string(data)]++; return string(data), nil })
		require.NoError(t, err)
	}
	often, once := []byte("often"), []byte("once")
	load(once)
	for range 5 * remembered {
		load(often)
		load([]byte("passing"))
	}
	load(once)
	require.Equal(t, 1, decoded["often"])
	require.Equal(t, 2, decoded["once"])
	require.LessOrEqual(t, len(m.young)+len(m.old), 2*remembered)
}
