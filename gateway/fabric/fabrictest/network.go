// Package fabrictest is a network in memory for tests of what calls the network: the in-memory ledger behind a peer's
// gateway service, called through the real client. It can fail in the ways in which peers and orderers do: it can fail
// and still commit.
package fabrictest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// The channel and its chaincode.
const (
	Channel   = "datanet"
	Chaincode = "datanet"
)

// Network is a channel with one gateway service. It is safe for concurrent use.
type Network struct {
	gateway.UnimplementedGatewayServer

	// Endorsing, Submitting and Awaiting, when set, say how a call fails; they are set before the first call. A
	// submission that fails may be ordered all the same.
	Endorsing  func(function string) error
	Submitting func(txID string) (ordered bool, err error)
	Awaiting   func(txID string) error

	conn *grpc.ClientConn

	mutex    sync.Mutex
	ledger   *memledger.Network
	held     bool
	callers  map[string]ledger.Caller // by certificate
	endorsed map[string]*memledger.Envelope
	outcomes map[string]outcome // of the first copy of each transaction
	copies   map[string]int     // how often each transaction was ordered
	blocks   []block            // from number 1
	changed  chan struct{}      // closed when a block comes
}

type outcome struct {
	block uint64
	code  peer.TxValidationCode
}

type block struct {
	number uint64
	events []*peer.ChaincodeEvent
	ids    []string
	flags  []memledger.Flag
}

// Start serves an in-memory ledger until the test ends. Clients are of its organisations.
func Start(t *testing.T, mem *memledger.Network) *Network {
	t.Helper()
	n := &Network{ledger: mem, callers: map[string]ledger.Caller{}, endorsed: map[string]*memledger.Envelope{},
		outcomes: map[string]outcome{}, copies: map[string]int{}, changed: make(chan struct{})}
	listener, server := bufconn.Listen(1<<20), grpc.NewServer()
	gateway.RegisterGatewayServer(server, n)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	n.conn = conn
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		server.Stop()
		require.NoError(t, <-done)
	})
	return n
}

// Identity is a certificate that the network knows, and its key.
type Identity struct {
	Caller ledger.Caller
	Key    ed25519.PrivateKey
	pem    []byte
}

func (i *Identity) MspID() string                       { return i.Caller.MSP }
func (i *Identity) Credentials() []byte                 { return i.pem }
func (i *Identity) Sign(message []byte) ([]byte, error) { return ed25519.Sign(i.Key, message), nil }

// Enrol makes an identity for a caller.
func (n *Network) Enrol(t *testing.T, caller ledger.Caller) *Identity {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: caller.Enrolment}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	require.NoError(t, err)
	id := &Identity{Caller: caller, Key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	n.Admit(id.pem, caller)
	return id
}

// Admit makes the network take a certificate (PEM) for a caller's.
func (n *Network) Admit(certificate []byte, caller ledger.Caller) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.callers[string(certificate)] = caller
}

// Client is the real client, as an identity.
func (n *Network) Client(t *testing.T, id fabric.Identity) *fabric.Client {
	t.Helper()
	client, err := fabric.Connect(n.conn, id, Channel, Chaincode)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// Hold makes the orderers keep what they get until [Network.Cut], or cut a block for each transaction again.
func (n *Network) Hold(hold bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.held = hold
}

// Cut makes a block of what the orderers keep.
func (n *Network) Cut() error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.cut()
}

// Copies is how often a transaction was ordered.
func (n *Network) Copies(txID string) int {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.copies[txID]
}

// Valid lists the valid transactions so far.
func (n *Network) Valid() (ids []string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, b := range n.blocks {
		for i, flag := range b.flags {
			if flag == memledger.Valid {
				ids = append(ids, b.ids[i])
			}
		}
	}
	return ids
}

func (n *Network) cut() error {
	cut, err := n.ledger.Cut()
	if err != nil || cut == nil {
		return err
	}
	b := block{number: cut.Number, flags: cut.Flags}
	for i, e := range cut.Envelopes {
		id := e.Proposal.TxID
		b.ids = append(b.ids, id)
		if _, known := n.outcomes[id]; !known {
			n.outcomes[id] = outcome{cut.Number, peer.TxValidationCode(peer.TxValidationCode_value[string(cut.Flags[i])])}
		}
		if cut.Flags[i] == memledger.Valid && e.Event != nil {
			b.events = append(b.events, &peer.ChaincodeEvent{ChaincodeId: Chaincode, TxId: id, EventName: e.Event.Name, Payload: e.Event.Payload})
		}
	}
	n.blocks = append(n.blocks, b)
	close(n.changed)
	n.changed = make(chan struct{})
	return nil
}
