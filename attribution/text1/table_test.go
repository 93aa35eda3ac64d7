package text1

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADamagedTableIsRefused(t *testing.T) {
	for claim, tsv := range map[string]string{
		"two columns":               "0041\tw\n",
		"a code point out of range": "110000\t110000\tw\n",
		"a surrogate":               "D800\tD800\tw\n",
		"a surrogate as item":       "0041\t0041\twD800\n",
		"descending ranges":         "0042\t0042\tw\n0041\t0041\tw\n",
		"a range backwards":         "0042\t0041\tw\n",
		"an unknown item":           "0041\t0041\tx\n",
		"dropped among others":      "0041\t0041\tw0061 -\n",
		"itself among others":       "0041\t0041\tw w0061\n",
		"no item":                   "0041\t0041\t\n",
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := parse(tsv)
			require.Error(t, err)
		})
	}
	_, err := parse("0041\t0042\tw0061 |\n")
	require.NoError(t, err)
}

func TestThePagesOfTheTableAreFew(t *testing.T) {
	require.Less(t, len(frozenTable().pages), 512, "the table should stay within a CPU's second-level cache")
}
