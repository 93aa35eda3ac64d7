// Package lifecycle brings a described consortium to life through the APIs of
// its nodes: orderers and peers join the channel, peers install the chaincode
// package, organisations approve the chaincode definition, one of them commits
// it, and the channel's configuration is read and updated.
//
// Every call may be repeated: what is done already counts as done. So a
// program that was interrupted anywhere simply starts again, and a call whose
// answer was lost is made once more.
package lifecycle

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// maxMessageBytes is what nodes accept from each other. The default of a Go
// client, 4 MB, is less than a large block.
const maxMessageBytes = 100 << 20

// Dial prepares a connection to a node whose certificate one of the
// authorities, in PEM, must have issued. It connects on first use.
func Dial(address string, authorities ...[]byte) (*grpc.ClientConn, error) {
	config, err := clientTLS(authorities)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
}

func clientTLS(authorities [][]byte) (*tls.Config, error) {
	roots := x509.NewCertPool()
	for _, pem := range authorities {
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("a TLS authority is not a PEM certificate")
		}
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, nil
}
