package fabric_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// authority is a TLS authority of one certificate for 127.0.0.1.
func authority(t *testing.T) (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// namedPeer is a peer's gateway that answers every query with its name.
type namedPeer struct {
	gateway.UnimplementedGatewayServer
	name string
}

func (p namedPeer) Evaluate(context.Context, *gateway.EvaluateRequest) (*gateway.EvaluateResponse, error) {
	return &gateway.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: []byte(p.name)}}, nil
}

func serve(t *testing.T, name, address string, certificate tls.Certificate) (at string, stop func()) {
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	gateway.RegisterGatewayServer(server, namedPeer{name: name})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	stop = func() { server.Stop(); require.NoError(t, <-done) }
	return listener.Addr().String(), stop
}

// unused is an address on which nobody listens.
func unused(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func ask(t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	client, err := fabric.Connect(conn, keyless{}, "channel", "chaincode")
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err := client.Evaluate(ctx, fabric.Call{Function: "f", Request: ledger.Nothing{}})
	require.NoError(t, err)
	return string(answer)
}

// keyless signs nothing, for peers that do not look.
type keyless struct{}

func (keyless) MspID() string               { return "AMSP" }
func (keyless) Credentials() []byte         { return nil }
func (keyless) Sign([]byte) ([]byte, error) { return []byte("x"), nil }

func TestDial(t *testing.T) {
	certificate, root := authority(t)
	t.Run("calls go to the first peer, to the next one when it is gone, and survive its return", func(t *testing.T) {
		first, stopFirst := serve(t, "first", "127.0.0.1:0", certificate)
		second, stopSecond := serve(t, "second", "127.0.0.1:0", certificate)
		conn, err := fabric.Dial(first, root, second)
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "first", ask(t, conn))
		stopFirst()
		require.Equal(t, "second", ask(t, conn))
		_, stopFirst = serve(t, "first", first, certificate)
		defer stopFirst()
		require.Equal(t, "second", ask(t, conn), "a good connection is kept")
		stopSecond()
		require.Equal(t, "first", ask(t, conn))
	})
	t.Run("a peer that refuses connections is passed over", func(t *testing.T) {
		second, stop := serve(t, "second", "127.0.0.1:0", certificate)
		defer stop()
		conn, err := fabric.Dial(unused(t), root, second)
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "second", ask(t, conn))
	})
	t.Run("a peer with a certificate of another authority is passed over", func(t *testing.T) {
		strange, _ := authority(t)
		impostor, stopImpostor := serve(t, "impostor", "127.0.0.1:0", strange)
		defer stopImpostor()
		second, stop := serve(t, "second", "127.0.0.1:0", certificate)
		defer stop()
		conn, err := fabric.Dial(impostor, root, second)
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "second", ask(t, conn))
	})
	t.Run("each peer's certificate must name its own host", func(t *testing.T) {
		address, stop := serve(t, "first", "127.0.0.1:0", certificate)
		defer stop()
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		second, stopSecond := serve(t, "second", "127.0.0.1:0", certificate)
		defer stopSecond()
		conn, err := fabric.Dial("localhost:"+port, root, second) // the certificate says 127.0.0.1
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "second", ask(t, conn))
	})
	t.Run("addresses without a port, and authorities without a certificate, are refused", func(t *testing.T) {
		_, err := fabric.Dial("127.0.0.1:1", root, "peer")
		require.ErrorContains(t, err, "host:port")
		_, err = fabric.Dial("127.0.0.1:1", []byte("no PEM"))
		require.ErrorContains(t, err, "no certificate")
	})
}
