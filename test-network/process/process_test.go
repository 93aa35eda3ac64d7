//go:build linux || darwin

package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/test-network/process"
)

// parentOf is set for the copy of this test program that plays a parent.
const parentOf = "PROCESS_TEST_PARENT_OF"

func TestMain(m *testing.M) {
	if folder := os.Getenv(parentOf); folder != "" {
		playParent(folder)
	}
	os.Exit(m.Run())
}

// playParent starts children, tells their ids, and waits to be killed.
func playParent(folder string) {
	for i := range 20 {
		child, err := process.Start(script(folder, fmt.Sprint("child", i), "exec sleep 600"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(child.PID())
	}
	fmt.Println("done")
	select {}
}

func TestChildrenDieWithAParentThatIsKilled(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentOf+"="+t.TempDir())
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())

	var children []int
	for lines := bufio.NewScanner(output); lines.Scan() && lines.Text() != "done"; {
		id, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		require.True(t, alive(id), "a child runs")
		children = append(children, id)
	}
	require.Len(t, children, 20)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	for _, id := range children {
		require.Eventually(t, func() bool { return !alive(id) }, time.Minute, 5*time.Millisecond)
	}
}

func TestAProcessThatEndsByItselfIsReportedWithTheEndOfItsLog(t *testing.T) {
	child := start(t, script(t.TempDir(), "failing", "for i in $(seq 50); do echo line $i; done; echo no disk >&2; exit 3"))
	<-child.Done()

	exit := child.Exit()
	require.False(t, exit.Asked)
	require.Equal(t, "exit status 3", exit.Status)
	require.Len(t, exit.Tail, 20)
	require.Equal(t, "no disk", exit.Tail[19])
	require.ErrorContains(t, exit, "failing ended by itself (exit status 3); the end of its log")
	require.ErrorContains(t, exit, "line 50")
}

func TestWaitingForHealthEndsWithTheProcess(t *testing.T) {
	spec := script(t.TempDir(), "short", "exit 1")
	spec.Healthy = func(context.Context) error { return errors.New("not yet") }
	err := start(t, spec).WaitHealthy(t.Context())
	var exit *process.ExitError
	require.ErrorAs(t, err, &exit)
}

func TestWaitingForHealthNamesTheLastComplaint(t *testing.T) {
	spec := script(t.TempDir(), "slow", "sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	spec.Healthy = func(context.Context) error {
		if asked++; asked == 3 {
			cancel()
		}
		return errors.New("still opening the ledger")
	}
	err := start(t, spec).WaitHealthy(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "still opening the ledger")
}

func TestStopAsksBeforeItKills(t *testing.T) {
	folder := t.TempDir()
	polite := start(t, marked(folder, "polite", "trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done"))
	require.NoError(t, polite.WaitHealthy(t.Context()))
	require.NoError(t, polite.Stop(time.Minute))
	require.Equal(t, "exit status 7", polite.Exit().Status)
	require.True(t, polite.Exit().Asked)

	deaf := start(t, marked(t.TempDir(), "deaf", "trap '' TERM; touch ready; while :; do sleep 0.01; done"))
	require.NoError(t, deaf.WaitHealthy(t.Context()))
	require.NoError(t, deaf.Stop(50*time.Millisecond))
	require.Equal(t, "signal: killed", deaf.Exit().Status)
	require.NoError(t, deaf.Stop(time.Minute), "stopping twice")
}

func TestKillTakesWhatTheProcessStarted(t *testing.T) {
	folder := t.TempDir()
	child := start(t, marked(folder, "nested", "sleep 600 & echo $! >grandchild; touch ready; wait"))
	require.NoError(t, child.WaitHealthy(t.Context()))
	content, err := os.ReadFile(filepath.Join(folder, "grandchild"))
	require.NoError(t, err)
	grandchild, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)

	require.NoError(t, child.Kill())
	require.Eventually(t, func() bool { return !alive(grandchild) }, time.Minute, 5*time.Millisecond)
}

func TestMissingProgramIsAnError(t *testing.T) {
	spec := script(t.TempDir(), "absent", "")
	spec.Program = filepath.Join(t.TempDir(), "peer")
	_, err := process.Start(spec)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "start absent")
}

// script is a shell script as a process, in a folder of its own.
func script(folder, name, text string) process.Spec {
	return process.Spec{
		Name: name, Program: "/bin/sh", Args: []string{"-c", text}, Env: os.Environ(),
		Dir: folder, Log: filepath.Join(folder, name+".log"),
	}
}

// marked is a script that is healthy once it has made the file "ready".
func marked(folder, name, text string) process.Spec {
	spec := script(folder, name, text)
	spec.Healthy = func(context.Context) error {
		_, err := os.Stat(filepath.Join(folder, "ready"))
		return err
	}
	return spec
}

func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	child, err := process.Start(spec)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, child.Kill()) })
	return child
}

// alive tells whether a process runs. One that has ended but was not yet reaped by its parent counts as dead.
func alive(id int) bool {
	if syscall.Kill(id, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
