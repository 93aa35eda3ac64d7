//go:build linux || darwin

package demo

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/examples"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func TestMain(m *testing.M) {
	flogging.ActivateSpec("error") // Fabric's packages log every connection otherwise
	os.Exit(m.Run())
}

// TestTell tells the story on a real network, in the order in which its parts build on each other.
func TestTell(t *testing.T) {
	options := start(t)
	tell := func(t *testing.T) string {
		var out bytes.Buffer
		options.Out = narration.New(&out, false, false)
		err := Tell(t.Context(), options)
		require.NoError(t, err, "%s", &out)
		return out.String()
	}

	t.Run("every check holds", func(t *testing.T) {
		out := tell(t)
		require.Contains(t, out, "in other letters, is refused: its fingerprint")
		require.Contains(t, out, "The copy is rejected: ")
		require.Contains(t, out, "On each of 4 peers: issued = accounts + pools + sessions + claims + escrow + redeemed, over all 19 accounts")
	})
	t.Run("a second telling uses the same accounts and a datanet of its own", func(t *testing.T) {
		out := tell(t)
		require.Contains(t, out, "PoetrySocietyMSP/persian-poetry-2 is a new datanet")
		require.Contains(t, out, "over all 19 accounts")
		require.Contains(t, out, "400.000000")
	})
	t.Run("only its owner may read the archive", func(t *testing.T) {
		require.NoError(t, filepath.WalkDir(options.Folder, func(path string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := entry.Info()
			require.NoError(t, err)
			if filepath.Base(path) != "cert.pem" { // certificates are for everybody; none gets so far
				require.Zero(t, info.Mode().Perm()&0o077, path)
			}
			return nil
		}))
	})
	t.Run("the command line takes the ledger out too, and finds what is changed then", func(t *testing.T) { takeOut(t, options) })
	t.Run("a forgery that the network accepts ends the story", func(t *testing.T) {
		s := gathered(t, options)
		proposed, err := guarded[proposal.Proposal](t.Context(), s, s.proposer, propose(mint(t, s)),
			forgery{"endorsed by a majority, so no forgery", s.members[:2]})
		require.ErrorContains(t, err, "the network accepted the forgery", "%v", proposed)
	})
	t.Run("one that fails for another reason does too", func(t *testing.T) {
		s := gathered(t, options)
		_, err := guarded[proposal.Proposal](t.Context(), s, s.reader, propose(mint(t, s)), forgery{"by a consumer", s.members[:1]})
		require.ErrorContains(t, err, "should have been invalid by ENDORSEMENT_POLICY_FAILURE")
	})
	t.Run("two cannot tell it at once", func(t *testing.T) {
		held, err := openArchive(options.Folder)
		require.NoError(t, err)
		defer held.close()
		require.ErrorContains(t, Tell(t.Context(), options), "being told on this network already")
	})
}

