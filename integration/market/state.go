package market

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/statedb/stateleveldb"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// States stops everything and reads the state that each peer has on disk, by the MSP ID of its organisation.
func (m *Market) States(ctx context.Context) (map[string][]ledger.Entry, error) {
	status, err := m.Network.Status(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(m.stopGateways(), m.Network.Stop()); err != nil {
		return nil, err
	}
	topology := m.Network.State().Topology()
	states := map[string][]ledger.Entry{}
	for _, node := range status.Nodes {
		if node.Kind != testnetwork.Peer {
			continue
		}
		if states[node.MSPID], err = RawState(filepath.Join(m.Network.State().Dir(), "nodes", node.Name), topology.Channel, topology.Chaincode.Name); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// RawState reads a chaincode's keys from the state database of a peer that does not run, in the peer's folder.
func RawState(node, channel, chaincode string) (entries []ledger.Entry, err error) {
	paths, err := filepath.Glob(filepath.Join(node, "*", "ledgersData", "stateLeveldb"))
	if err == nil && len(paths) != 1 {
		err = fmt.Errorf("%d state databases in %s", len(paths), node)
	}
	if err != nil {
		return nil, err
	}
	provider, err := stateleveldb.NewVersionedDBProvider(paths[0])
	if err != nil {
		return nil, fmt.Errorf("open the state of %s: %w", node, err)
	}
	defer provider.Close()
	db, err := provider.GetDBHandle(channel, nil)
	if err != nil {
		return nil, fmt.Errorf("open the state of %s: %w", node, err)
	}
	keys, err := db.GetStateRangeScanIterator(chaincode, "", "")
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", node, err)
	}
	defer keys.Close()
	for {
		kv, err := keys.Next()
		if err != nil {
			return nil, fmt.Errorf("read the state of %s: %w", node, err)
		}
		if kv == nil {
			return entries, nil
		}
		entries = append(entries, ledger.Entry{Key: ledger.Key(kv.Key), Value: kv.Value})
	}
}
