package verify

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/config"
)

func TestAMarketGivesNoFinding(t *testing.T) {
	for name, topology := range map[string][]byte{"bft": config.BFT, "raft": config.Raft} {
		t.Run(name, func(t *testing.T) {
			var blocks []*common.Block
			n, err := verifytest.New(t.TempDir(), string(topology), []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator,
				func(b *common.Block) { blocks = append(blocks, b) })
			require.NoError(t, err)
			m := rulestest.MarketOn(t, rulestest.On(t, n.Config()))
			_ = m
			dir := t.TempDir()
			genesis := protoutil.BlockHeaderHash(blocks[0].Header)
			w, err := bundle.Create(dir, bundle.Manifest{Channel: n.Topology.Channel, Chaincode: n.Topology.Chaincode.Name, Genesis: hex.EncodeToString(genesis)})
			require.NoError(t, err)
			for _, b := range blocks {
				require.NoError(t, w.Append(b))
			}
			require.NoError(t, w.Close())
			r, err := bundle.Open(dir)
			require.NoError(t, err)
			defer r.Close()
			report, err := Run(context.Background(), r, Options{Genesis: [32]byte(genesis)})
			require.NoError(t, err)
			require.Empty(t, report.Findings)
			t.Log(report.Height, report.Transactions, report.Rerun)
		})
	}
}
