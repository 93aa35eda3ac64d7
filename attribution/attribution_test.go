package attribution_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

func TestTheSpecificationIsThePublishedOne(t *testing.T) {
	require.Equal(t, "978df23b2ed9212204a0fa1f2429e5deeb587d6f657efa2c9c3716a2962f603c", attribution.Spec().String())
	table := sha256.Sum256([]byte(text1.Table()))
	want := sha256.Sum256([]byte("ATTR/1 text/1 passage=5/12 min=3 echo=9 cap=24 frac=16 " + hex.EncodeToString(table[:])))
	require.Equal(t, merkle.Hash(want), attribution.Spec())
}

func TestNames(t *testing.T) {
	long := strings.Repeat("é", 128)
	for _, c := range []struct {
		name           string
		name_, account bool
	}{
		{"PoetrySocietyMSP:3f9c", true, true},
		{"é", true, true},
		{long, true, true},
		{long + "x", false, false},
		{"", false, false},
		{"a\x00b", false, false},
		{"a\xff", false, false},
		{"pool:x", true, false},
		{"pool:", true, false},
		{"Pool:x", true, true},
		{"a pool:x", true, true},
	} {
		require.Equal(t, c.name_, attribution.CheckName(c.name) == nil, "name %q", c.name)
		require.Equal(t, c.account, attribution.CheckAccount(c.name) == nil, "account %q", c.name)
	}
}

func TestACorpusWithAContributionTwiceIsRefused(t *testing.T) {
	one := attribution.Contribution{ID: "a", Account: "x"}
	two := attribution.Contribution{ID: "b", Account: "x"}
	require.NoError(t, attribution.Corpus{one, two}.Check())
	require.ErrorContains(t, attribution.Corpus{one, two, one}.Check(), "twice")
	require.ErrorContains(t, attribution.Corpus{{ID: "", Account: "x"}}.Check(), "empty")
	require.ErrorContains(t, attribution.Corpus{{ID: "a", Account: "\x00"}}.Check(), "NUL")
}

func digest(parts ...string) merkle.Hash { return sha256.Sum256([]byte(strings.Join(parts, ""))) }

func text(h merkle.Hash) string { return string(h[:]) }

func TestCommitmentsAreTheBytesOfTheDefinition(t *testing.T) {
	salt := attribution.Salt{1, 2, 3}
	a, b := digest("\x00", "one"), digest("\x00", "two")
	require.Equal(t, digest(string(salt[:]), text(digest("\x01", text(a), text(b)))),
		attribution.Commit(salt, [][]byte{[]byte("one"), []byte("two")}))
	require.Equal(t, digest(string(salt[:]), text(digest())), attribution.Commit(salt, nil), "no record")
	require.Equal(t, digest(string(salt[:]), text(a)), attribution.CommitDescriptor(salt, []byte("one")))

	commitment := attribution.Commit(salt, nil)
	leaf, err := attribution.SnapshotLeaf("c1", "MSP:x", commitment)
	require.NoError(t, err)
	require.Equal(t, digest("\x00c1\x00MSP:x\x00", text(commitment)), leaf)
	require.Equal(t, digest("\x00erased"), attribution.ErasedLeaf())
	require.Equal(t, digest("\x01", text(leaf), text(attribution.ErasedLeaf())),
		attribution.SnapshotRoot([]merkle.Hash{leaf, attribution.ErasedLeaf()}))

	_, err = attribution.SnapshotLeaf("c1", "pool:x", commitment)
	require.Error(t, err, "a pool contributes nothing")
	_, err = attribution.SnapshotLeaf("c1\x00MSP", "x", commitment)
	require.Error(t, err, "a NUL would move the border between id and account")

	nonce := attribution.Nonce{9}
	require.Equal(t, digest("output", string(nonce[:]), "text"), attribution.CommitOutput(nonce, []byte("text")))
	prompt, err := attribution.CommitPrompt(nonce, [][]byte{[]byte("ab"), {}})
	require.NoError(t, err)
	require.Equal(t, digest("prompt", string(nonce[:]), "\x00\x00\x00\x02\x00\x00\x00\x02ab\x00\x00\x00\x00"), prompt)
	context, err := attribution.CommitContext(nonce, nil)
	require.NoError(t, err)
	require.Equal(t, digest("context", string(nonce[:]), "\x00\x00\x00\x00"), context)
}

// slowLog follows section 3 literally, with integers of any size.
func slowLog(x uint64) uint64 {
	k := new(big.Int).SetUint64(x).BitLen() - 1
	m := new(big.Int).Lsh(new(big.Int).SetUint64(x), uint(63-k))
	border := new(big.Int).Lsh(big.NewInt(1), 127)
	l := uint64(k) * 65536
	for bit := uint64(32768); bit > 0; bit /= 2 {
		p := new(big.Int).Mul(m, m)
		if p.Cmp(border) >= 0 {
			l += bit
			m = p.Rsh(p, 64)
		} else {
			m = p.Rsh(p, 63)
		}
	}
	return l
}

func TestLog(t *testing.T) {
	x := rapid.OneOf(rapid.Uint64Min(1), rapid.Uint64Range(1, 1000), rapid.Map(rapid.IntRange(0, 63), func(k int) uint64 { return 1 << k }))
	t.Run("follows the definition", rapid.MakeCheck(func(t *rapid.T) {
		x := x.Draw(t, "x")
		require.Equal(t, slowLog(x), attribution.Log(x))
	}))
	t.Run("is within one unit of the logarithm", func(t *testing.T) {
		for _, x := range []uint64{3, 10, 1000, 999_983, 1<<32 + 1, 1<<64 - 1} {
			// ⌊2¹⁶·log₂ x⌋ is one less than the number of bits of x to the power 2¹⁶.
			power := new(big.Int).Exp(new(big.Int).SetUint64(x), big.NewInt(65536), nil)
			require.InDelta(t, power.BitLen()-1, attribution.Log(x), 1, "%d", x)
		}
	})
	t.Run("never falls", rapid.MakeCheck(func(t *rapid.T) {
		a, b := x.Draw(t, "a"), x.Draw(t, "b")
		require.LessOrEqual(t, attribution.Log(min(a, b)), attribution.Log(max(a, b)))
	}))
	require.Equal(t, uint64(0), attribution.Log(1))
	require.Equal(t, uint64(63*attribution.Bit), attribution.Log(1<<63))
	require.Panics(t, func() { attribution.Log(0) })
}

func TestInformation(t *testing.T) {
	require.Equal(t, uint64(attribution.MaxInformation), attribution.Information(1<<40, 1<<20, 0), "at most 24 bits")
	require.Equal(t, uint64(10*attribution.Bit), attribution.Information(1000, 24, 0), "an unknown token tells log2(N+V)")
	require.Equal(t, uint64(7*attribution.Bit), attribution.Information(1000, 24, 7))
	require.Equal(t, uint64(0), attribution.Information(5, 1, 5))
}
