package binaries_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/test-network/binaries"
)

func TestEmbeddedPinsAreThoseOfTheModule(t *testing.T) {
	for embedded, original := range map[string]string{"fabric.mod": "go.mod", "fabric.sum": "go.sum", "dropped.patch": "dropped.patch", "written.patch": "written.patch", "smartbft.patch": "smartbft.patch"} {
		want, err := os.ReadFile("../fabric/" + original)
		require.NoError(t, err)
		got, err := os.ReadFile(embedded)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run go generate ./test-network/binaries")
	}
}

func TestBuildServesTheSecondCallFromTheCache(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Fabric where the cache does not hold it")
	}
	built, err := binaries.Build(t.Context(), binaries.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, binaries.Version+"+datanet.3", built.Version)
	require.FileExists(t, built.Peer)
	require.FileExists(t, built.Orderer)

	again, err := binaries.Build(t.Context(), binaries.BuildOptions{Report: func(progress binaries.Progress) {
		require.Fail(t, "a cached build has nothing to report", progress)
	}})
	require.NoError(t, err)
	require.Equal(t, built, again)
}
