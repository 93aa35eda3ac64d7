package replay

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Field numbers of Fabric's messages Updates and KVWrite.
const (
	fieldWrite      protowire.Number = 1
	fieldNamespace  protowire.Number = 1
	fieldCollection protowire.Number = 2
	fieldKey        protowire.Number = 3
	fieldDelete     protowire.Number = 4
	fieldValue      protowire.Number = 5
	fieldVersion    protowire.Number = 6
)

// CommitHash chains a block's verdicts and changes to the commit hash of the block before, as peers do; block 0 has none. It sorts the
// changes.
func CommitHash(before, verdicts []byte, changes []Change) []byte {
	data := protowire.AppendVarint(nil, uint64(len(verdicts)))
	data = append(data, verdicts...)
	data = append(data, updateBytes(changes)...)
	sum := sha256.Sum256(append(data, before...))
	return sum[:]
}

// updateBytes encodes changes by namespace, public ones first, collection and key; a namespace and a collection are named
// once. The channel's configuration, in the namespace without a name, is left out.
func updateBytes(changes []Change) []byte {
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.Key, b.Key))
	})
	var data []byte
	namespace, collection := "", ""
	for _, c := range changes {
		var w []byte
		if c.Namespace != namespace {
			namespace, collection = c.Namespace, ""
			w = appendBytes(w, fieldNamespace, []byte(namespace))
		}
		if c.Collection != collection {
			collection = c.Collection
			w = appendBytes(w, fieldCollection, []byte(collection))
		}
		w = appendBytes(w, fieldKey, []byte(c.Key))
		if c.Value == nil {
			w = protowire.AppendVarint(protowire.AppendTag(w, fieldDelete, protowire.VarintType), 1)
		}
		w = appendBytes(w, fieldValue, c.Value)
		version := c.Version
		if c.After != nil {
			version = c.After.Version
		}
		w = appendBytes(w, fieldVersion, rwsetutil.NewVersion(&kvrwset.Version{BlockNum: version.Block, TxNum: version.Tx}).ToBytes())
		data = protowire.AppendBytes(protowire.AppendTag(data, fieldWrite, protowire.BytesType), w)
	}
	return data
}

// appendBytes appends a field of bytes, unless it is empty.
func appendBytes(to []byte, field protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return to
	}
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), value)
}

// HeldCommitHash is the commit hash that a block holds.
func HeldCommitHash(block *common.Block) ([]byte, error) {
	metadata := block.GetMetadata().GetMetadata()
	if len(metadata) <= int(common.BlockMetadataIndex_COMMIT_HASH) {
		return nil, errors.New("the block holds no commit hash")
	}
	value := &common.Metadata{}
	if err := proto.Unmarshal(metadata[common.BlockMetadataIndex_COMMIT_HASH], value); err != nil {
		return nil, fmt.Errorf("read the commit hash: %w", err)
	}
	return value.GetValue(), nil
}
