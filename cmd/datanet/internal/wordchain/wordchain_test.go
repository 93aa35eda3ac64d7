package wordchain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/cmd/datanet/internal/wordchain"
)

// texts draws texts of few words, so that they share many.
func texts(t *rapid.T) [][]byte {
	line := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"می", "و", "ساقی", "دل", "a", "b"}), 0, 8).Draw(t, "line"), " ")
	})
	var all [][]byte
	for _, lines := range rapid.SliceOfN(rapid.SliceOfN(line, 1, 6), 1, 4).Draw(t, "texts") {
		all = append(all, []byte(strings.Join(lines, "\n")))
	}
	return all
}

// windows lists every three neighbours of a line, its border included.
func windows(line string) (list []string) {
	words := append(append([]string{"⊢", "⊢"}, strings.Fields(line)...), "⊣")
	for i := 2; i < len(words); i++ {
		list = append(list, strings.Join(words[i-2:i+1], " "))
	}
	return list
}

func TestEveryWordFollowsTheTwoBeforeItSomewhereInTheTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := texts(t)
		known := map[string]bool{}
		for _, text := range all {
			for line := range strings.Lines(string(text)) {
				for _, w := range windows(line) {
					known[w] = true
				}
			}
		}
		written := wordchain.Train(all).Write("ساقی", 4, rapid.Uint64().Draw(t, "seed"))
		for line := range strings.Lines(written) {
			list := windows(line)
			if len(list) == 1 { // chains of empty texts write empty lines
				continue
			}
			if len(list) > 24 {
				list = list[:24] // the line was cut
			}
			for _, w := range list {
				require.True(t, known[w], "%q in %q", w, line)
			}
		}
	})
}

func TestAnArtifactIsTheChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, seed := texts(t), rapid.Uint64().Draw(t, "seed")
		trained := wordchain.Train(all)
		artifact := trained.Encode()
		decoded, err := wordchain.Decode(artifact)
		require.NoError(t, err)
		require.Equal(t, artifact, decoded.Encode())
		require.Equal(t, trained.Write("دل", 5, seed), decoded.Write("دل", 5, seed), "it writes the same with the same seed")
		require.Equal(t, trained.Openings(3), decoded.Openings(3))
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
		require.Equal(t, artifact, wordchain.Train(all).Encode(), "the order of the texts does not matter")
	})
}

func TestWrite(t *testing.T) {
	chain := wordchain.Train([][]byte{[]byte("one two three\nfour five\nfour six")})
	require.Equal(t, "one two three", chain.Write("one", 1, 1), "the first line begins with the opening")
	require.NotEmpty(t, chain.Write("unknown", 1, 1), "an opening that no line has is no obstacle")
	require.NotContains(t, chain.Write("unknown", 1, 1), "unknown")
	require.Equal(t, []string{"four", "one"}, chain.Openings(5), "the most frequent first")
	seen := map[string]bool{}
	for seed := range uint64(50) {
		seen[chain.Write("four", 1, seed)] = true
	}
	require.Equal(t, map[string]bool{"four five": true, "four six": true}, seen, "another seed may write another line")
	endless := wordchain.Train([][]byte{[]byte(strings.Repeat("round ", 100000))})
	require.Len(t, strings.Fields(endless.Write("", 1, 1)), 24, "a circle ends")
}

func TestDecodeRefuses(t *testing.T) {
	for claim, artifact := range map[string]string{
		"another format":          "word-chain/2\n",
		"a line without its end":  "word-chain/1\n\ta\t1",
		"a missing count":         "word-chain/1\n\ta\n",
		"a count of zero":         "word-chain/1\n\ta\t0\n",
		"a count written oddly":   "word-chain/1\n\ta\t01\n",
		"a count beyond bounds":   "word-chain/1\n\ta\t99999999999\n",
		"a line out of its order": "word-chain/1\n\tb\t1\n\ta\t1\n",
		"a line twice":            "word-chain/1\n\ta\t1\n\ta\t1\n",
		"a context of three":      "word-chain/1\na b c\td\t1\n",
		"a word with a space":     "word-chain/1\na\tb c\t1\n",
		"an empty line":           "word-chain/1\n\t\t1\n",
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := wordchain.Decode([]byte(artifact))
			require.Error(t, err)
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(wordchain.Train([][]byte{[]byte("one two three\nfour five")}).Encode())
	f.Add([]byte("word-chain/1\n"))
	f.Add([]byte("word-chain/1\n\ta\t1\na\t\t1\n"))
	f.Fuzz(func(t *testing.T, artifact []byte) {
		chain, err := wordchain.Decode(artifact)
		if err != nil {
			return
		}
		require.Equal(t, string(artifact), string(chain.Encode()), "what is accepted is canonical")
		require.NotPanics(t, func() { chain.Write("a", 2, 1) })
	})
}

func Example() {
	chain := wordchain.Train([][]byte{[]byte("the rose is red\nthe rose is gone")})
	fmt.Println(chain.Write("the rose", 1, 3))
	// Output: the rose is gone
}
