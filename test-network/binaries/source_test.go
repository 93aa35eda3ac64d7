package binaries

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPatchedOrderers runs tests within the patched source; Fabric's own orderers fail them.
func TestPatchedOrderers(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles parts of Fabric")
	}
	work := t.TempDir()
	_, err := lay(t.Context(), work)
	require.NoError(t, err)
	for claim, c := range map[string]struct{ module, dir, pkg, file string }{
		"do not wait for views that have ended": {smartBFT, "smartbft", "internal/bft", "ended_test.go"},
		"do not write a block twice":            {fabric, "fabric", "orderer/common/multichannel", "written_test.go"},
	} {
		t.Run(claim, func(t *testing.T) {
			tests, err := os.ReadFile(filepath.Join("testdata", c.file))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(work, c.dir, filepath.FromSlash(c.pkg), c.file), tests, 0o600))
			output, err := goCommand(t.Context(), work, "test", "-mod=readonly", c.module+"/"+c.pkg).CombinedOutput()
			require.NoError(t, err, string(output))
		})
	}
}

func TestPatchesThatDoNotFitAreRefused(t *testing.T) {
	const header = "diff --git a/core/x.go b/core/x.go\n"
	const good = header + "--- a/core/x.go\n+++ b/core/x.go\n@@ -1,3 +1,3 @@\n package core\n \n-var x = 1\n+var x = 2\n"
	root := t.TempDir()
	file := filepath.Join(root, "core", "x.go")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	for claim, c := range map[string]struct{ source, diff, want string }{
		"a patch for another release":         {"package core\n\nvar x = 3\n", good, "the patch does not fit core/x.go"},
		"a patch that changes a file twice":   {"package core\n\nvar x = 1\n", good + good, "the patch does not fit core/x.go"},
		"a patch of a file that is not built": {"", "diff --git a/docs/x.go b/docs/x.go\n--- a/docs/x.go\n+++ b/docs/x.go\n@@ -1,1 +1,1 @@\n-var x = 1\n+var x = 2\n", "no such file"},
		"a patch of files elsewhere":          {"", "diff --git a/../x.go b/../x.go\n--- a/../x.go\n+++ b/../x.go\n@@ -1,1 +1,1 @@\n-var x = 1\n+var x = 2\n", "may only change files where they are"},
		"a patch that moves a file":           {"", "diff --git a/core/x.go b/core/y.go\nrename from core/x.go\nrename to core/y.go\n--- a/core/x.go\n+++ b/core/y.go\n@@ -1,1 +1,1 @@\n-var x = 1\n+var x = 2\n", "may only change files where they are"},
		"no patch":                            {"", "nothing to see", "changes no file"},
	} {
		t.Run(claim, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte(c.source), 0o600))
			require.ErrorContains(t, applyPatch(root, []byte(c.diff)), c.want)
		})
	}
	require.NoError(t, os.WriteFile(file, []byte("package core\n\nvar x = 1\n"), 0o600))
	require.NoError(t, applyPatch(root, []byte(good)))
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "package core\n\nvar x = 2\n", string(after))
}
