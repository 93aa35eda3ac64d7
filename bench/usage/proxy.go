package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"time"

	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/integration/market"
	"github.com/datanet-consortium/datanet/network"
)

// hops are two bare reverse proxies of net/http in place of the two gateways: TLS from the client to the first, mutual TLS
// to the second, plain HTTP to the server behind the model. They do nothing but pass on, so they show what is the price of
// the hops.
type hops struct {
	address string
	servers []*http.Server
}

func (b *site) bareHops() (_ *hops, err error) {
	h := new(hops)
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	far, err := h.serve(b, market.Owner, true, &url.URL{Scheme: "http", Host: b.upstream.Addr().String()}, &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true})
	if err != nil {
		return nil, err
	}
	_, material, err := b.Network.State().Organization(market.Consumer)
	if err != nil {
		return nil, err
	}
	folder := material.UserMSPDir(network.GatewayUser)
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "signcerts", "cert.pem"), filepath.Join(folder, "keystore", "key.pem"))
	if err != nil {
		return nil, err
	}
	path, err := b.Authority(market.Owner)
	if err != nil {
		return nil, err
	}
	roots, err := client.ReadRoots(path)
	if err != nil {
		return nil, err
	}
	between := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}},
		MaxIdleConnsPerHost: 1024, DisableCompression: true}
	h.address, err = h.serve(b, market.Consumer, false, &url.URL{Scheme: "https", Host: far}, between)
	return h, err
}

// serve passes requests on from an address with the certificate of a member's gateway.
func (h *hops) serve(b *site, msp string, mutual bool, to *url.URL, by http.RoundTripper) (address string, err error) {
	_, material, err := b.Network.State().Organization(msp)
	if err != nil {
		return "", err
	}
	certificate, err := tls.LoadX509KeyPair(material.GatewayTLS().CertFile, material.GatewayTLS().KeyFile)
	if err != nil {
		return "", err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}
	if mutual {
		_, other, err := b.Network.State().Organization(market.Consumer)
		if err != nil {
			return "", err
		}
		if config.ClientCAs, err = client.ReadRoots(other.CACertFile()); err != nil {
			return "", err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{Transport: by, ErrorLog: quiet, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	h.servers = append(h.servers, server)
	go func() { _ = server.Serve(tls.NewListener(listener, config)) }() // which close ends
	return listener.Addr().String(), nil
}

func (h *hops) close() error {
	var faults []error
	for _, s := range h.servers {
		faults = append(faults, s.Shutdown(context.Background()))
	}
	return errors.Join(faults...)
}
