//go:build linux || darwin

package demo

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
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
