package verify

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
)

// stride is the distance between the bytes of a block that are changed: 1 is each of them.
var stride = flag.Int("flips.stride", 397, "distance between the bytes of a block that are changed")

// inMemory is a packed bundle.
func inMemory(t require.TestingT, r *recording, encoded [][]byte) []byte {
	var segment bytes.Buffer
	for _, b := range encoded {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(b)))
		segment.Write(length[:])
		segment.Write(b)
	}
	digest := sha256.Sum256(segment.Bytes())
	const file = "blocks-00000000000000000000"
	manifest, err := json.Marshal(bundle.Manifest{Format: bundle.Format, Channel: r.topology.Channel, Chaincode: r.topology.Chaincode.Name,
		Genesis: hex.EncodeToString(protoutil.BlockHeaderHash(r.blocks[0].Header)), Height: uint64(len(encoded)), Unproved: []string{},
		Segments: []bundle.Segment{{File: file, Count: uint64(len(encoded)), Bytes: int64(segment.Len()), SHA256: hex.EncodeToString(digest[:])}}})
	require.NoError(t, err)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name string
		data []byte
	}{{"manifest.json", manifest}, {file, segment.Bytes()}} {
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.data)), Mode: 0o600}))
		_, err := w.Write(f.data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// covered tells whether a changed block is noticed: it does not decode, or gives a finding.
func covered(t *testing.T, r *recording, encoded [][]byte, at int, changed []byte) bool {
	original, block := &common.Block{}, &common.Block{}
	if proto.Unmarshal(changed, block) != nil {
		return true
	}
	require.NoError(t, proto.Unmarshal(encoded[at], original))
	all := append([][]byte{}, encoded...)
	all[at] = changed
	reader, err := bundle.Read(bytes.NewReader(inMemory(t, r, all)))
	require.NoError(t, err)
	report, err := Run(t.Context(), reader, Options{Genesis: [32]byte(protoutil.BlockHeaderHash(r.blocks[0].Header)), Workers: 1})
	require.NoError(t, err)
	return len(report.Findings) > 0
}

// TestEveryByteOfABlockIsCovered changes bytes of the genesis block, a definition, a transaction that writes slots, and the
// last block, which no later one names.
func TestEveryByteOfABlockIsCovered(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			s, f := storyOn(t, ordering)
			slots, _ := f.calling("proposal:Propose")
			height := slots + 1
			var encoded [][]byte
			for _, b := range s.blocks[:height] {
				encoded = append(encoded, encode(t, b))
			}
			flips := 0
			for _, at := range []int{0, 1, 2, slots} {
				step := *stride
				if at == 0 && step > 1 {
					step *= 10 // it is long, and its hash is known
				}
				for i := 0; i < len(encoded[at]); i += step {
					changed := bytes.Clone(encoded[at])
					changed[i] ^= 1 << (i % 8)
					flips++
					if !covered(t, s.recording, encoded, at, changed) {
						t.Errorf("byte %d of %d of block %d: %s", i, len(changed), at, where(t, changed, encoded[at]))
					}
				}
			}
			t.Logf("%d changed bytes", flips)
		})
	}
}

// where says which part of a block differs.
func where(t *testing.T, changed, original []byte) string {
	a, b := decode(t, changed, &common.Block{}), decode(t, original, &common.Block{})
	switch {
	case proto.Equal(a, b):
		return "the same block, encoded otherwise"
	case !proto.Equal(a.Header, b.Header):
		return "header"
	case !proto.Equal(a.Data, b.Data):
		return "data"
	}
	for i, value := range b.GetMetadata().GetMetadata() {
		if i >= len(a.GetMetadata().GetMetadata()) || !bytes.Equal(a.Metadata.Metadata[i], value) {
			return fmt.Sprint("metadata ", common.BlockMetadataIndex(i))
		}
	}
	return "elsewhere"
}
