package bundle

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who may not read a file of a bundle is told so, not that somebody forged it.
func TestAFileThatMayNotBeReadIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 3)
	require.NoError(t, os.Chmod(filepath.Join(dir, segmentName(0)), 0))
	r, err := Open(dir)
	require.NoError(t, err)
	defer r.Close()
	found := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is no longer root's, ends with the goroutine
		_ = syscall.Setfsuid(65534)
		for _, err := range r.Blocks() {
			if err != nil {
				found <- err
				return
			}
		}
		found <- nil
	}()
	err = <-found
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NotErrorIs(t, err, ErrDamaged)
}
