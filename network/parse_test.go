package network_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
)

func parse(t *testing.T, yaml string) (*network.Topology, error) {
	t.Helper()
	return network.Parse(strings.NewReader(yaml), "test.yaml")
}

func TestPublishedTopologies(t *testing.T) {
	for name, c := range map[string]struct {
		yaml      []byte
		consensus network.Consensus
		orderers  int
	}{
		"BFT has four orderers":   {config.BFT, network.ConsensusBFT, 4},
		"Raft has three orderers": {config.Raft, network.ConsensusRaft, 3},
	} {
		t.Run(name, func(t *testing.T) {
			topology, err := network.Parse(bytes.NewReader(c.yaml), name)
			require.NoError(t, err)
			require.Equal(t, []string{"PoetrySocietyMSP", "NationalLibraryMSP", "AILabMSP"}, topology.MemberMSPIDs())
			require.Equal(t, "RegulatorMSP", topology.Regulator.MSPID)
			require.Equal(t, c.consensus, topology.Ordering.Type)
			require.Len(t, topology.Ordering.Operators, c.orderers)
			require.Equal(t, 15*time.Minute, topology.TimeWindow)
			require.Len(t, topology.Members[0].Users, 12)
			require.Equal(t, network.RegulatorUsers(), topology.Regulator.Users)
			require.Equal(t, network.Ed25519, topology.Members[0].Keys)
		})
	}
}

// The comments in the published files state the defaults; a file with every
// comment opened must mean the same as the file itself.
func TestCommentsInPublishedTopologiesAreTheDefaults(t *testing.T) {
	for _, raw := range [][]byte{config.BFT, config.Raft} {
		published, err := network.Parse(bytes.NewReader(raw), "published")
		require.NoError(t, err)

		var opened []string
		settings := 0
		for line := range strings.Lines(string(raw)) {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			rest, comment := strings.CutPrefix(line[len(indent):], "# ")
			key, _, isSetting := strings.Cut(rest, ":")
			if comment && isSetting && indent != "" && !strings.Contains(strings.TrimLeft(key, " -"), " ") {
				settings++
				line = indent + rest
			}
			opened = append(opened, line)
		}
		require.Greater(t, settings, 15)
		text := strings.Join(opened, "")
		// The example of a user stands for the usual set.
		text = strings.Replace(text, "    users:                     # left out: the usual set of a local network\n      - name: operator1        # the enrolment id; a pseudonym for people\n        roles: [operator]\n", "", 1)
		full, err := network.Parse(strings.NewReader(text), "opened")
		require.NoError(t, err, text)
		require.Equal(t, published, full)
	}
}

func TestMarshalIsReadBack(t *testing.T) {
	topology, err := network.Parse(bytes.NewReader(config.BFT), "bft")
	require.NoError(t, err)
	topology.Members[0].Users = []network.User{}
	topology.Members[1].Keys = network.ECDSAP256
	topology.Members[2].Peer.Port = 7051
	raw, err := topology.Marshal()
	require.NoError(t, err)
	again, err := network.Parse(bytes.NewReader(raw), "again")
	require.NoError(t, err)
	require.Equal(t, topology, again)
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	require.NoError(t, os.WriteFile(path, config.Raft, 0o600))
	_, err := network.Load(path)
	require.NoError(t, err)

	_, err = network.Load(path + "x")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "open topology: ")
}

func TestUnknownAndMalformedSettings(t *testing.T) {
	raft := string(config.Raft)
	replace := func(old, new string) string {
		require.Contains(t, raft, old)
		return strings.Replace(raft, old, new, 1)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"an unknown setting is refused with its line":    {replace("timeWindow: 15m", "timewindows: 15m"), "timewindows: unknown setting"},
		"case matters, and the right spelling is named":  {replace("    mspId: AILabMSP", "    mspID: AILabMSP"), "members[2].mspID: unknown setting (it is written mspId)"},
		"a setting inside a list is named with its path": {replace("  - name: ailab\n", "  - name: ailab\n    colour: red\n"), "members[2].colour: unknown setting"},
		"a setting given twice is refused":               {raft + "\ntimeWindow: 10m\n", "timeWindow: given twice"},
		"another schema version is refused":              {replace("version: 1", "version: 2"), "version: this program reads version 1, the file says 2"},
		"a missing schema version is refused":            {replace("version: 1", ""), "version: this program reads version 1, the file says 0"},
		"a number where a list belongs":                  {replace("  operators:", "  operators: 3\n  xoperators:"), "ordering.operators: must be a list"},
		"a list where a value belongs":                   {replace("name: datanet", "name: [datanet]"), "name: must be a single value"},
		"a value where a mapping belongs":                {replace("chaincode:\n", "chaincode: 7\nx:\n"), "chaincode: must be a mapping"},
		"a setting without a value":                      {replace("timeWindow: 15m", "timeWindow:"), "timeWindow: has no value"},
		"text where a number belongs":                    {replace("    maxMessages: 200", "    maxMessages: many"), "maxMessages"},
		"a negative size":                                {replace("    maxMessages: 200", "    maxMessages: -1"), "maxMessages"},
		"a duration without a unit":                      {replace("timeWindow: 15m", `timeWindow: "15"`), "missing unit in duration"},
		"anchors are refused":                            {replace("name: datanet\n", "name: &n datanet\n"), "name: anchors and aliases are not supported"},
		"two documents are refused":                      {raft + "\n---\nversion: 1\n", "exactly one YAML document"},
		"no YAML at all":                                 {"{", "yaml: "},
		"an empty file":                                  {"", "the file is empty"},
		"only a scalar":                                  {"7", "topology: must be a mapping"},
		"a file too large":                               {strings.Repeat("#", network.MaxFileBytes+1), "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, c.yaml)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "test.yaml")
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(config.BFT)
	f.Add(config.Raft)
	f.Add([]byte("version: 1\nmembers: [{name: a, mspId: A, users: []}]\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		topology, err := network.Parse(bytes.NewReader(raw), "fuzz")
		if err != nil {
			return
		}
		out, err := topology.Marshal()
		require.NoError(t, err)
		again, err := network.Parse(bytes.NewReader(out), "again")
		require.NoError(t, err)
		require.Equal(t, topology, again)
	})
}
