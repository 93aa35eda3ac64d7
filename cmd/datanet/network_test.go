//go:build linux || darwin

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func TestLifeOfASupervisedNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Fabric")
	}
	p := build(t)
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() { p.run(t, "network", "down", "--dir", dir) })

	// Programs can use it from the start.
	up := p.run(t, "network", "up", "--dir", dir, "--json")
	require.Equal(t, exitSuccess, up.code, up.stderr+up.stdout)
	require.Contains(t, up.stderr, "chaincode datanet is committed")
	first := up.status(t)
	require.Len(t, first.Nodes, 16)
	require.True(t, first.Agreement.Agree)

	again := p.run(t, "network", "up", "--dir", dir, "--json")
	require.Equal(t, exitSuccess, again.code, again.stderr)
	require.Contains(t, again.stderr, "the network is running already")
	require.Equal(t, pids(first), pids(again.status(t)), "a second start changes nothing")
	other := p.run(t, "network", "up", "--dir", dir, "--ordering", "raft")
	require.Equal(t, exitFailure, other.code)
	require.Contains(t, other.stderr, "was founded with another topology")

	// A crash is seen, and healed by another start.
	require.NoError(t, syscall.Kill(pids(first)["chaincode.ailab"], syscall.SIGKILL))
	eventually(t, func() error {
		if unwell := p.run(t, "network", "status", "--dir", dir); unwell.code != exitUnwell || !strings.Contains(unwell.stdout, "problem: chaincode.ailab ended by itself (signal: killed)") {
			return fmt.Errorf("the status is %d: %s", unwell.code, unwell.stdout)
		}
		return nil
	})
	healed := p.run(t, "network", "up", "--dir", dir)
	require.Equal(t, exitSuccess, healed.code, healed.stderr)
	require.Contains(t, healed.stderr, "started again: chaincode.ailab")

	// It can be changed while it runs.
	joined := p.run(t, "network", "add-org", "--dir", dir, "--name", "cityarchive", "--msp-id", "CityArchiveMSP")
	require.Equal(t, exitSuccess, joined.code, joined.stderr)
	require.Contains(t, joined.stderr, "CityArchiveMSP is a member of channel datanet")
	require.Contains(t, joined.stderr, "CityArchiveMSP is on the ledger's list of members")
	require.Contains(t, joined.stdout, "peer.cityarchive")
	upgraded := p.run(t, "network", "upgrade", "--dir", dir, "--version", "1.1", "--sequence", "2", "--json")
	require.Equal(t, exitSuccess, upgraded.code, upgraded.stderr)
	before := upgraded.status(t)
	require.Equal(t, "datanet version 1.1, sequence 2", before.Chaincode)

	log := p.run(t, "network", "logs", "--dir", dir, "supervisor", "-n", "2") // that gossip is slow may be said after it
	require.Contains(t, log.stdout, "chaincode datanet is committed")
	require.Contains(t, p.run(t, "network", "logs", "--dir", dir, "peer.cityarchive", "-n", "10000").stdout, "Started peer with ID=[peer.cityarchive]")

	// Nobody outlives the supervisor, however it ends.
	running, err := testnetwork.Holder(dir)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(running, syscall.SIGKILL))
	for name, pid := range pids(before) {
		eventually(t, func() error { return dead(name, pid) })
	}
	eventually(t, func() error { return dead("the supervisor", running) })
	gone := p.run(t, "network", "status", "--dir", dir, "--json")
	require.Equal(t, exitAbsent, gone.code, gone.stderr)
	require.False(t, gone.status(t).Running)

	// The ledgers are still there.
	resumed := p.run(t, "network", "up", "--dir", dir, "--json")
	require.Equal(t, exitSuccess, resumed.code, resumed.stderr)
	after := resumed.status(t)
	require.Equal(t, before.Chaincode, after.Chaincode)
	require.Len(t, after.Nodes, 4+3*5, "four orderers; a peer, a chaincode process and a gateway of each organisation")
	require.GreaterOrEqual(t, after.Agreement.Block, before.Agreement.Block)

	running, err = testnetwork.Holder(dir)
	require.NoError(t, err)
	down := p.run(t, "network", "down", "--dir", dir)
	require.Equal(t, exitSuccess, down.code, down.stderr)
	for name, pid := range pids(after) {
		require.NoError(t, dead(name, pid))
	}
	eventually(t, func() error { return dead("the supervisor", running) })
	require.FileExists(t, filepath.Join(dir, "genesis.block"), "down keeps the ledgers")

	cleaned := p.run(t, "network", "down", "--dir", dir, "--clean")
	require.Equal(t, exitSuccess, cleaned.code, cleaned.stderr)
	require.NoDirExists(t, dir)
}

