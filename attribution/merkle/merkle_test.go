package merkle_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// The vectors are those of the Certificate Transparency reference implementation.
var (
	inputs = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots  = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func TestRootsAreThoseOfCertificateTransparency(t *testing.T) {
	var leaves []merkle.Hash
	var frontier merkle.Frontier
	for n, want := range roots {
		require.Equal(t, want, merkle.Root(leaves).String(), "%d leaves", n)
		require.Equal(t, want, frontier.Root().String(), "%d leaves", n)
		if n < len(inputs) {
			data, err := hex.DecodeString(inputs[n])
			require.NoError(t, err)
			leaves = append(leaves, merkle.Leaf(data))
			frontier.Append(leaves[n])
		}
	}
}

func numbered(n int) []merkle.Hash {
	leaves := make([]merkle.Hash, n)
	for i := range leaves {
		leaves[i] = merkle.Leaf(fmt.Append(nil, i))
	}
	return leaves
}

func TestEveryLeafOfEveryTreeIsProvedAndNowhereElse(t *testing.T) {
	for size := 1; size <= 40; size++ {
		leaves := numbered(size)
		root := merkle.Root(leaves)
		for i, leaf := range leaves {
			proof, err := merkle.Prove(leaves, i)
			require.NoError(t, err)
			require.NoError(t, merkle.Verify(leaf, uint64(i), uint64(size), proof, root))
			for j := range leaves {
				if j != i {
					require.Error(t, merkle.Verify(leaf, uint64(j), uint64(size), proof, root), "leaf %d as %d of %d", i, j, size)
				}
			}
			require.Error(t, merkle.Verify(leaf, uint64(i), uint64(size), append(proof, leaf), root), "a proof too long")
			require.ErrorIs(t, merkle.Verify(merkle.Leaf([]byte("other")), uint64(i), uint64(size), proof, root), merkle.ErrNotIncluded)
			for k := range proof {
				changed := slices.Clone(proof)
				changed[k][0] ^= 1
				require.ErrorIs(t, merkle.Verify(leaf, uint64(i), uint64(size), changed, root), merkle.ErrNotIncluded)
				require.Error(t, merkle.Verify(leaf, uint64(i), uint64(size), proof[:k], root), "a proof too short")
			}
		}
		require.Error(t, merkle.Verify(leaves[0], uint64(size), uint64(size), nil, root), "no such leaf")
		_, err := merkle.Prove(leaves, size)
		require.Error(t, err)
		_, err = merkle.Prove(leaves, -1)
		require.Error(t, err)
	}
	require.Error(t, merkle.Verify(merkle.Hash{}, 0, 0, nil, merkle.Root(nil)), "the empty tree holds nothing")
}

func TestARestoredFrontierContinuesTheTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := numbered(rapid.IntRange(0, 300).Draw(t, "leaves"))
		cut := rapid.IntRange(0, len(leaves)).Draw(t, "cut")
		var first merkle.Frontier
		for _, leaf := range leaves[:cut] {
			first.Append(leaf)
		}
		require.Equal(t, merkle.Root(leaves[:cut]), first.Root())
		second, err := merkle.NewFrontier(first.Size(), first.Peaks())
		require.NoError(t, err)
		for _, leaf := range leaves[cut:] {
			second.Append(leaf)
		}
		require.Equal(t, uint64(len(leaves)), second.Size())
		require.Equal(t, merkle.Root(leaves), second.Root())
		require.Equal(t, merkle.Root(leaves[:cut]), first.Root(), "the first frontier is unchanged")
	})
}

func TestAFrontierWithTheWrongNumberOfPeaksIsRefused(t *testing.T) {
	_, err := merkle.NewFrontier(5, make([]merkle.Hash, 3))
	require.Error(t, err)
	_, err = merkle.NewFrontier(5, make([]merkle.Hash, 2))
	require.NoError(t, err)
}

func TestAHashIsReadOnlyInItsOneForm(t *testing.T) {
	want := merkle.Leaf(nil)
	text, err := want.MarshalText()
	require.NoError(t, err)
	var got merkle.Hash
	require.NoError(t, got.UnmarshalText(text))
	require.Equal(t, want, got)
	for _, bad := range []string{"", string(text[1:]), string(text) + "00", "6E" + string(text[2:]), "zz" + string(text[2:])} {
		require.Error(t, got.UnmarshalText([]byte(bad)), bad)
	}
	require.Equal(t, want, got, "a refused text changes nothing")
}
