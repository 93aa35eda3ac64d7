package testnetwork

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	"github.com/datanet-consortium/datanet/test-network/settings"
)

// longestMetrics bounds in bytes what is read of a node's metrics.
const longestMetrics = 4 << 20

// operations calls the operations listener of a node as its organisation's administrator.
type operations struct {
	address string
	client  *http.Client
}

func (s *State) operations(mspID, address string) (*operations, error) {
	material, err := s.material.Organization(mspID)
	if err != nil {
		return nil, err
	}
	configuration, err := clientTLS(material.AdminTLS())
	if err != nil {
		return nil, fmt.Errorf("prepare calls to the operations listener at %s: %w", address, err)
	}
	transport := &http.Transport{TLSClientConfig: configuration, DisableKeepAlives: true}
	return &operations{address: address, client: &http.Client{Timeout: askLimit, Transport: transport}}, nil
}

// get calls a path and gives the body of a good answer to read.
func (o *operations) get(ctx context.Context, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+o.address+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	answer, err := o.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is answered with %s", path, answer.Status)
	}
	return read(io.LimitReader(answer.Body, longestMetrics))
}

// healthCheck asks a peer or orderer for its health and then for the listener that it opens last: the health service
// answers before the others do.
func (s *State) healthCheck(own settings.Node, last string) (func(context.Context) error, error) {
	node, err := s.operations(own.MSPID, own.Operations)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := node.get(ctx, "/healthz", func(io.Reader) error { return nil }); err != nil {
			return err
		}
		return accepts(ctx, last)
	}, nil
}

// leads tells whether an operator's orderer leads the ordering of the channel.
func (s *State) leads(ctx context.Context, operator *network.Operator) (leads bool, err error) {
	node, err := s.operations(operator.MSPID, network.HostPort(operator.Orderer.Host, operator.Orderer.OperationsPort))
	if err != nil {
		return false, err
	}
	err = node.get(ctx, "/metrics", func(body io.Reader) error {
		leads, err = leading(body, s.topology.Channel)
		return err
	})
	return leads, err
}

// leading finds in an orderer's metrics whether it leads, under Raft or BFT.
func leading(metrics io.Reader, channel string) (bool, error) {
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if strings.HasSuffix(name, `_is_leader{channel="`+channel+`"}`) && value == "1" {
			return true, nil
		}
	}
	return false, lines.Err()
}

// awaitLeader waits until the ordering service has a leader. Under Raft it takes no transactions before.
func (s *State) awaitLeader(ctx context.Context) error {
	return poll(ctx, func() error {
		var faults []error
		for i := range s.topology.Ordering.Operators {
			leads, err := s.leads(ctx, &s.topology.Ordering.Operators[i])
			if leads {
				return nil
			}
			faults = append(faults, err)
		}
		return fmt.Errorf("the ordering service has no leader: %w", errors.Join(faults...))
	})
}

// clientTLS is the client side of a connection to a listener of the same organisation that asks for a certificate.
func clientTLS(files pki.TLS) (*tls.Config, error) {
	certificate, err := files.Certificate()
	if err != nil {
		return nil, fmt.Errorf("load the TLS client certificate: %w", err)
	}
	authority, err := readFile(files.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", files.CAFile)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
