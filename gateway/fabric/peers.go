package fabric

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

const (
	// maxMessage bounds a message from a peer, in bytes: a block may hold a transaction of 10 MB.
	maxMessage = 100 << 20
	// silence is how long a connection in use may be quiet before the peer is asked whether it still lives. Peers refuse
	// clients that ask more often than once a minute.
	silence = 65 * time.Second
	// answer is how long the peer then has.
	answer = 10 * time.Second
)

// again asks once more, of the next peer if need be, what was under way when a connection broke, where asking twice does
// no harm. A submission is not among it: what became of it has to be found out first.
const again = `{"methodConfig": [{
	"name": [{"service": "gateway.Gateway", "method": "Evaluate"}, {"service": "gateway.Gateway", "method": "Endorse"},
		{"service": "gateway.Gateway", "method": "CommitStatus"}],
	"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// Dial opens the one connection that all clients of an organisation's peers share. rootCA is the PEM of the peers' TLS
// authority. Addresses are host:port, and each peer's certificate must name its host. Calls go to the first peer that
// can be reached, in the order given; when its connection breaks they go to the next one. A peer that hangs without
// closing its connection is given up after little more than a minute; until then calls end by their own deadline.
func Dial(address string, rootCA []byte, others ...string) (*grpc.ClientConn, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(rootCA) {
		return nil, fmt.Errorf("connect to peer %s: no certificate in the TLS authority's PEM", address)
	}
	var peers []resolver.Endpoint
	for _, a := range append([]string{address}, others...) {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("connect to peer %q: write its address as host:port", a)
		}
		peers = append(peers, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a, ServerName: a}}})
	}
	list := manual.NewBuilderWithScheme("peers")
	list.InitialState(resolver.State{Endpoints: peers})
	conn, err := grpc.NewClient("peers:///"+address,
		grpc.WithResolvers(list),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})),
		grpc.WithDefaultServiceConfig(again),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: answer}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to peer %s: %w", address, err)
	}
	return conn, nil
}
