package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
)

func TestADrawnSecretOpensItsCommitmentAndIsOnlyForItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.hex")
	var out, errs bytes.Buffer
	require.Equal(t, exitSuccess, run(t.Context(), []string{"sampling", "draw", path}, &out, &errs), errs.String())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Equal(t, use.Secret(raw).Commitment().String()+"\n", out.String())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
	require.Equal(t, exitUsage, run(t.Context(), []string{"sampling", "draw", path}, &out, &errs), "what is registered is not overwritten")
	require.Contains(t, errs.String(), "exists")
}
