package binaries

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProgramsThatWouldNotWorkAreRefused(t *testing.T) {
	const good = "#!/bin/sh\necho 'peer:'; echo ' Version: v3.1.1'\n"
	for claim, c := range map[string]struct {
		peer, orderer string
		mode          os.FileMode
		want          string
	}{
		"an old release":          {"#!/bin/sh\necho ' Version: v2.5.0'\n", "#!/bin/sh\necho ' Version: v2.5.0'\n", 0o700, "holds Fabric 2.5.0, but this network needs Fabric 3.1.x: install release 3.1.1"},
		"two releases":            {good, "#!/bin/sh\necho ' Version: v3.1.0'\n", 0o700, "holds peer 3.1.1 and orderer 3.1.0: use two programs of one release"},
		"another program":         {"#!/bin/sh\necho hello\n", good, 0o700, `it printed "hello"): it is not a Fabric program`},
		"a program that fails":    {good, "#!/bin/sh\necho cannot >&2\nexit 1\n", 0o700, `(exit status 1, "cannot"): it is not the Fabric program for this machine`},
		"of another machine":      {"\x7fELF\x00", good, 0o700, "it is not the Fabric program for this machine"},
		"a file, not a program":   {good, good, 0o600, "is not an executable file"},
		"a version without sense": {"#!/bin/sh\necho ' Version: development build'\n", good, 0o700, "it is not a Fabric program"},
	} {
		t.Run(claim, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "peer"), []byte(c.peer), c.mode))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "orderer"), []byte(c.orderer), c.mode))
			_, err := Use(t.Context(), dir)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := Use(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "there is no Fabric program")
}

func TestOrdererWithoutSmartBFTIsRefused(t *testing.T) {
	other := filepath.Join(t.TempDir(), "orderer")
	output, err := exec.Command("go", "build", "-o", other, "../testdata/okchaincode").CombinedOutput()
	require.NoError(t, err, string(output))
	require.ErrorContains(t, orders(other), "was built without SmartBFT")
}

func TestOperatorsOwnProgramsAreTaken(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Fabric where the cache does not hold it")
	}
	built, err := Build(t.Context(), BuildOptions{})
	require.NoError(t, err)
	found, err := Use(t.Context(), filepath.Dir(built.Peer))
	require.NoError(t, err)
	require.Equal(t, built, found)
}