func TestMistakesAreAnsweredWithASentenceAndACode(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	p := build(t)
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("version: 1\nmembers:\n  - nam: x\n"), 0o600))
	absent := filepath.Join(t.TempDir(), "net")
	nowhere := filepath.Join(t.TempDir(), "net")
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	occupied := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(occupied, "thesis.txt"), nil, 0o600))

	for claim, c := range map[string]struct {
		arguments []string
		code      int
		want      string
	}{
		"malformed topology":     {[]string{"network", "up", "--dir", absent, "--config", broken}, exitUsage, "members[0].nam: unknown setting"},
		"absent topology":        {[]string{"network", "up", "--dir", absent, "--config", broken + "x"}, exitUsage, "no such file"},
		"unknown ordering":       {[]string{"network", "up", "--dir", absent, "--ordering", "paxos"}, exitUsage, `bft or raft, not "paxos"`},
		"two topologies":         {[]string{"network", "up", "--config", broken, "--ordering", "raft"}, exitUsage, "not both"},
		"unknown flag":           {[]string{"network", "up", "--fast"}, exitUsage, "unknown flag"},
		"unknown command":        {[]string{"network", "fly"}, exitUsage, "unknown command"},
		"superfluous argument":   {[]string{"network", "down", "now"}, exitUsage, "unknown command"},
		"missing flag":           {[]string{"network", "add-org", "--name", "x"}, exitUsage, "give --msp-id"},
		"wrong Fabric programs":  {[]string{"network", "up", "--dir", absent, "--fabric-bin", occupied}, exitFailure, "there is no Fabric program"},
		"folder of other things": {[]string{"network", "up", "--dir", occupied}, exitFailure, "not a state folder of a local network"},
		"too long a path":        {[]string{"network", "up", "--dir", long}, exitFailure, "choose a folder with a shorter path"},
		"status of nothing":      {[]string{"network", "status", "--dir", nowhere}, exitAbsent, "there is no local network in"},
		"stopping nothing":       {[]string{"network", "down", "--dir", nowhere}, exitAbsent, "there is no local network in"},
		"removing nothing":       {[]string{"network", "down", "--clean", "--dir", occupied}, exitAbsent, "there is no local network in"},
		"new member of nothing":  {[]string{"network", "add-org", "--dir", nowhere, "--name", "x", "--msp-id", "XMSP"}, exitAbsent, "is not running"},
		"logs of nothing":        {[]string{"network", "logs", "--dir", nowhere, "peer.ailab"}, exitAbsent, "there is no local network in"},
		"renewing nothing":       {[]string{"network", "renew", "--dir", nowhere}, exitAbsent, "there is no local network in"},
		"missing chaincode":      {[]string{"network", "up", "--dir", absent, "--chaincode", broken + "x"}, exitFailure, "find the program of the chaincode"},
		"chaincode no program":   {[]string{"network", "up", "--dir", absent, "--chaincode", broken}, exitFailure, "is not an executable file"},
	} {
		t.Run(claim, func(t *testing.T) {
			result := p.run(t, c.arguments...)
			require.Contains(t, result.stderr, c.want)
			require.Equal(t, c.code, result.code, result.stderr)
		})
	}
	require.FileExists(t, filepath.Join(occupied, "thesis.txt"))
}

func TestFullDiskStopsTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	p := build(t)
	mount := t.TempDir()
	// A file system of four megabytes, in a name space of its own.
	script := fmt.Sprintf("mount -t tmpfs -o size=4m tmpfs %q && exec %q network up --dir %q", mount, p.datanet, filepath.Join(mount, "net"))
	command := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)
	output, err := command.CombinedOutput()
	if !bytes.Contains(output, []byte("datanet:")) {
		t.Skipf("this system makes no private file systems: %v: %s", err, output)
	}
	require.Contains(t, string(output), "MiB left, a network needs 256: make room, or choose a state folder on another disk")
	require.Equal(t, exitFailure, command.ProcessState.ExitCode())
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Fabric")
	}
	p := build(t)
	dir := filepath.Join(t.TempDir(), "net")
	command := exec.Command(p.datanet, "network", "up", "--dir", dir)
	stderr, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	first := make([]byte, 1)
	_, err = stderr.Read(first)
	require.NoError(t, err, "it has begun")
	supervisor, err := testnetwork.Holder(dir)
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	require.Error(t, command.Wait())
	require.Equal(t, exitFailure, command.ProcessState.ExitCode())
	if supervisor != 0 {
		eventually(t, func() error { return dead("the supervisor", supervisor) })
	}
	holder, err := testnetwork.Holder(dir)
	require.NoError(t, err)
	require.Zero(t, holder)
}

// programs are those under test.
type programs struct{ datanet string }

// installed is where the programs lie.
var installed struct {
	sync.Mutex
	dir string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if installed.dir != "" {
		os.RemoveAll(installed.dir)
	}
	os.Exit(code)
}

// build builds the programs as they are installed, side by side, once for all tests.
func build(t *testing.T) programs {
	t.Helper()
	installed.Lock()
	defer installed.Unlock()
	if installed.dir != "" {
		return programs{datanet: filepath.Join(installed.dir, "datanet")}
	}
	dir, err := os.MkdirTemp("", "datanet-")
	require.NoError(t, err)
	for name, source := range map[string]string{
		"datanet": ".", "ccaas-builder": "../ccaas-builder", "chaincode": "../chaincode",
	} {
		output, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), source).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	installed.dir = dir
	return programs{datanet: filepath.Join(dir, "datanet")}
}

// result is what became of a command.
type result struct {
	code           int
	stdout, stderr string
}

func (p programs) run(t *testing.T, arguments ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.Command(p.datanet, arguments...)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func (r result) status(t *testing.T) *testnetwork.Status {
	t.Helper()
	status := new(testnetwork.Status)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), status), r.stdout)
	return status
}

func pids(status *testnetwork.Status) map[string]int {
	ids := map[string]int{}
	for _, node := range status.Nodes {
		ids[node.Name] = node.PID
	}
	return ids
}

// dead fails if a process runs. One that was not reaped yet does not.
func dead(name string, pid int) error {
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		return nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
			return nil
		}
	}
	return fmt.Errorf("%s, process %d, runs", name, pid)
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, check()) }, time.Minute, 20*time.Millisecond)
}
