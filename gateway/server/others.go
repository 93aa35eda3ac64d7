package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// others are the gateways of other organisations.
type others struct {
	hosts                       // shows them the gateway's own identity
	addresses map[string]string // their base URLs by MSP ID
}

// hosts sends each request over the transport of its host: each organisation's TLS authority vouches for its own gateway
// and for no other.
type hosts map[string]*http.Transport

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, known := h[r.URL.Host]
	if !known {
		return nil, fmt.Errorf("%s is the gateway of no organisation", r.URL.Host)
	}
	return transport.RoundTrip(r)
}

func (h hosts) CloseIdleConnections() {
	for _, transport := range h {
		transport.CloseIdleConnections()
	}
}

// openOthers connects to nobody yet.
func (s *Server) openOthers() error {
	s.others = others{hosts{}, map[string]string{}}
	s.closeLater(func() error { s.others.CloseIdleConnections(); return nil })
	for _, o := range s.config.Organisations {
		if o.Gateway == "" || o.MSPID == s.config.Organisation {
			continue
		}
		shown, err := s.toGateway(o)
		if err != nil {
			return err
		}
		s.others.hosts[o.Gateway] = &http.Transport{
			TLSClientConfig: shown, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headersTimeout, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
		}
		s.others.addresses[o.MSPID] = "https://" + o.Gateway
	}
	return nil
}

// client calls other gateways, and goes nowhere that they send it.
func (o others) client() *http.Client {
	return &http.Client{Transport: o, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// toGateway is how this gateway speaks to that of another organisation: under its TLS authority, with the own identity.
func (s *Server) toGateway(o Organisation) (*tls.Config, error) {
	folder := s.config.Identity.Folder
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "signcerts", "cert.pem"), filepath.Join(folder, "keystore", "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the gateway's own identity: %w", err)
	}
	authority, err := os.ReadFile(o.TLSAuthority)
	if err != nil {
		return nil, fmt.Errorf("read the TLS authority of the gateway of %s: %w", o.MSPID, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("the TLS authority of the gateway of %s is no certificate", o.MSPID)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}}, nil
}
