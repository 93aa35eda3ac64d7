package story

import (
	"encoding/hex"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/config"
)

// TestStoriesAreAudited verifies what each story leaves on the in-memory ledger, as an auditor does with a bundle. What
// parties try against each other never gets into the state, so there is nothing to find.
func TestStoriesAreAudited(t *testing.T) {
	for _, script := range scripts(t) {
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			var blocks []*common.Block
			n, err := verifytest.New(t.TempDir(), string(config.BFT), nil, "RegulatorMSP", func(b *common.Block) { blocks = append(blocks, b) })
			require.NoError(t, err)
			backend, err := NewMemory(n.Topology, func(c *memledger.Config) {
				signed := n.Config()
				c.First, c.Name, c.Committed = signed.First, signed.Name, signed.Committed
			})
			require.NoError(t, err)
			require.NoError(t, script.Run(t.Context(), backend, Setting{Members: n.Topology.MemberMSPIDs()}))

			genesis := protoutil.BlockHeaderHash(blocks[0].GetHeader())
			dir := t.TempDir()
			w, err := bundle.Create(dir, bundle.Manifest{Channel: n.Topology.Channel, Chaincode: n.Topology.Chaincode.Name, Genesis: hex.EncodeToString(genesis), Unproved: []string{}})
			require.NoError(t, err)
			for _, b := range blocks {
				require.NoError(t, w.Append(b))
			}
			require.NoError(t, w.Close())
			r, err := bundle.Open(dir)
			require.NoError(t, err)
			defer r.Close()
			report, err := verify.Run(t.Context(), r, verify.Options{Genesis: [32]byte(genesis)})
			require.NoError(t, err)
			require.EqualValues(t, len(blocks), report.Height)
			require.Empty(t, report.Worst(), "%v", report.Findings)
		})
	}
}
