//go:build linux || darwin

package testnetwork_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

const (
	poets     = "PoetrySocietyMSP"
	library   = "NationalLibraryMSP"
	lab       = "AILabMSP"
	regulator = "RegulatorMSP"
	archive   = "CityArchiveMSP"
)

// built is the folder of what was built, "" before.
var built string

// programs builds what the networks of these tests run, once.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "testnetwork-"); err != nil {
		return "", err
	}
	built = dir
	for _, arguments := range [][]string{
		{"-o", filepath.Join(dir, "ccaas-builder"), "../cmd/ccaas-builder"},
		{"-o", filepath.Join(dir, "chaincode"), "./testdata/okchaincode"},
		{"-ldflags", "-X main.version=2.0", "-o", filepath.Join(dir, "chaincode2"), "./testdata/okchaincode"},
	} {
		output, err := exec.Command("go", append([]string{"build"}, arguments...)...).CombinedOutput()
		if err != nil {
			return dir, fmt.Errorf("build the programs of the test: %w: %s", err, output)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	// Fabric's packages log every connection as soon as they are imported.
	flogging.ActivateSpec("error")
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

func TestLifeOfABFTNetwork(t *testing.T) {
	skipShort(t)
	crashes := make(chan *process.ExitError, 1)
	options := options(t, config.BFT)
	options.OnExit = func(exit *process.ExitError) { crashes <- exit }
	n := start(t, options)

	story := []struct {
		claim string
		check func(t *testing.T)
	}{
		{"a transaction is committed by all peers", func(t *testing.T) {
			put(t, n, poets, "line", "agar an tork-e shirazi")
			for _, org := range []string{poets, library, lab, regulator} {
				expect(t, n, org, "agar an tork-e shirazi", "get", "line")
			}
		}},
		{"the peers agree and nothing needs attention", func(t *testing.T) {
			var status *testnetwork.Status
			soon(t, func() (err error) { // a leader that was slow is replaced
				status, err = n.Status(t.Context())
				if err != nil || len(status.Problems) > 0 {
					return errors.Join(err, fmt.Errorf("problems: %v", status))
				}
				leaders := 0
				for _, node := range status.Nodes {
					if node.Leader {
						leaders++
					}
				}
				if leaders != 1 {
					return fmt.Errorf("there are %d leaders", leaders)
				}
				return nil
			})
			require.True(t, status.Running)
			require.Len(t, status.Nodes, 12)
			require.True(t, status.Agreement.Agree)
			require.Len(t, status.Agreement.Hashes, 4)
			for _, node := range status.Nodes {
				require.NotZero(t, node.PID)
				require.Equal(t, node.Kind != testnetwork.Chaincode, node.Height > 0, node.Name)
			}
		}},
		{"a peer that dies is reported with the end of its log, and healed", func(t *testing.T) {
			require.NoError(t, syscall.Kill(find(t, n, "peer.ailab").PID, syscall.SIGKILL))
			exit := <-crashes
			require.Equal(t, "peer.ailab", exit.Name)
			require.NotEmpty(t, exit.Tail)
			died := find(t, n, "peer.ailab")
			require.Equal(t, "crashed", died.State)
			require.Contains(t, died.Problem, "peer.ailab ended by itself (signal: killed); the end of its log")

			put(t, n, poets, "line", "be dast arad del-e ma ra")
			healed, err := n.Heal(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"peer.ailab"}, healed)
			expect(t, n, lab, "be dast arad del-e ma ra", "get", "line")
		}},
		{"a process that was killed on purpose is restarted", func(t *testing.T) {
			require.NoError(t, n.KillNode("chaincode.ailab"))
			require.Equal(t, "stopped", find(t, n, "chaincode.ailab").State)
			require.NoError(t, n.RestartNode(t.Context(), "chaincode.ailab"))
			expect(t, n, lab, "1.0", "version", "")
			require.ErrorContains(t, n.KillNode("peer.nobody"), `there is no process "peer.nobody"`)
		}},
		{"one organisation can run another program under the same definition", func(t *testing.T) {
			require.NoError(t, n.SetChaincodeBinary(t.Context(), lab, options.Chaincode+"2"))
			expect(t, n, lab, "2.0", "version", "")
			expect(t, n, poets, "1.0", "version", "")
			require.NoError(t, n.SetChaincodeBinary(t.Context(), lab, options.Chaincode))
		}},
		{"the definition is upgraded while the network runs", func(t *testing.T) {
			require.EqualError(t, n.Upgrade(t.Context(), "2.0", 3, ""), "the next chaincode definition has sequence 2, not 3")
			require.NoError(t, n.Upgrade(t.Context(), "2.0", 2, options.Chaincode+"2"))
			require.Equal(t, int64(2), n.State().Topology().Chaincode.Sequence)
			for _, org := range []string{poets, library, regulator} {
				expect(t, n, org, "2.0", "version", "")
			}
			put(t, n, library, "line", "be khal-e hendu-yash bakhsham")
		}},
		{"a new member joins and endorsement needs the new majority", func(t *testing.T) {
			held := endorse(t, n, poets, "held", "x", poets, library)
			member := network.Organization{Name: "cityarchive", MSPID: archive}
			require.NoError(t, n.AddOrganization(t.Context(), member))
			require.NoError(t, n.AddOrganization(t.Context(), member), "repeating it is harmless")

			var invalid *fabric.InvalidError
			soon(t, func() error { // the orderers take up the new configuration
				_, err := held.Submit(t.Context())
				if !errors.As(err, &invalid) {
					return fmt.Errorf("two of four are no majority any more: %w", err)
				}
				return nil
			})
			require.Equal(t, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE, invalid.Code)
			client := connect(t, n, poets)
			soon(t, func() error {
				endorsed, err := client.Endorse(t.Context(), fabric.Call{Function: "put", Request: entry{Key: "held", Value: "y"}, Endorsers: []string{poets, library, archive}})
				if err == nil {
					_, err = endorsed.Submit(t.Context())
				}
				return err
			})
			expect(t, n, archive, "y", "get", "held")
			put(t, n, archive, "line", "samarqand o bokhara ra")
		}},
		{"a member that cannot be is refused", func(t *testing.T) {
			require.ErrorContains(t, n.AddOrganization(t.Context(), network.Organization{Name: "City Archive", MSPID: "OtherMSP"}), "is not a DNS label")
			require.ErrorContains(t, n.AddOrganization(t.Context(), network.Organization{Name: "other", MSPID: regulator}), "is already the organisation regulator")
		}},
	}
	for _, chapter := range story {
		if !t.Run(chapter.claim, chapter.check) {
			t.FailNow()
		}
	}

	t.Run("a second start resumes the same ledger", func(t *testing.T) {
		before := level(t, n)
		_, err := testnetwork.Start(t.Context(), options)
		var running *testnetwork.RunningError
		require.ErrorAs(t, err, &running, "only one process runs a network")
		require.Equal(t, os.Getpid(), running.PID)
		require.NoError(t, n.Stop())

		options.Chaincode += "2"
		options.Topology = nil
		again := start(t, options)
		require.Equal(t, before, level(t, again))
		expect(t, again, archive, "samarqand o bokhara ra", "get", "line")
		put(t, again, lab, "line", "goftam gham-e to daram")
	})
}

func TestLifeOfARaftNetwork(t *testing.T) {
	skipShort(t)
	n := start(t, options(t, config.Raft))
	put(t, n, lab, "line", "gofta ghamat sar ayad")
	require.NoError(t, n.StopNode("orderer.ailab-orderer"))
	put(t, n, lab, "line", "goftam ke mah-e man sho")
	require.NoError(t, n.RestartNode(t.Context(), "orderer.ailab-orderer"))
	expect(t, n, regulator, "goftam ke mah-e man sho", "get", "line")
	require.NoError(t, n.Stop())
	require.NoError(t, testnetwork.Clean(n.State().Dir()))
	require.NoDirExists(t, n.State().Dir())
}

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Fabric")
	}
}

