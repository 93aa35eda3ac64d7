package verifier_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/config"
)

// python finds an interpreter that has what the verifier needs. The one on the PATH may be another than the system's, for which
// Debian packages are.
func python(t *testing.T) string {
	var failures []error
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(name, "-c", "import sys, cryptography; assert sys.version_info >= (3, 9)").CombinedOutput()
		if err == nil {
			return name
		}
		failures = append(failures, fmt.Errorf("%s: %w: %s", name, err, out))
	}
	const needed = "the verifier needs Python 3.9 and its package cryptography (apt-get install python3-cryptography): %v"
	if os.Getenv("CI") != "" {
		t.Fatalf(needed, errors.Join(failures...))
	}
	t.Skipf(needed, errors.Join(failures...))
	return ""
}

// tell gives the ledger of the story of audits: votes, releases, payments, a spend that lost against another.
func tell(t *testing.T, topology []byte) []*common.Block {
	var blocks []*common.Block
	n, err := verifytest.New(filepath.Join(t.TempDir(), "keys"), string(topology), []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator,
		func(b *common.Block) { blocks = append(blocks, b) })
	require.NoError(t, err)
	questiontest.TellOn(t, rulestest.On(t, n.Config()))
	return blocks
}

// verify writes blocks to a bundle and has it verified: what was printed, and the exit code.
func verify(t *testing.T, python string, genesis []byte, blocks []*common.Block) (string, int) {
	dir := filepath.Join(t.TempDir(), "bundle")
	w, err := bundle.Create(dir, bundle.Manifest{Channel: "datanet", Chaincode: "datanet", Genesis: hex.EncodeToString(genesis)})
	require.NoError(t, err)
	for _, b := range blocks {
		require.NoError(t, w.Append(b))
	}
	require.NoError(t, w.Close())
	c := exec.Command(python, "-B", "verify.py", dir, hex.EncodeToString(genesis))
	out, err := c.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		require.NoError(t, err)
	}
	return string(out), c.ProcessState.ExitCode()
}

const (
	signatures = common.BlockMetadataIndex_SIGNATURES
	verdicts   = common.BlockMetadataIndex_TRANSACTIONS_FILTER
	commitHash = common.BlockMetadataIndex_COMMIT_HASH
)

// forgeries change one block, and name the finding.
var forgeries = map[string]struct {
	rule   string
	change func(b *common.Block)
}{
	"a byte of a transaction":      {"data-hash", func(b *common.Block) { flip(b.Data.Data[0]) }},
	"a byte of a link":             {"chain", func(b *common.Block) { flip(b.Header.PreviousHash) }},
	"a header that nobody signed":  {"orderer-signatures", func(b *common.Block) { flip(b.Header.DataHash) }},
	"a byte of the orderers' part": {"orderer-signatures", func(b *common.Block) { b.Metadata.Metadata[signatures][3] ^= 1 }},
	"a verdict": {"verdict", func(b *common.Block) {
		b.Metadata.Metadata[verdicts][0] ^= byte(peer.TxValidationCode_MVCC_READ_CONFLICT)
	}},
	"a verdict too many":          {"form", func(b *common.Block) { b.Metadata.Metadata[verdicts] = append(b.Metadata.Metadata[verdicts], 0) }},
	"a byte of a commit hash":     {"commit-hash", func(b *common.Block) { flip(b.Metadata.Metadata[commitHash]) }},
	"a field that nothing covers": {"form", func(b *common.Block) { b.ProtoReflect().SetUnknown([]byte{0x78, 1}) }},
	"a number of eleven bytes": {"form", func(b *common.Block) {
		long := append(bytes.Repeat([]byte{0x80}, 10), 1)
		b.Metadata.Metadata[signatures] = append(append(b.Metadata.Metadata[signatures], 0x78), long...)
	}},
	"an envelope with a second end": {"form", func(b *common.Block) { b.Data.Data[0] = append(b.Data.Data[0], 0x78, 1) }},
}

func flip(data []byte) { data[len(data)/2] ^= 1 }

func TestBundlesAreVerifiedByCodeThatSharesNothingWithOurs(t *testing.T) {
	interpreter := python(t)
	for name, topology := range map[string][]byte{"bft": config.BFT, "raft": config.Raft} {
		t.Run(name, func(t *testing.T) {
			blocks := tell(t, topology)
			genesis := protoutil.BlockHeaderHash(blocks[0].Header)
			transactions := 0
			for _, b := range blocks {
				transactions += len(b.Data.Data)
			}
			out, code := verify(t, interpreter, genesis, blocks)
			require.Zero(t, code, out)
			require.True(t, strings.HasPrefix(out, fmt.Sprintf("%d blocks, %d transactions, ", len(blocks), transactions)), out)

			other := append([]byte{}, genesis...)
			flip(other)
			out, code = verify(t, interpreter, other, blocks[:1])
			require.Equal(t, 12, code)
			require.Contains(t, out, "forged: genesis: block 0")

			for claim, forgery := range forgeries {
				t.Run(claim, func(t *testing.T) {
					at := len(blocks) / 4
					forged := append([]*common.Block{}, blocks[:at+1]...)
					forged[at] = proto.Clone(blocks[at]).(*common.Block)
					forgery.change(forged[at])
					out, code := verify(t, interpreter, genesis, forged)
					require.Equal(t, 12, code, out)
					require.Contains(t, out, fmt.Sprintf("forged: %s: block %d", forgery.rule, at))
				})
			}
		})
	}
}
