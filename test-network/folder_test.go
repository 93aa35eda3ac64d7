package testnetwork

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFullDiskIsExplained(t *testing.T) {
	require.NoError(t, checkDisk(t.TempDir(), 1))
	require.ErrorContains(t, checkDisk(t.TempDir(), math.MaxUint64), "MiB left, a network needs")
	require.ErrorContains(t, explainDisk(fmt.Errorf("write: %w", syscall.ENOSPC)), "the disk is full: make room")
	plain := fmt.Errorf("write: %w", syscall.EACCES)
	require.Equal(t, plain, explainDisk(plain))
}

func TestFilesAreReplacedAsAWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "file")
	require.NoError(t, writeFile(path, []byte("first")))
	require.NoError(t, writeFile(path, []byte("second")))
	content, err := readFile(path)
	require.NoError(t, err)
	require.Equal(t, "second", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left")

	require.NoError(t, os.WriteFile(path, make([]byte, maxFile+1), 0o600))
	_, err = readFile(path)
	require.ErrorContains(t, err, "is larger than")
}

func TestPortsAreOutsideTheRangeOfOutgoingConnections(t *testing.T) {
	choose := newChooser()
	choose.next = highestPort - lowestPort - 100 // it goes on from the beginning
	for range 200 {
		port, err := choose.port("127.0.0.1")
		require.NoError(t, err)
		require.GreaterOrEqual(t, port, lowestPort)
		require.Less(t, port, highestPort)
	}
	require.Len(t, choose.taken, 200, "no port is given twice")
}

func FuzzReadPorts(f *testing.F) {
	f.Add([]byte(`{"peer.ailab/peer":20001}`))
	f.Add([]byte(`{"peer.ailab/peer":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		state := folder(t.TempDir())
		require.NoError(t, writeFile(state.ports(), content))
		known, err := state.readPorts()
		if err != nil {
			return
		}
		for _, port := range known {
			require.True(t, 1 <= port && port <= 65535)
		}
		_, err = json.Marshal(known)
		require.NoError(t, err)
	})
}
