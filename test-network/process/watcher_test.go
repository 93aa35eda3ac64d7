//go:build linux || darwin

package process

import (
	"io"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWatcherKillsTheChildrenThatAreLeftWhenItsInputEnds(t *testing.T) {
	reader, writer := io.Pipe()
	watching := exec.Command("/bin/sh", "-c", watcherScript)
	watching.Stdin = reader
	require.NoError(t, watching.Start())
	w := &watcher{input: writer}

	left, ended, spared := exec.Command("sleep", "600"), exec.Command("true"), exec.Command("sleep", "600")
	for _, child := range []*exec.Cmd{left, ended, spared} {
		require.NoError(t, child.Start())
		require.NoError(t, w.tell(child.Process.Pid))
	}
	require.NoError(t, ended.Wait())
	require.NoError(t, w.tell(-ended.Process.Pid))
	require.NoError(t, w.tell(-spared.Process.Pid))

	require.NoError(t, writer.Close())
	require.NoError(t, watching.Wait())
	require.EqualError(t, left.Wait(), "signal: killed")
	require.NoError(t, spared.Process.Signal(syscall.Signal(0)), "a child that was reported as ended is not touched")
	require.NoError(t, spared.Process.Kill())
	require.EqualError(t, spared.Wait(), "signal: killed")
}
