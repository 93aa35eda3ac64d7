//go:build linux || darwin

package testnetwork_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

func TestStartRefusesWhatCannotWork(t *testing.T) {
	skipShort(t)
	for claim, set := range map[string]func(t *testing.T, options *testnetwork.Options) (want string){
		"a port that another program has": func(t *testing.T, options *testnetwork.Options) string {
			stranger, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { stranger.Close() })
			port := stranger.Addr().(*net.TCPAddr).Port
			options.Topology.Members[0].Peer.Port = port
			return fmt.Sprintf("port %d, which is for the peer listener of peer.poetrysociety, cannot be used", port)
		},
		"a folder of something else": func(t *testing.T, options *testnetwork.Options) string {
			require.NoError(t, os.MkdirAll(options.Dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(options.Dir, "thesis.txt"), nil, 0o600))
			return "is not empty and not a state folder of a local network: choose another folder"
		},
		"a folder of another layout": func(t *testing.T, options *testnetwork.Options) string {
			stamp(t, options.Dir, `{"format":0,"fabric":"3.1.1"}`)
			return "holds a network of another version (layout 0 with Fabric 3.1.1"
		},
		"a folder of another Fabric release": func(t *testing.T, options *testnetwork.Options) string {
			stamp(t, options.Dir, `{"format":1,"fabric":"2.5.0"}`)
			return "holds a network of another version (layout 1 with Fabric 2.5.0, this program has layout 2 with Fabric 3.1.1): remove it with"
		},
		"a damaged folder": func(t *testing.T, options *testnetwork.Options) string {
			stamp(t, options.Dir, `{"format":`)
			return "is damaged"
		},
		"damaged ports": func(t *testing.T, options *testnetwork.Options) string {
			require.NoError(t, testnetwork.Prepare(options.Dir))
			require.NoError(t, os.WriteFile(filepath.Join(options.Dir, "ports.json"), []byte(`{"peer.ailab/peer":70000}`), 0o600))
			return "peer.ailab/peer: 70000 is not a port"
		},
		"nothing to resume": func(_ *testing.T, options *testnetwork.Options) string {
			options.Topology = nil
			return "there is no local network in"
		},
		"a first definition that is not the first": func(_ *testing.T, options *testnetwork.Options) string {
			options.Topology.Chaincode.Sequence = 2
			return "chaincode.sequence: a new network begins with 1"
		},
		"a chaincode program that does not exist": func(_ *testing.T, options *testnetwork.Options) string {
			options.Chaincode += "-absent"
			return "find the program of the chaincode of PoetrySocietyMSP"
		},
		"a builder that is no program": func(_ *testing.T, options *testnetwork.Options) string {
			options.Builder = filepath.Dir(options.Builder)
			return "the external builder, is not an executable file"
		},
	} {
		t.Run(claim, func(t *testing.T) {
			options := options(t, config.BFT)
			want := set(t, &options)
			_, err := testnetwork.Start(t.Context(), options)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestProgramThatEndsAtOnceFailsTheStartWithTheEndOfItsLog(t *testing.T) {
	skipShort(t)
	options := options(t, config.Raft)
	options.Chaincode = filepath.Join(t.TempDir(), "failing")
	require.NoError(t, os.WriteFile(options.Chaincode, []byte("#!/bin/sh\necho no memory >&2\nexit 9\n"), 0o700))
	_, err := testnetwork.Start(t.Context(), options)
	var exit *process.ExitError
	require.ErrorAs(t, err, &exit)
	require.ErrorContains(t, err, "no memory")
}

func TestAnotherTopologyIsNotTakenForTheFoundedOne(t *testing.T) {
	skipShort(t)
	first := options(t, config.BFT)
	first.Chaincode += "-absent"
	_, err := testnetwork.Start(t.Context(), first)
	require.ErrorContains(t, err, "-absent")

	second := options(t, config.Raft)
	second.Dir = first.Dir
	_, err = testnetwork.Start(t.Context(), second)
	require.ErrorContains(t, err, "was founded with another topology")
	require.ErrorContains(t, testnetwork.Check(first.Dir, second.Topology), "was founded with another topology")
	require.NoError(t, testnetwork.Check(first.Dir, first.Topology))
}

func TestExpiredCertificateStopsTheStartUntilItIsRenewed(t *testing.T) {
	skipShort(t)
	options := options(t, config.Raft)
	require.NoError(t, testnetwork.Prepare(options.Dir))
	material, err := pki.Ensure(filepath.Join(options.Dir, "crypto"), options.Topology)
	require.NoError(t, err)
	org, err := material.Organization(lab)
	require.NoError(t, err)
	expire(t, org.Peer().TLS)

	_, err = testnetwork.Start(t.Context(), options)
	var expired *pki.ExpiredError
	require.ErrorAs(t, err, &expired)
	require.ErrorContains(t, err, "the tls certificate of peer.ailab.example in ailab expired on")
	require.ErrorContains(t, err, `run "datanet network renew"`)

	renewed, err := testnetwork.Renew(options.Dir)
	require.NoError(t, err)
	require.Positive(t, renewed)
	n := start(t, options)
	put(t, n, lab, "line", "renewed")

	_, err = testnetwork.Renew(options.Dir)
	require.ErrorContains(t, err, "is run by process", "certificates are not renewed under running nodes")
	require.NoError(t, n.Stop())
	_, err = testnetwork.Renew(options.Dir)
	require.NoError(t, err)
	n = start(t, options)
	expect(t, n, lab, "renewed", "get", "line")
	put(t, n, poets, "line", "renewed twice, with other chaincode packages")
}

func TestInterruptedUpgradeIsSettledByWhatPeersHaveInForce(t *testing.T) {
	skipShort(t)
	options := options(t, config.Raft)
	n := start(t, options)
	put(t, n, poets, "line", "x")
	require.NoError(t, n.Stop())

	announcement := filepath.Join(options.Dir, "upgrading.json")
	announce := func() {
		require.NoError(t, os.WriteFile(announcement, []byte(`{"Name":"datanet","Version":"2.0","Sequence":2}`), 0o600))
	}
	announce()
	n = start(t, options)
	require.Equal(t, int64(1), n.State().Topology().Chaincode.Sequence, "it was not committed")
	require.NoFileExists(t, announcement)
	expect(t, n, poets, "1.0", "version", "")
	before := filepath.Join(options.Dir, "current.yaml")
	old, err := os.ReadFile(before)
	require.NoError(t, err)
	require.NoError(t, n.Upgrade(t.Context(), "2.0", 2, options.Chaincode+"2"))
	require.NoError(t, n.Stop())

	// As if the process had been killed between the commit and the note of it.
	require.NoError(t, os.WriteFile(before, old, 0o600))
	announce()
	options.Chaincode += "2"
	n = start(t, options)
	require.Equal(t, int64(2), n.State().Topology().Chaincode.Sequence, "it was committed")
	require.NoFileExists(t, announcement)
	expect(t, n, poets, "2.0", "version", "")
	put(t, n, lab, "line", "y")
}

func TestCleanRemovesOnlyStateFolders(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "thesis.txt"), nil, 0o600))
	var none *testnetwork.NoNetworkError
	require.ErrorAs(t, testnetwork.Clean(folder), &none)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "version"), []byte("1.2.3"), 0o600))
	require.ErrorContains(t, testnetwork.Clean(folder), "does not look like a state folder")
	require.FileExists(t, filepath.Join(folder, "thesis.txt"))

	other := filepath.Join(t.TempDir(), "other")
	stamp(t, other, `{"format":7,"fabric":"9.0.0"}`)
	require.NoError(t, testnetwork.Clean(other), "a folder of another version can be removed")
	require.NoDirExists(t, other)
}

func stamp(t *testing.T, dir, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "version"), []byte(content), 0o600))
}

// expire replaces a TLS certificate by the same one with an end in the past.
func expire(t *testing.T, files pki.TLS) {
	t.Helper()
	authority := filepath.Join(filepath.Dir(files.CAFile), "..", "..", "tlsca")
	issuer, key := decode(t, filepath.Join(authority, "cert.pem")), decode(t, filepath.Join(authority, "key.pem"))
	parent, err := x509.ParseCertificate(issuer)
	require.NoError(t, err)
	signer, err := x509.ParsePKCS8PrivateKey(key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(decode(t, files.CertFile))
	require.NoError(t, err)
	certificate.NotAfter = certificate.NotBefore.Add(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, certificate.PublicKey, signer)
	require.NoError(t, err)
	var encoded bytes.Buffer
	require.NoError(t, pem.Encode(&encoded, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	require.NoError(t, os.WriteFile(files.CertFile, encoded.Bytes(), 0o644))
}

func decode(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	block, _ := pem.Decode(content)
	require.NotNil(t, block, path)
	return block.Bytes
}
