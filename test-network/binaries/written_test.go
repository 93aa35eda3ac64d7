package binaries

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPatchedOrderersDoNotWriteABlockTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a part of Fabric")
	}
	work := t.TempDir()
	_, err := lay(t.Context(), work)
	require.NoError(t, err)
	tests, err := os.ReadFile("testdata/written_test.go")
	require.NoError(t, err)
	const writer = "orderer/common/multichannel"
	require.NoError(t, os.WriteFile(filepath.Join(work, "fabric", filepath.FromSlash(writer), "written_test.go"), tests, 0o600))
	output, err := goCommand(t.Context(), work, "test", "-mod=readonly", fabric+"/"+writer).CombinedOutput()
	require.NoError(t, err, string(output))
}
