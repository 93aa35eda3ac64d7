package network

import (
	"net"
	"strconv"
)

// Listener is one socket that a node of the consortium opens.
type Listener struct {
	// Node is the name of the process, such as peer.poetrysociety.
	Node string
	// Use says what the socket serves.
	Use Use
	// Field is the path of the port in the topology file.
	Field string
	Host  string
	// Port points into the topology, so that whoever resolves a port of 0
	// can fill it in.
	Port *int
}

// Address is host:port.
func (l Listener) Address() string { return HostPort(l.Host, *l.Port) }

// Use is the purpose of a listener.
type Use string

const (
	UsePeer       Use = "peer"
	UseOrderer    Use = "orderer"
	UseChaincode  Use = "chaincode"
	UseOperations Use = "operations"
	UseAdmin      Use = "admin"
	UseGateway    Use = "gateway"
)

// PeerNode is the name of the organisation's peer process.
func (o *Organization) PeerNode() string { return "peer." + o.Name }

// ChaincodeNode is the name of the organisation's chaincode process.
func (o *Organization) ChaincodeNode() string { return "chaincode." + o.Name }

// GatewayNode is the name of the organisation's gateway process.
func (o *Organization) GatewayNode() string { return "gateway." + o.Name }

// OrdererNode is the name of the operator's orderer process.
func (o *Operator) OrdererNode() string { return "orderer." + o.Name }

// PeerAddress is the host:port of the organisation's peer.
func (o *Organization) PeerAddress() string { return HostPort(o.Peer.Host, o.Peer.Port) }

// ChaincodeAddress is the host:port of the organisation's chaincode process.
func (o *Organization) ChaincodeAddress() string {
	return HostPort(o.ChaincodeService.Host, o.ChaincodeService.Port)
}

// GatewayAddress is the host:port of the organisation's gateway.
func (o *Organization) GatewayAddress() string { return HostPort(o.Gateway.Host, o.Gateway.Port) }

// OrdererAddress is the host:port of the operator's orderer.
func (o *Operator) OrdererAddress() string { return HostPort(o.Orderer.Host, o.Orderer.Port) }

// AdminAddress is the host:port of the orderer's participation API.
func (o *Operator) AdminAddress() string { return HostPort(o.Orderer.Host, o.Orderer.AdminPort) }

// HostPort joins a host and a port.
func HostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// Listeners lists every socket of the consortium, in a fixed order: operators,
// members, regulator.
func (t *Topology) Listeners() []Listener {
	var all []Listener
	for i := range t.Ordering.Operators {
		op := &t.Ordering.Operators[i]
		path := "ordering.operators[" + strconv.Itoa(i) + "].orderer."
		node, host := op.OrdererNode(), op.Orderer.Host
		all = append(all,
			Listener{node, UseOrderer, path + "port", host, &op.Orderer.Port},
			Listener{node, UseAdmin, path + "adminPort", host, &op.Orderer.AdminPort},
			Listener{node, UseOperations, path + "operationsPort", host, &op.Orderer.OperationsPort},
		)
	}
	for i := range t.Members {
		all = append(all, t.Members[i].listeners("members["+strconv.Itoa(i)+"].")...)
	}
	return append(all, t.Regulator.listeners("regulator.")...)
}

// Listeners lists the sockets of one organisation's nodes.
func (o *Organization) Listeners() []Listener { return o.listeners("") }

func (o *Organization) listeners(path string) []Listener {
	node, host := o.PeerNode(), o.Peer.Host
	return []Listener{
		{node, UsePeer, path + "peer.port", host, &o.Peer.Port},
		{node, UseChaincode, path + "peer.chaincodePort", host, &o.Peer.ChaincodePort},
		{node, UseOperations, path + "peer.operationsPort", host, &o.Peer.OperationsPort},
		{o.ChaincodeNode(), UseChaincode, path + "chaincodeService.port", o.ChaincodeService.Host, &o.ChaincodeService.Port},
		{o.GatewayNode(), UseGateway, path + "gateway.port", o.Gateway.Host, &o.Gateway.Port},
	}
}
