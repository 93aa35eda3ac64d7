// Package settings writes the configuration files that Fabric's peer and orderer read.
//
// Each file is complete: one of the two templates beside this file, which hold what all nodes share and the reasons for
// it, with the node's own values filled in. Nothing is left to the environment, so the file in a node's folder tells
// all that the node was started with.
package settings

import (
	_ "embed"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/network/pki"
)

var (
	//go:embed core.yaml
	coreTemplate []byte
	//go:embed orderer.yaml
	ordererTemplate []byte
)

// Names of the files, which the programs look for in the folder FABRIC_CFG_PATH.
const (
	PeerFile    = "core.yaml"
	OrdererFile = "orderer.yaml"
)

// Node is what peers and orderers have in common. Addresses are host:port, paths absolute.
type Node struct {
	Name  string
	MSPID string
	// Data is the folder of the ledger and everything else that the node keeps.
	Data     string
	Material pki.Node
	Address  string
	// Operations is where the node serves its health and metrics, to holders of a certificate of ClientCA.
	Operations string
	ClientCA   string
	// TimeWindow is how far the time in a request may be from the node's clock.
	TimeWindow time.Duration
}

// Peer is what one peer has of its own.
type Peer struct {
	Node
	// Network separates peers of different networks that happen to reach each other.
	Network string
	// Chaincode is the listener for chaincode that dials the peer, which ours does not.
	Chaincode string
	// Builder is the folder of the external builder.
	Builder string
}

// Orderer is what one orderer has of its own.
type Orderer struct {
	Node
	// Admin is the listener of the channel participation API, for holders of a certificate of ClientCA.
	Admin string
}

// YAML is the peer's core.yaml.
func (p Peer) YAML() ([]byte, error) {
	return fill(coreTemplate, map[string]any{
		"peer.id":                             p.Name,
		"peer.networkId":                      p.Network,
		"peer.listenAddress":                  p.Address,
		"peer.address":                        p.Address,
		"peer.chaincodeListenAddress":         p.Chaincode,
		"peer.gossip.bootstrap":               p.Address,
		"peer.gossip.endpoint":                p.Address,
		"peer.gossip.externalEndpoint":        p.Address,
		"peer.tls.cert.file":                  p.Material.TLS.CertFile,
		"peer.tls.key.file":                   p.Material.TLS.KeyFile,
		"peer.tls.rootcert.file":              p.Material.TLS.CAFile,
		"peer.tls.clientRootCAs.files":        []string{p.Material.TLS.CAFile},
		"peer.tls.clientCert.file":            p.Material.TLS.CertFile,
		"peer.tls.clientKey.file":             p.Material.TLS.KeyFile,
		"peer.authentication.timewindow":      p.TimeWindow.String(),
		"peer.fileSystemPath":                 p.Data,
		"peer.mspConfigPath":                  p.Material.MSPDir,
		"peer.localMspId":                     p.MSPID,
		"peer.BCCSP.SW.FileKeyStore.KeyStore": filepath.Join(p.Material.MSPDir, "keystore"),
		"chaincode.externalBuilders":          []map[string]any{{"name": "ccaas", "path": p.Builder}},
		"ledger.snapshots.rootDir":            filepath.Join(p.Data, "snapshots"),
		"operations.listenAddress":            p.Operations,
		"operations.tls.cert.file":            p.Material.TLS.CertFile,
		"operations.tls.key.file":             p.Material.TLS.KeyFile,
		"operations.tls.clientRootCAs.files":  []string{p.ClientCA},
	})
}

// YAML is the orderer's orderer.yaml.
func (o Orderer) YAML() ([]byte, error) {
	host, text, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", o.Name, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port of %s: %w", o.Name, err)
	}
	certificate, key := o.Material.TLS.CertFile, o.Material.TLS.KeyFile
	return fill(ordererTemplate, map[string]any{
		"General.ListenAddress":                  host,
		"General.ListenPort":                     port,
		"General.TLS.Certificate":                certificate,
		"General.TLS.PrivateKey":                 key,
		"General.TLS.RootCAs":                    []string{o.Material.TLS.CAFile},
		"General.TLS.ClientRootCAs":              []string{o.Material.TLS.CAFile},
		"General.Cluster.ClientCertificate":      certificate,
		"General.Cluster.ClientPrivateKey":       key,
		"General.LocalMSPDir":                    o.Material.MSPDir,
		"General.LocalMSPID":                     o.MSPID,
		"General.BCCSP.SW.FileKeyStore.KeyStore": filepath.Join(o.Material.MSPDir, "keystore"),
		"General.Authentication.TimeWindow":      o.TimeWindow.String(),
		"FileLedger.Location":                    filepath.Join(o.Data, "ledger"),
		"Operations.ListenAddress":               o.Operations,
		"Operations.TLS.Certificate":             certificate,
		"Operations.TLS.PrivateKey":              key,
		"Operations.TLS.ClientRootCAs":           []string{o.ClientCA},
		"Admin.ListenAddress":                    o.Admin,
		"Admin.TLS.Certificate":                  certificate,
		"Admin.TLS.PrivateKey":                   key,
		"Admin.TLS.ClientRootCAs":                []string{o.ClientCA},
		"Consensus.WALDir":                       filepath.Join(o.Data, "consensus", "wal"),
		"Consensus.SnapDir":                      filepath.Join(o.Data, "consensus", "snapshot"),
	})
}

// fill sets values in a template by their dotted paths. A path that the template does not have is an error: Fabric
// would ignore the setting.
func fill(template []byte, values map[string]any) ([]byte, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(template, &tree); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	for path, value := range values {
		if err := set(tree, strings.Split(path, "."), value); err != nil {
			return nil, fmt.Errorf("set %s: %w", path, err)
		}
	}
	filled, err := yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	return filled, nil
}

func set(tree map[string]any, path []string, value any) error {
	old, present := tree[path[0]]
	if !present {
		return fmt.Errorf("there is no setting %s", path[0])
	}
	if len(path) == 1 {
		tree[path[0]] = value
		return nil
	}
	branch, ok := old.(map[string]any)
	if !ok {
		return fmt.Errorf("%s holds no further settings", path[0])
	}
	return set(branch, path[1:], value)
}
