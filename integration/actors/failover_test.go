package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// failOver gives an organisation a second peer and a gateway that knows both, and kills the first peer: reads and writes
// go on, and the gateway says that one of its peers is away.
func (s *stage) failOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the program of a running peer by /proc")
	}
	d, err := s.door("poetrysociety")
	require.NoError(t, err)
	_, material, err := s.state.Organization(d.org.MSPID)
	require.NoError(t, err)
	second := s.secondPeer(t, d.org, material)

	node := filepath.Join(s.dir, "nodes", d.org.GatewayNode())
	folder, address := filepath.Join(t.TempDir(), "gateway"), free(t)
	gateway, err := process.Start(process.Spec{Name: "the second gateway", Program: s.datanet, Dir: t.TempDir(), Log: filepath.Join(t.TempDir(), "log"),
		Args: []string{"gateway", "serve", "--config", filepath.Join(node, "gateway.yaml"), "--set", "folder=" + folder, "--set", "listen=" + address,
			"--set", "peer.addresses=" + d.org.PeerAddress() + "," + second, "--set", "sequencer.off=true"},
		Healthy: func(ctx context.Context) error { return healthy(ctx, d, "https://"+address) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gateway.Stop(10*time.Second)) })
	ctx, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	require.NoError(t, gateway.WaitHealthy(ctx))

	client, err := d.client(material.UserMSPDir("curator1"))
	require.NoError(t, err)
	client.Transport.(*http.Transport).DisableKeepAlives = false
	ask := func(method, path, key string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://"+address+path, strings.NewReader(map[bool]string{true: "{}"}[key != ""]))
		require.NoError(t, err)
		if key != "" {
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Idempotency-Key", key)
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	works := func(key string) {
		status, body := ask(http.MethodGet, "/v1/members?at=ledger", "")
		require.Equal(t, http.StatusOK, status, "%s", body)
		status, body = ask(http.MethodPost, "/v1/account/open", key)
		require.Equal(t, http.StatusOK, status, "%s", body)
	}
	peers := func() string {
		status, body := ask(http.MethodGet, "/readyz", "")
		var ready struct{ Peers json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(body), &ready))
		return fmt.Sprintf("%d %s", status, ready.Peers)
	}
	soon := func(want string) {
		require.Eventually(t, func() bool { return peers() == want }, answerLimit, 100*time.Millisecond, "%s, want %s", peers(), want)
	}
	soon(`200 {"configured":2,"reachable":2}`)
	works("before")

	first, err := s.process(d.org.PeerNode())
	require.NoError(t, err)
	require.NoError(t, first.Kill())
	works("after")
	soon(`200 {"configured":2,"reachable":1}`)
	works("later")
	require.NoError(t, s.untilWell())
	soon(`200 {"configured":2,"reachable":2}`)
	works("again")
}

func healthy(ctx context.Context, d *door, url string) error {
	client, err := d.client("")
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// free is an address that nobody listens on, below the ports that outgoing connections get.
func free(t *testing.T) string {
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if err == nil {
			require.NoError(t, listener.Close())
			return listener.Addr().String()
		}
	}
}

// certificates makes a peer's certificates once more, under the same authorities: two peers with one certificate would take
// each other for themselves.
func certificates(t *testing.T, org *network.Organization, material *pki.Organization) *pki.Organization {
	dir := t.TempDir()
	for _, authority := range []string{"ca", "tlsca"} {
		entries, err := os.ReadDir(filepath.Join(material.Dir, authority))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, org.Name, authority), 0o700))
		for _, e := range entries {
			content, err := os.ReadFile(filepath.Join(material.Dir, authority, e.Name()))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, org.Name, authority, e.Name()), content, 0o600))
		}
	}
	made, err := pki.EnsureOrganization(dir, org)
	require.NoError(t, err)
	return made
}

// secondPeer starts another peer of an organisation beside the one of the network, and has it join. It answers at the
// address that is returned.
func (s *stage) secondPeer(t *testing.T, org *network.Organization, material *pki.Organization) (address string) {
	running, err := s.process(org.PeerNode())
	require.NoError(t, err)
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", running.Pid))
	require.NoError(t, err)
	home := t.TempDir()
	address = free(t)
	original := filepath.Join(s.dir, "nodes", org.PeerNode())
	settings, err := os.ReadFile(filepath.Join(original, "core.yaml"))
	require.NoError(t, err)
	own := certificates(t, org, material)
	for _, replaced := range [][2]string{
		{org.PeerAddress(), address},
		{"bootstrap: " + address, "bootstrap: " + org.PeerAddress()},
		{material.Peer().MSPDir, own.Peer().MSPDir},
		{material.Peer().TLS.CertFile, own.Peer().TLS.CertFile},
		{material.Peer().TLS.KeyFile, own.Peer().TLS.KeyFile},
		{network.HostPort(org.Peer.Host, org.Peer.ChaincodePort), free(t)},
		{network.HostPort(org.Peer.Host, org.Peer.OperationsPort), free(t)},
		{filepath.Join(original, "data"), filepath.Join(home, "data")},
	} {
		require.Contains(t, string(settings), replaced[0])
		settings = []byte(strings.ReplaceAll(string(settings), replaced[0], replaced[1]))
	}
	require.NoError(t, os.WriteFile(filepath.Join(home, "core.yaml"), settings, 0o600))
	peer, err := process.Start(process.Spec{Name: "the second peer", Program: program, Args: []string{"node", "start"}, Dir: home, Log: filepath.Join(home, "log"),
		Env: []string{"FABRIC_CFG_PATH=" + home, "TMPDIR=" + home, "FABRIC_LOGGING_SPEC=warning:kvledger=info"}, Healthy: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				err = conn.Close()
			}
			return err
		}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, peer.Stop(20*time.Second))
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(home, "log"))
			t.Logf("%s\n%v", log[max(0, len(log)-8_000):], err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	require.NoError(t, peer.WaitHealthy(ctx))

	admin, err := material.Admin()
	require.NoError(t, err)
	conn, err := lifecycle.Dial(address, material.TLSCA.PEM)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	genesis, err := s.state.Genesis()
	require.NoError(t, err)
	joining := lifecycle.NewPeer(conn, admin)
	require.NoError(t, joining.Join(ctx, genesis))
	files := material.ChaincodeClientTLS()
	certificate, err := files.PEM()
	require.NoError(t, err)
	key, err := os.ReadFile(files.KeyFile)
	require.NoError(t, err)
	chaincode := s.state.Topology().Chaincode
	pkg, err := lifecycle.NewPackage(fmt.Sprintf("%s_%s_%d", chaincode.Name, chaincode.Version, chaincode.Sequence), lifecycle.Connection{
		Address: org.ChaincodeAddress(), DialTimeout: 3 * time.Second, ClientCert: certificate, ClientKey: key, RootCert: material.TLSCA.PEM})
	require.NoError(t, err)
	require.NoError(t, joining.Install(ctx, pkg))
	beside, err := lifecycle.Dial(org.PeerAddress(), material.TLSCA.PEM)
	require.NoError(t, err)
	defer func() { require.NoError(t, beside.Close()) }()
	height, _, err := lifecycle.NewPeer(beside, admin).Height(ctx, s.state.Topology().Channel)
	require.NoError(t, err)
	for reached := uint64(0); reached < height; {
		reached, _, err = joining.Height(ctx, s.state.Topology().Channel)
		require.NoError(t, ctx.Err(), "%d of %d blocks, %v", reached, height, err)
	}
	return address
}
