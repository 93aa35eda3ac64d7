package testnetwork

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/process"
	"github.com/datanet-consortium/datanet/test-network/settings"
)

// Kind tells what a process is.
type Kind string

const (
	Orderer   Kind = "orderer"
	Peer      Kind = "peer"
	Chaincode Kind = "chaincode"
	Gateway   Kind = "gateway"
)

// kindOf is the kind of a node by its name.
func kindOf(node string) Kind {
	kind, _, _ := strings.Cut(node, ".")
	return Kind(kind)
}

// node is one process of the network, running or not.
type node struct {
	name    string
	mspID   string
	address string
	spec    process.Spec
	// process is nil before the first start.
	process *process.Process
	started time.Time
}

func (n *node) kind() Kind { return kindOf(n.name) }

// ordererNode describes the process of an orderer and writes its settings.
func (s *State) ordererNode(operator *network.Operator, options *Options) (*node, error) {
	material, err := s.material.Organization(operator.MSPID)
	if err != nil {
		return nil, err
	}
	own := settings.Orderer{Node: settings.Node{
		Name: operator.OrdererNode(), MSPID: operator.MSPID, Data: s.folder.data(operator.OrdererNode()), Material: material.Orderer(),
		Address:    operator.OrdererAddress(),
		Operations: network.HostPort(operator.Orderer.Host, operator.Orderer.OperationsPort),
		ClientCA:   material.AdminTLS().CAFile, TimeWindow: options.timeWindow(s.topology),
	}, Admin: operator.AdminAddress()}
	content, err := own.YAML()
	if err != nil {
		return nil, fmt.Errorf("write the settings of %s: %w", own.Name, err)
	}
	return s.fabricNode(own.Node, options.Binaries.Orderer, nil, settings.OrdererFile, content, own.Admin)
}

// peerNode describes the process of a peer and writes its settings.
func (s *State) peerNode(org *network.Organization, options *Options) (*node, error) {
	material, err := s.material.Organization(org.MSPID)
	if err != nil {
		return nil, err
	}
	own := settings.Peer{Node: settings.Node{
		Name: org.PeerNode(), MSPID: org.MSPID, Data: s.folder.data(org.PeerNode()), Material: material.Peer(),
		Address:    org.PeerAddress(),
		Operations: network.HostPort(org.Peer.Host, org.Peer.OperationsPort),
		ClientCA:   material.AdminTLS().CAFile, TimeWindow: options.timeWindow(s.topology),
	}, Network: s.topology.Name, Chaincode: network.HostPort(org.Peer.Host, org.Peer.ChaincodePort), Builder: s.folder.builder()}
	content, err := own.YAML()
	if err != nil {
		return nil, fmt.Errorf("write the settings of %s: %w", own.Name, err)
	}
	return s.fabricNode(own.Node, options.Binaries.Peer, []string{"node", "start"}, settings.PeerFile, content, own.Address)
}

// fabricNode describes a peer or orderer. The last argument is the listener that opens last.
func (s *State) fabricNode(own settings.Node, program string, arguments []string, file string, content []byte, last string) (*node, error) {
	home := s.folder.node(own.Name)
	temporary := s.folder.join("nodes", own.Name, "tmp")
	if err := errors.Join(os.MkdirAll(temporary, 0o700), os.MkdirAll(own.Data, 0o700)); err != nil {
		return nil, explainDisk(fmt.Errorf("make the folders of %s: %w", own.Name, err))
	}
	if err := writeFile(s.folder.join("nodes", own.Name, file), content); err != nil {
		return nil, err
	}
	healthy, err := s.healthCheck(own, last)
	if err != nil {
		return nil, err
	}
	return &node{name: own.Name, mspID: own.MSPID, address: own.Address, spec: process.Spec{
		Name: own.Name, Program: program, Args: arguments, Dir: home, Log: s.folder.log(own.Name), Healthy: healthy,
		Env: []string{
			"FABRIC_CFG_PATH=" + home, "FABRIC_LOGGING_SPEC=" + nodeLogging, "FABRIC_LOGGING_FORMAT=" + nodeLogFormat, "TMPDIR=" + temporary,
			"GOGC=" + nodeGOGC, "GOMEMLIMIT=" + nodeMemoryLimit,
		},
	}}, nil
}

// chaincodeNode describes the chaincode process of an organisation, which serves the package with the given id.
func (s *State) chaincodeNode(org *network.Organization, packageID string, options *Options) (*node, error) {
	material, err := s.material.Organization(org.MSPID)
	if err != nil {
		return nil, err
	}
	home := s.folder.node(org.ChaincodeNode())
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, explainDisk(fmt.Errorf("make the folder of %s: %w", org.ChaincodeNode(), err))
	}
	certificates := material.ChaincodeTLS()
	address := org.ChaincodeAddress()
	return &node{name: org.ChaincodeNode(), mspID: org.MSPID, address: address, spec: process.Spec{
		Name: org.ChaincodeNode(), Program: options.chaincodeOf(org.MSPID), Dir: home, Log: s.folder.log(org.ChaincodeNode()),
		Healthy: func(ctx context.Context) error { return accepts(ctx, address) },
		Env: []string{
			"CHAINCODE_ID=" + packageID,
			"CHAINCODE_SERVER_ADDRESS=" + address,
			"CHAINCODE_TLS_CERT=" + certificates.CertFile,
			"CHAINCODE_TLS_KEY=" + certificates.KeyFile,
			"CHAINCODE_CLIENT_CA=" + certificates.CAFile,
			"DATANET_GENESIS_BLOCK=" + s.folder.genesis(),
			"GOGC=" + chaincodeGOGC, "GOMEMLIMIT=" + chaincodeMemoryLimit,
		},
	}}, nil
}

// accepts fails unless something accepts connections at the address.
func accepts(ctx context.Context, address string) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}
