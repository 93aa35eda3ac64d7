package demo

import (
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// peers are spoken to directly for what no gateway does: to forge, and to look at what each peer itself holds.
type peers struct {
	network *testnetwork.State
	guard   *sync.Mutex
	conns   map[string]*grpc.ClientConn // by MSP ID
	clients map[ledger.Account]*fabric.Client
}

func newPeers(n *testnetwork.State) peers {
	return peers{n, new(sync.Mutex), map[string]*grpc.ClientConn{}, map[ledger.Account]*fabric.Client{}}
}

// as connects somebody who has a key to the peer of the own organisation.
func (p peers) as(who *person) (*fabric.Client, error) {
	p.guard.Lock()
	defer p.guard.Unlock()
	if known, ok := p.clients[who.account]; ok {
		return known, nil
	}
	if who.own == nil {
		return nil, fmt.Errorf("%s has no key here", who.account)
	}
	org, material, err := p.network.Organization(who.account.MSP())
	if err != nil {
		return nil, err
	}
	conn, ok := p.conns[org.MSPID]
	if !ok {
		if conn, err = fabric.Dial(org.PeerAddress(), material.TLSCA.PEM); err != nil {
			return nil, err
		}
		p.conns[org.MSPID] = conn
	}
	topology := p.network.Topology()
	client, err := fabric.Connect(conn, who.own, topology.Channel, topology.Chaincode.Name)
	if err != nil {
		return nil, err
	}
	p.clients[who.account] = client
	return client, nil
}

func (p peers) close() error {
	var faults []error
	for _, client := range p.clients {
		faults = append(faults, client.Close())
	}
	for _, conn := range p.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(faults...)
}