// options are those of a network in a folder of its own.
func options(t *testing.T, topology []byte) testnetwork.Options {
	t.Helper()
	dir, err := programs()
	require.NoError(t, err)
	parsed, err := network.Parse(bytes.NewReader(topology), t.Name())
	require.NoError(t, err)
	return testnetwork.Options{
		Dir: filepath.Join(t.TempDir(), "network"), Topology: parsed,
		Chaincode: filepath.Join(dir, "chaincode"), Builder: filepath.Join(dir, "ccaas-builder"),
	}
}

// start starts a network for the rest of a test.
func start(t *testing.T, options testnetwork.Options) *testnetwork.Network {
	t.Helper()
	n, err := testnetwork.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	return n
}

func find(t *testing.T, n *testnetwork.Network, name string) testnetwork.NodeStatus {
	t.Helper()
	status, err := n.Status(t.Context())
	require.NoError(t, err)
	for _, node := range status.Nodes {
		if node.Name == name {
			return node
		}
	}
	require.Fail(t, "no such process", name)
	return testnetwork.NodeStatus{}
}

// level waits until all peers have the same blocks, and returns how they agree.
func level(t *testing.T, n *testnetwork.Network) *testnetwork.Agreement {
	t.Helper()
	var agreement *testnetwork.Agreement
	soon(t, func() error {
		status, err := n.Status(t.Context())
		if err != nil {
			return err
		}
		if len(status.Problems) > 0 {
			return fmt.Errorf("there are problems: %v", status.Problems)
		}
		agreement = status.Agreement
		for _, node := range status.Nodes {
			if node.Kind == testnetwork.Peer && node.Height != agreement.Block+1 {
				return fmt.Errorf("%s has %d blocks, another peer %d", node.Name, node.Height, agreement.Block+1)
			}
		}
		return nil
	})
	require.True(t, agreement.Agree)
	return agreement
}

