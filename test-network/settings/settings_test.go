package settings

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/network/pki"
)

// unused are the settings of Fabric's sample files that the templates leave out, by prefix.
var unused = []string{"vm.docker", "chaincode.builder", "chaincode.golang", "chaincode.java", "chaincode.node", "chaincode.pull",
	"ledger.state.couchDBConfig", "peer.BCCSP.PKCS11", "General.BCCSP.PKCS11",
	"General.Cluster.ListenPort", "General.Cluster.ListenAddress", "General.Cluster.ServerCertificate", "General.Cluster.ServerPrivateKey"}

// changed are the settings in which the templates differ from Fabric's sample files although every node has them alike.
var changed = map[string]any{
	"peer.gossip.aliveTimeInterval":                                  "500ms",
	"peer.gossip.dialTimeout":                                        "500ms",
	"peer.gossip.pullInterval":                                       "1s",
	"peer.gossip.digestWaitTime":                                     "200ms",
	"peer.gossip.requestWaitTime":                                    "400ms",
	"peer.gossip.responseWaitTime":                                   "500ms",
	"peer.gossip.reconnectInterval":                                  "300ms",
	"peer.gossip.requestStateInfoInterval":                           "500ms",
	"peer.gossip.publishStateInfoInterval":                           "500ms",
	"peer.gossip.pvtData.skipPullingInvalidTransactionsDuringCommit": true,
	"peer.deliveryclient.connTimeout":                                "500ms",
	"peer.deliveryclient.blockCensorshipTimeoutKey":                  "3s",
	"peer.deliveryclient.reConnectBackoffThreshold":                  "2s",
	"peer.limits.concurrency.gatewayService":                         2500,
	"peer.profile.listenAddress":                                     "127.0.0.1:0",
	"peer.tls.enabled":                                               true,
	"operations.tls.enabled":                                         true,
	"operations.tls.clientAuthRequired":                              true,
	"metrics.provider":                                               "prometheus",
	"Metrics.Provider":                                               "prometheus",
	"vm.endpoint":                                                    nil,
	"General.Profile.Address":                                        "127.0.0.1:0",
	"General.Backoff.MaxDelay":                                       "1s",
	"General.TLS.Enabled":                                            true,
	"General.Cluster.ReplicationPolicy":                              "consensus",
	"Operations.TLS.Enabled":                                         true,
	"Operations.TLS.ClientAuthRequired":                              true,
	"Admin.TLS.Enabled":                                              true,
}

func TestTemplatesHoldEverySettingOfFabricsSamples(t *testing.T) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/hyperledger/fabric").Output()
	require.NoError(t, err)
	for name, template := range map[string][]byte{PeerFile: coreTemplate, OrdererFile: ordererTemplate} {
		sample, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "sampleconfig", name))
		require.NoError(t, err)
		want, got := flatten(t, sample), flatten(t, template)
		for path, value := range want {
			if leftOut(path) {
				continue
			}
			require.Contains(t, got, path, name)
			if other, ok := changed[path]; ok {
				require.Equal(t, other, got[path], path)
				continue
			}
			if got[path] == nil || fmt.Sprint(got[path]) == "[]" {
				continue // filled in for each node
			}
			require.Equal(t, value, got[path], path)
		}
	}
}

func TestEveryEmptySettingThatAPeerNeedsIsFilledIn(t *testing.T) {
	peer := Peer{Node: node(), Network: "datanet", Chaincode: "127.0.0.1:4", Builder: "/a folder/builder"}
	content, err := peer.YAML()
	require.NoError(t, err)
	got := flatten(t, content)
	require.Equal(t, "127.0.0.1:1", got["peer.gossip.externalEndpoint"])
	require.Equal(t, "1h30m0s", got["peer.authentication.timewindow"])
	require.Equal(t, []any{"/ca: \"x\".pem"}, got["operations.tls.clientRootCAs.files"])
	require.Equal(t, []any{map[string]any{"name": "ccaas", "path": "/a folder/builder"}}, got["chaincode.externalBuilders"])
	require.Equal(t, []any{map[string]any{"name": "DefaultAuth"}, map[string]any{"name": "ExpirationCheck"}, map[string]any{"name": "TimeWindowCheck"}}, got["peer.handlers.authFilters"])
	require.Equal(t, true, got["chaincode.runtimeParams.useWriteBatch"])
	require.Equal(t, true, got["chaincode.runtimeParams.useGetMultipleKeys"])
}

func TestOrdererListensWhereItIsTold(t *testing.T) {
	orderer := Orderer{Node: node(), Admin: "127.0.0.1:3"}
	content, err := orderer.YAML()
	require.NoError(t, err)
	got := flatten(t, content)
	require.Equal(t, "127.0.0.1", got["General.ListenAddress"])
	require.Equal(t, 1, got["General.ListenPort"])
	require.Equal(t, "none", got["General.BootstrapMethod"])
	require.Equal(t, true, got["Admin.TLS.ClientAuthRequired"])
	require.Equal(t, "/data/consensus/wal", got["Consensus.WALDir"])

	orderer.Address = "127.0.0.1:70000"
	_, err = orderer.YAML()
	require.ErrorContains(t, err, "port of node")
}

func TestSettingThatTheTemplateLacksIsRefused(t *testing.T) {
	_, err := fill([]byte("a: {b: 1}"), map[string]any{"a.c": 2})
	require.ErrorContains(t, err, "set a.c: there is no setting c")
	_, err = fill([]byte("a: {b: 1}"), map[string]any{"a.b.c": 2})
	require.ErrorContains(t, err, "b holds no further settings")
}

func node() Node {
	return Node{
		Name: "node", MSPID: "NodeMSP", Data: "/data", Address: "127.0.0.1:1", Operations: "127.0.0.1:2", ClientCA: "/ca: \"x\".pem",
		Material: pki.Node{MSPDir: "/msp", TLS: pki.TLS{CertFile: "/tls/cert.pem", KeyFile: "/tls/key.pem", CAFile: "/tls/ca.pem"}}, TimeWindow: 90 * time.Minute,
	}
}

// flatten is the settings of a file by their dotted paths; lists count as one value.
func flatten(t *testing.T, content []byte) map[string]any {
	t.Helper()
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(content, &tree))
	flat := map[string]any{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		branch, ok := value.(map[string]any)
		if !ok {
			flat[strings.TrimPrefix(path, ".")] = value
			return
		}
		for name, below := range branch {
			walk(path+"."+name, below)
		}
	}
	walk("", tree)
	return flat
}

func leftOut(path string) bool {
	for _, prefix := range unused {
		if path == prefix || strings.HasPrefix(path, prefix+".") {
			return true
		}
	}
	return false
}
