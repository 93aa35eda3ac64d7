package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	type inner struct{ Parts []string }
	type value struct {
		Name  string
		Many  []inner
		Hash  [2][]byte
		At    time.Time
		Maybe *inner         `json:",omitzero"`
		Any   map[string]int `json:",omitzero"`
	}
	decoded := 0
	var m Memory
	load := func(data []byte) value {
		v, err := Remember(&m, data, func(data []byte) (value, error) { decoded++; return Value[value]("k", data) })
		require.NoError(t, err)
		return v
	}
	data := []byte(`{"Name":"n","Many":[{"Parts":["a","b","c"]}],"Hash":["aGg=",""],"At":"2026-01-02T03:04:05Z"}`)
	first := load(data)
	require.Equal(t, first, load(data))
	require.Equal(t, 1, decoded, "the same bytes are decoded once")
	require.Equal(t, first, load([]byte(string(data))))
	require.Equal(t, 2, decoded, "equal bytes elsewhere are others")

	_ = append(first.Many[0].Parts, "d")
	_ = append(first.Many, inner{})
	_ = append(first.Hash[0], 1)
	second := load(data)
	require.Equal(t, "d", append(append(second.Many[0].Parts, "d"), "e")[3])
	require.Equal(t, []string{"a", "b", "c"}, load(data).Many[0].Parts)
	require.Equal(t, cap(second.Many[0].Parts), len(second.Many[0].Parts), "who appends gets a copy")
	require.Equal(t, cap(second.Hash[0]), len(second.Hash[0]))
	require.Equal(t, 2, decoded)

	for _, shared := range []string{`{"Maybe":{"Parts":[]}}`, `{"Any":{"a":1}}`} {
		decoded = 0
		data := []byte(shared)
		load(data)
		load(data)
		require.Equal(t, 2, decoded, "what can be changed behind a pointer or in a map is not remembered: %s", shared)
	}

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
