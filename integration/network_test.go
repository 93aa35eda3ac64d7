package integration_test

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/integration/story"
)

// TestRealNetwork is everything that is shown on one real network, in the order in which its parts build on each other.
func TestRealNetwork(t *testing.T) {
	c := start(t, config.BFT)
	t.Run("stories", func(t *testing.T) { tellStories(t, c) })
	t.Run("access", func(t *testing.T) { tryEveryCell(t, c) })
	t.Run("forgeries", func(t *testing.T) { tryForgeries(t, c) })
	t.Run("questions", func(t *testing.T) { askAll(t, c) })
	t.Run("forged datanets", func(t *testing.T) { tryForgedDatanets(t, c) })
	t.Run("forged seals", func(t *testing.T) { tryForgedSeals(t, c) })
	t.Run("forged claims", func(t *testing.T) { tryForgedClaims(t, c) })
	t.Run("sealing", func(t *testing.T) { sealMany(t, c, *sealedReal) })
	t.Run("concurrent clients", func(t *testing.T) { competeForCredits(t, c) })
	t.Run("a crowd contributes at once", func(t *testing.T) { contributeAtOnce(t, c) })
	t.Run("replay", func(t *testing.T) { compareReplay(t, c) })
	t.Run("indexes", func(t *testing.T) { compareIndexes(t, c) })
	t.Run("audit", func(t *testing.T) { auditAll(t, c) })
	t.Run("raw state", func(t *testing.T) { sumRawState(t, c) })
}

// tellStories runs every story; the same ones run on the in-memory ledger in package story.
func tellStories(t *testing.T, c *consortium) {
	paths, err := filepath.Glob("story/testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		script, err := story.Parse(filepath.Base(path), file)
		require.NoError(t, err)
		t.Run(script.Name, func(t *testing.T) {
			require.NoError(t, script.Run(t.Context(), c, story.Setting{Members: members, Seed: freshID()}))
		})
	}
}

// freshID is 16 random bytes in hex.
func freshID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
