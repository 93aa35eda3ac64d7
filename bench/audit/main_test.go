package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABundleOfPaidUsesIsMadeOnceAndMeasured(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bundle")
	for range 2 {
		c := command()
		var out, errs bytes.Buffer
		c.SetOut(&out)
		c.SetErr(&errs)
		c.SetArgs([]string{folder, "--uses", "50", "--together", "20", "--corpus", "5000"})
		require.NoError(t, c.ExecuteContext(t.Context()))
		require.Contains(t, out.String(), ", 0 findings\n")
		require.Contains(t, out.String(), "3 settlements, 50 uses, 50 receipts recomputed, 3 contents: ")
		require.Empty(t, errs.String())
	}
}