// entry is the argument of the chaincode's functions.
type entry struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// connect is a user of an organisation who calls the chaincode through its peer.
func connect(t *testing.T, n *testnetwork.Network, mspID string) *fabric.Client {
	t.Helper()
	state := n.State()
	org, material, err := state.Organization(mspID)
	require.NoError(t, err)
	identity, err := state.User(mspID, org.Users[0].Name)
	require.NoError(t, err)
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	require.NoError(t, err)
	client, err := fabric.Connect(conn, identity, state.Topology().Channel, state.Topology().Chaincode.Name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(client.Close(), conn.Close())) })
	return client
}

// put writes a value. It tries until there are endorsers and an ordering service with a leader.
func put(t *testing.T, n *testnetwork.Network, mspID, key, value string) {
	t.Helper()
	client := connect(t, n, mspID)
	soon(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := client.Submit(ctx, fabric.Call{Function: "put", Request: entry{Key: key, Value: value}})
		return err
	})
}

// endorse has the peers of the organisations named, and no others, endorse a write.
func endorse(t *testing.T, n *testnetwork.Network, mspID, key, value string, endorsers ...string) *fabric.Endorsed {
	t.Helper()
	client := connect(t, n, mspID)
	var endorsed *fabric.Endorsed
	soon(t, func() (err error) {
		endorsed, err = client.Endorse(t.Context(), fabric.Call{Function: "put", Request: entry{Key: key, Value: value}, Endorsers: endorsers})
		return err
	})
	return endorsed
}

// expect waits until a function answers on the peer of an organisation what is wanted.
func expect(t *testing.T, n *testnetwork.Network, mspID, want, function, key string) {
	t.Helper()
	client := connect(t, n, mspID)
	soon(t, func() error {
		answer, err := client.Evaluate(t.Context(), fabric.Call{Function: function, Request: entry{Key: key}, Endorsers: []string{mspID}})
		if err == nil && string(answer) != want {
			err = fmt.Errorf("the answer is %q, not %q", answer, want)
		}
		return err
	})
}

// soon repeats a step until it succeeds.
func soon(t *testing.T, step func() error) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, step()) }, 2*time.Minute, 50*time.Millisecond)
}