// takeOut exports and verifies by the program, as the regulator and as a member without a right to contents.
func takeOut(t *testing.T, options Options) {
	dir := filepath.Dir(options.Folder)
	genesis, err := options.Network.Genesis()
	require.NoError(t, err)
	datanet := func(code int, arguments ...string) string {
		command := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "datanet"), append([]string{"audit"}, arguments...)...)
		out, err := command.CombinedOutput()
		require.Equal(t, code, command.ProcessState.ExitCode(), "%s %v", out, err)
		return string(out)
	}
	known := []string{"--genesis", hex.EncodeToString(protoutil.BlockHeaderHash(genesis.GetHeader()))}
	verify := func(code int, folder string) string {
		return datanet(code, append([]string{"verify", folder}, known...)...)
	}
	folder, packed := filepath.Join(dir, "taken"), filepath.Join(dir, "taken.tar")
	export := []string{"export", folder, "--dir", filepath.Join(dir, "network"), "--contents", "--texts", filepath.Join(options.Folder, "handed-over")}
	require.Contains(t, datanet(0, export...), "2 settlements of 48 uses with their receipts, 48 with a text; 2 snapshots; 24 contents")
	require.NotContains(t, datanet(0, append(export, "--file", packed)...), "not given", "the same again adds what is new")
	for _, bundle := range []string{folder, packed} {
		out := verify(0, bundle)
		require.Contains(t, out, "no finding")
		require.Contains(t, out, "receipts held against leaf and model: 48, computed again from texts and contents: 48")
		// One vote decides here. A second attestor's comes before the decision or not at all.
		require.Regexp(t, "attestors' tables that follow from receipts: [234]\n", out)
	}
	settled, err := filepath.Glob(filepath.Join(folder, "settlement-*"))
	require.NoError(t, err)
	data, err := os.ReadFile(settled[0])
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(settled[0], data, 0o600))
	require.Contains(t, verify(12, folder), "its digest is")

	out := datanet(14, "export", filepath.Join(dir, "lab"), "--dir", filepath.Join(dir, "network"), "--org", "AILabMSP", "--contents")
	require.Contains(t, out, "0 contents")
	require.Contains(t, out, "not given: content")
	require.Contains(t, out, "no content at all")
	require.Contains(t, verify(0, filepath.Join(dir, "lab")), "48 receipts not computed again: no text was handed over")

	// From anywhere, by the peer's address and a member's own identity.
	own := options.Network.Topology().Members[0]
	material, err := options.Network.Material().Organization(own.MSPID)
	require.NoError(t, err)
	elsewhere := []string{"export", filepath.Join(dir, "elsewhere"), "--peer", own.PeerAddress(), "--org", own.MSPID, "--peer-ca", material.Peer().TLS.CAFile,
		"--identity", material.UserMSPDir("operator1"), "--gateway", "https://" + own.GatewayAddress(), "--ca", material.GatewayTLS().CAFile, "--receipts"}
	require.Contains(t, datanet(0, elsewhere...), "2 settlements of 48 uses with their receipts")
	require.Contains(t, verify(0, filepath.Join(dir, "elsewhere")), "no finding")
	elsewhere[1], elsewhere[5] = filepath.Join(dir, "stranger"), "NobodyMSP"
	require.Contains(t, datanet(1, elsewhere...), "ask for the height")

	// A range, with the state before it and without.
	ranged, bare := filepath.Join(dir, "range"), filepath.Join(dir, "bare")
	datanet(0, "export", ranged, "--dir", filepath.Join(dir, "network"), "--from", "60", "--receipts")
	out = verify(0, ranged)
	require.Contains(t, out, "that the state it begins with is what they left")
	require.Contains(t, out, "no finding")
	datanet(0, "export", bare, "--dir", filepath.Join(dir, "network"), "--from", "60", "--to", "70", "--state=false")
	out = verify(0, bare)
	require.Contains(t, out, "the rules were run again for 0")
	require.Contains(t, out, "policies of keys, conflicts, commit hashes, the rules and the conservation of credits")
}

// start brings up the local network and tells what to tell on it.
func start(t *testing.T) Options {
	if testing.Short() {
		t.Skip("starts a real network")
	}
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", "../../../chaincode", "../../../ccaas-builder", "../..").CombinedOutput()
	require.NoError(t, err, "%s", out)
	topology, err := network.Parse(bytes.NewReader(config.BFT), "local-bft.yaml")
	require.NoError(t, err)
	n, err := testnetwork.Start(t.Context(), testnetwork.Options{Dir: filepath.Join(dir, "network"), Topology: topology,
		Chaincode: filepath.Join(dir, "bin", "chaincode"), Builder: filepath.Join(dir, "bin", "ccaas-builder"),
		Gateway: filepath.Join(dir, "bin", "datanet")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	poems, err := corpus.Read(examples.PersianPoetry())
	require.NoError(t, err)
	return Options{Network: n.State(), Folder: filepath.Join(dir, "demo"), Subject: "persian-poetry", Corpus: poems, Seed: 1}
}

// gathered is a story whose cast is there and which has not begun.
func gathered(t *testing.T, options Options) *Story {
	options.Out = narration.New(new(bytes.Buffer), false, false)
	s := &Story{Options: options}
	var err error
	s.archive, err = openArchive(options.Folder)
	require.NoError(t, err)
	require.NoError(t, s.gather())
	_, err = s.invite(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.cast.close()) })
	t.Cleanup(func() { require.NoError(t, s.archive.close()) })
	return s
}

// mint is a proposal that could be made.
func mint(t *testing.T, s *Story) proposal.Content {
	params, err := ledger.Encode(token.Mint{To: s.reader.account, Amount: credit})
	require.NoError(t, err)
	return proposal.Content{ID: client.NewID(), Kind: "token.mint", Params: params, Expires: time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)}
}
