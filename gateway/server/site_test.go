package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// site is the whole gateway of member A, with real certificates and TLS on both sides, before a network in memory.
type site struct {
	t          *testing.T
	consortium *rulestest.Consortium
	network    *fabrictest.Network
	org        *pki.Organization
	config     *Config
	server     *Server
	url        string
	roots      *x509.CertPool
	logs       *safeBuffer
	parties    map[ledger.Account]*fabric.Client // of everybody, straight to the network
}

// safeBuffer is a log that tests can read while it is written.
type safeBuffer struct {
	mutex sync.Mutex
	buf   bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buf.String()
}

// newSite starts a gateway. prepare brings onto the ledger what is to be there, before anything listens.
func newSite(t *testing.T, prepare func(*rulestest.Consortium), change func(*Config)) *site {
	s := &site{t: t, logs: &safeBuffer{}, parties: map[ledger.Account]*fabric.Client{}}
	chain := blocktest.New(fabrictest.Chaincode)
	s.consortium = rulestest.Watched(t, func(b *memledger.Block) { chain.Append(b) }, rulestest.A, rulestest.B, rulestest.C)
	if prepare != nil {
		prepare(s.consortium)
	}
	s.network = fabrictest.Start(t, s.consortium.Network)
	dir := t.TempDir()
	org := network.Organization{Name: "a", MSPID: rulestest.A}
	org.ApplyDefaults(network.MemberUsers)
	var err error
	s.org, err = pki.EnsureOrganization(filepath.Join(dir, "a"), &org)
	require.NoError(t, err)
	c := defaults()
	for _, user := range org.Users {
		id, err := s.org.User(user.Name)
		require.NoError(t, err)
		s.network.Admit(id.Credentials(), ledger.Caller{MSP: rulestest.A, Enrolment: user.Name, Roles: user.Roles})
		if user.Name != network.GatewayUser {
			c.Identity.Keep = append(c.Identity.Keep, s.org.UserMSPDir(user.Name))
		}
	}
	peer, err := tls.LoadX509KeyPair(s.org.Peer().TLS.CertFile, s.org.Peer().TLS.KeyFile)
	require.NoError(t, err)
	own := s.org.GatewayTLS()
	c.Organisation, c.Folder, c.Listen = rulestest.A, filepath.Join(dir, "gateway"), "127.0.0.1:0"
	c.TLS = TLS{Certificate: own.CertFile, Key: own.KeyFile}
	c.Peer = Peer{Addresses: []string{s.network.Listen(t, peer, chain)}, Authority: s.org.Peer().TLS.CAFile}
	c.Identity.Folder, c.Identity.Authority = s.org.UserMSPDir(network.GatewayUser), s.org.CADir()
	c.Organisations = []Organisation{{MSPID: rulestest.A, Authority: s.org.CACertFile()}}
	c.Content.MasterKey = filepath.Join(dir, "master-keys.json")
	c.Sequencer = Sequencer{Quiet: 10 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.validate())
	s.config = &c
	s.roots = x509.NewCertPool()
	require.True(t, s.roots.AppendCertsFromPEM(s.org.TLSCA.PEM))
	founded := uint64(len(chain.Blocks))
	s.run()
	require.NoError(t, s.server.index.WaitHeight(t.Context(), founded))
	anybody := s.client("")
	s.soon(func() bool { return s.send(anybody, http.MethodGet, "/readyz", "").status == http.StatusOK })
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	return s
}

func (s *site) run() {
	var err error
	s.server, err = New(s.t.Context(), s.config, "test", slog.New(slog.NewJSONHandler(s.logs, nil)))
	require.NoError(s.t, err)
	s.url = "https://" + s.server.Address()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		require.NoError(s.t, <-ended)
	})
}

// client calls with a person's certificate, "" with none. It makes a connection of its own.
func (s *site) client(name string) *http.Client {
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: s.roots}
	if name != "" {
		folder := s.org.UserMSPDir(name)
		own, err := tls.LoadX509KeyPair(filepath.Join(folder, "signcerts", "cert.pem"), filepath.Join(folder, "keystore", "key.pem"))
		require.NoError(s.t, err)
		config.Certificates = []tls.Certificate{own}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	problem rest.Problem
}

// send sends a request; headers are pairs.
func (s *site) send(c *http.Client, method, path, body string, headers ...string) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	a.body, err = io.ReadAll(response.Body)
	require.NoError(s.t, err)
	if response.StatusCode >= 400 {
		require.NoError(s.t, json.Unmarshal(a.body, &a.problem), "%s", a.body)
	}
	return a
}

// must calls a function as somebody of any organisation, past the gateway, and returns the height that shows what it wrote.
func (s *site) must(user ledger.Caller, function string, request any) (height uint64) {
	s.t.Helper()
	party := s.parties[user.Account()]
	if party == nil {
		party = s.network.Client(s.t, s.network.Enrol(s.t, user))
		s.parties[user.Account()] = party
	}
	for {
		committed, err := party.Submit(s.t.Context(), fabric.Call{Function: function, Request: request})
		if fabric.Again(err) { // the gateway did something at the same time
			continue
		}
		require.NoError(s.t, err)
		return committed.Block + 1
	}
}

// shown waits until the gateway's index has a height.
func (s *site) shown(height uint64) {
	s.t.Helper()
	require.NoError(s.t, s.server.index.WaitHeight(s.t.Context(), height))
}

// soon waits until something holds.
func (s *site) soon(holds func() bool) {
	s.t.Helper()
	require.Eventually(s.t, holds, 60*time.Second, 10*time.Millisecond)
}
