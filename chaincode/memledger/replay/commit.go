package replay

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/bits"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
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
	sum := sha256.New()
	sum.Write(protowire.AppendVarint(nil, uint64(len(verdicts))))
	sum.Write(verdicts)
	writeUpdates(sum, changes)
	sum.Write(before)
	return sum.Sum(nil)
}

// writeUpdates encodes changes by namespace, public ones first, collection and key; a namespace and a collection are named
// once. The channel's configuration, in the namespace without a name, is left out.
func writeUpdates(to hash.Hash, changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int {
		if a.Namespace != b.Namespace {
			return cmp.Compare(a.Namespace, b.Namespace)
		}
		if a.Collection != b.Collection {
			return cmp.Compare(a.Collection, b.Collection)
		}
		return cmp.Compare(a.Key, b.Key)
	})
	namespace, collection := "", ""
	var w, prefix, at []byte
	for _, c := range changes {
		w = w[:0]
		if c.Namespace != namespace {
			namespace, collection = c.Namespace, ""
			w = appendString(w, fieldNamespace, namespace)
		}
		if c.Collection != collection {
			collection = c.Collection
			w = appendString(w, fieldCollection, collection)
		}
		w = appendString(w, fieldKey, c.Key)
		if c.Value == nil {
			w = protowire.AppendVarint(protowire.AppendTag(w, fieldDelete, protowire.VarintType), 1)
		}
		if len(c.Value) > 0 {
			w = protowire.AppendBytes(protowire.AppendTag(w, fieldValue, protowire.BytesType), c.Value)
		}
		version := c.Version
		if c.After != nil {
			version = c.After.Version
		}
		at = appendHeight(appendHeight(at[:0], version.Block), version.Tx)
		w = protowire.AppendBytes(protowire.AppendTag(w, fieldVersion, protowire.BytesType), at)
		prefix = protowire.AppendVarint(protowire.AppendTag(prefix[:0], fieldWrite, protowire.BytesType), uint64(len(w)))
		to.Write(prefix)
		to.Write(w)
	}
}

// appendHeight appends a number as peers do in versions: how many bytes it has, and these, the first one not zero.
func appendHeight(to []byte, number uint64) []byte {
	size := (bits.Len64(number) + 7) / 8
	to = append(to, byte(size))
	for i := size - 1; i >= 0; i-- {
		to = append(to, byte(number>>(8*i)))
	}
	return to
}

// appendString appends a field, unless it is empty.
func appendString(to []byte, field protowire.Number, value string) []byte {
	if value == "" {
		return to
	}
	return protowire.AppendString(protowire.AppendTag(to, field, protowire.BytesType), value)
}

// HeldCommitHash is the commit hash that a block holds. It comes with an error too when it is not alone.
func HeldCommitHash(block *common.Block) ([]byte, error) {
	metadata := block.GetMetadata().GetMetadata()
	if len(metadata) <= int(common.BlockMetadataIndex_COMMIT_HASH) {
		return nil, errors.New("the block holds no commit hash")
	}
	encoded, value := metadata[common.BlockMetadataIndex_COMMIT_HASH], &common.Metadata{}
	if err := proto.Unmarshal(encoded, value); err != nil {
		return nil, fmt.Errorf("read the commit hash: %w", err)
	}
	plain, err := proto.Marshal(&common.Metadata{Value: value.GetValue()})
	if err != nil {
		return nil, fmt.Errorf("read the commit hash: %w", err)
	}
	if !bytes.Equal(encoded, plain) {
		return value.GetValue(), errors.New("beside the commit hash there is something that nothing covers")
	}
	return value.GetValue(), nil
}
