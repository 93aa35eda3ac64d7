package verify

import (
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// heldCommitHash is the commit hash that a block holds.
func heldCommitHash(block *common.Block) ([]byte, error) {
	metadata := block.GetMetadata().GetMetadata()
	if len(metadata) <= int(common.BlockMetadataIndex_COMMIT_HASH) {
		return nil, fmt.Errorf("the block holds no commit hash")
	}
	value := &common.Metadata{}
	if err := proto.Unmarshal(metadata[common.BlockMetadataIndex_COMMIT_HASH], value); err != nil {
		return nil, fmt.Errorf("read the commit hash: %w", err)
	}
	return value.GetValue(), nil
}
