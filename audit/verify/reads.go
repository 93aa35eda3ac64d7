package verify

import (
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// hidden finds a key that the rules read and the transaction does not name, so that peers could not see a conflict over it.
func hidden(t *transaction, chaincode string, read []ledger.Key) (ledger.Key, bool) {
	for _, key := range read {
		if !slices.ContainsFunc(t.sets.NsRwSets, func(ns *rwsetutil.NsRwSet) bool {
			return ns.NameSpace == chaincode && names(ns.KvRwSet.GetReads(), key)
		}) {
			return key, true
		}
	}
	return "", false
}

// names tells whether a key is among those that were read. Peers sort them; among others no key is sure to be found.
func names(reads []*kvrwset.KVRead, key ledger.Key) bool {
	_, found := slices.BinarySearchFunc(reads, key, func(r *kvrwset.KVRead, key ledger.Key) int { return strings.Compare(r.GetKey(), string(key)) })
	return found
}
