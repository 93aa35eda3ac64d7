package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// connection is how a peer reaches a chaincode process, in the form that Fabric reads.
type connection struct {
	// Address is host:port.
	Address string `json:"address"`
	// Domain is the name in the server's certificate, if it is not the host of Address.
	Domain string `json:"domain"`
	// DialTimeout is a Go duration; empty means Fabric's default of three seconds.
	DialTimeout string `json:"dial_timeout"`
	// TLSRequired and ClientAuthRequired must both be true.
	TLSRequired        bool `json:"tls_required"`
	ClientAuthRequired bool `json:"client_auth_required"`
	// ClientKey and ClientCert are the PEM blocks with which the peer shows itself to the chaincode.
	ClientKey  string `json:"client_key"`
	ClientCert string `json:"client_cert"`
	// RootCert is the PEM block of the authority that issued the chaincode's certificate.
	RootCert string `json:"root_cert"`
}

// check refuses connection settings with which the peer could not reach the chaincode, or would reach it without TLS
// and client authentication. Found out here, a mistake fails the installation instead of the first transaction.
func check(content []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	var found connection
	if err := decoder.Decode(&found); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the JSON object")
	}
	host, port, err := net.SplitHostPort(found.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 || host == "" {
		return fmt.Errorf("address: %q is not a host and a port", found.Address)
	}
	if found.DialTimeout != "" {
		if timeout, err := time.ParseDuration(found.DialTimeout); err != nil || timeout <= 0 {
			return fmt.Errorf("dial_timeout: %q is not a time to wait, such as \"3s\"", found.DialTimeout)
		}
	}
	if !found.TLSRequired {
		return errors.New("tls_required: must be true, the peer refuses to talk to chaincode in the clear")
	}
	if !found.ClientAuthRequired {
		return errors.New("client_auth_required: must be true, otherwise anyone could pose as the peer")
	}
	if _, err := tls.X509KeyPair([]byte(found.ClientCert), []byte(found.ClientKey)); err != nil {
		return fmt.Errorf("client_cert and client_key: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(found.RootCert)) {
		return errors.New("root_cert: holds no certificate in PEM form")
	}
	return nil
}
