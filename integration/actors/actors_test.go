package actors_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
)

func TestMain(m *testing.M) {
	flogging.ActivateSpec("error") // Fabric's packages log every connection otherwise
	os.Exit(m.Run())
}

// TestActors tells the scripts on one network: the founding first, then all that are independent of each other side by
// side, and last those in which processes die.
func TestActors(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real network")
	}
	s := raise(t)
	all, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	first, audit, outage, recovery := []string{"testdata/founding.txt"}, []string{"testdata/audit.txt"}, []string{"testdata/outage.txt"}, []string{"testdata/recovery.txt"}
	renewal := []string{"testdata/renewal.txt"}
	alone := slices.Concat(first, audit, outage, recovery, renewal)
	rest := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(alone, f) })
	for _, act := range []struct {
		name    string
		scripts []string
	}{{"founding", first}, {"together", rest}, {"audit", audit}, {"outage", outage}, {"recovery", recovery}, {"renewal", renewal}} {
		if !t.Run(act.name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{Files: act.scripts, Setup: s.setup, Cmds: s.commands(), RequireExplicitExec: true})
		}) {
			return
		}
	}
	t.Run("failover", s.failOver)
}

// TestFiveMembers tells what cannot happen among three members, whose votes are all needed: two more make a contribution
// approved against a vote.
func TestFiveMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real network")
	}
	const last = "  - name: ailab\n    mspId: AILabMSP\n"
	topology := bytes.Replace(config.Raft, []byte(last), []byte(last+"  - name: cityarchive\n    mspId: CityArchiveMSP\n  - name: university\n    mspId: UniversityMSP\n"), 1)
	file := filepath.Join(t.TempDir(), "five.yaml")
	require.NoError(t, os.WriteFile(file, topology, 0o600))
	s := raise(t, "--config", file)
	require.Len(t, s.state.Topology().Members, 5)
	testscript.Run(t, testscript.Params{Files: []string{"testdata/five/disputed.txt"}, Setup: s.setup, Cmds: s.commands(), RequireExplicitExec: true})
}
