package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func blockOf(number uint64) *common.Block {
	return &common.Block{Header: &common.BlockHeader{Number: number}, Data: &common.BlockData{Data: [][]byte{[]byte("transaction")}}}
}

func wanted(first uint64) Manifest {
	return Manifest{Channel: "channel", Chaincode: "chaincode", Genesis: strings.Repeat("ab", 32), First: first, Unproved: []string{}}
}

// export writes blocks up to a height in a folder that may hold some.
func export(t require.TestingT, dir string, first, height uint64) {
	w, err := Create(dir, wanted(first))
	require.NoError(t, err)
	if first > 0 && !w.HasBase() {
		require.NoError(t, w.Base(blockOf(0)))
	}
	for w.Next() < height {
		require.NoError(t, w.Append(blockOf(w.Next())))
	}
	require.NoError(t, w.Close())
}

func numbers(t require.TestingT, r *Reader) (list []uint64) {
	base, err := r.Base()
	require.NoError(t, err)
	require.Equal(t, r.Manifest.First > 0, base != nil)
	for block, err := range r.Blocks() {
		require.NoError(t, err)
		require.True(t, proto.Equal(blockOf(block.Header.Number), block))
		list = append(list, block.Header.Number)
	}
	return list
}

func TestAnExportGoesOnWhereItEnded(t *testing.T) {
	for _, first := range []uint64{0, 5} {
		dir := t.TempDir()
		export(t, dir, first, first+3)
		export(t, dir, first, first+3)
		export(t, dir, first, first+7)
		r, err := Open(dir)
		require.NoError(t, err)
		require.Equal(t, []uint64{first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6}, numbers(t, r))
		require.Len(t, r.Manifest.Segments, 2)
		require.NoError(t, r.Close())
	}
}

func TestWhatACrashLeftIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 3)
	require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(3)), []byte("half a block"), 0o600))
	export(t, dir, 0, 5)
	r, err := Open(dir)
	require.NoError(t, err)
	require.Len(t, numbers(t, r), 5)
	require.NoError(t, r.Close())
}

func TestAFolderOfAnotherBundleIsRefused(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 3)
	other := wanted(0)
	other.Genesis = strings.Repeat("cd", 32)
	_, err := Create(dir, other)
	require.ErrorContains(t, err, "choose another folder")
	_, err = Create(dir, wanted(2))
	require.ErrorContains(t, err, "choose another folder")
}

func TestAFolderOfOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600))
	_, err := Create(dir, wanted(0))
	require.ErrorContains(t, err, "letter.txt, which is no file of a bundle")
	require.NoError(t, os.Rename(filepath.Join(dir, "letter.txt"), filepath.Join(dir, segmentName(0))))
	export(t, dir, 0, 3)
}

func TestAFolderWithoutAManifestIsNoBundle(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	require.EqualError(t, err, dir+" is no bundle, or one whose export has only begun: it has no manifest.json")
}

func TestAWriterTakesOnlyTheBlockThatIsDue(t *testing.T) {
	w, err := Create(t.TempDir(), wanted(0))
	require.NoError(t, err)
	require.ErrorContains(t, w.Append(blockOf(1)), "block 0 is due")
	ranged, err := Create(t.TempDir(), wanted(4))
	require.NoError(t, err)
	require.ErrorContains(t, ranged.Append(blockOf(4)), "needs a configuration first")
}

func TestAPackedBundleHoldsTheSame(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 5, 8)
	export(t, dir, 5, 9)
	var one, two bytes.Buffer
	require.NoError(t, Pack(dir, &one))
	require.NoError(t, Pack(dir, &two))
	require.Equal(t, one.Bytes(), two.Bytes())
	r, err := Read(&one)
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 6, 7, 8}, numbers(t, r))
}

func TestEveryChangedByteOfASegmentIsFound(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 2)
	path := filepath.Join(dir, segmentName(0))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	read := func() (err error) {
		r, err := Open(dir)
		require.NoError(t, err)
		defer r.Close()
		for _, err := range r.Blocks() {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		require.ErrorIs(t, read(), ErrDamaged, "byte %d", i)
	}
	for _, damaged := range [][]byte{whole[:len(whole)-1], append(bytes.Clone(whole), 0)} {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		require.ErrorIs(t, read(), ErrDamaged)
	}
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	require.NoError(t, read())
}

func FuzzDecode(f *testing.F) {
	dir := f.TempDir()
	export(f, dir, 5, 9)
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(`{"format":"datanet-audit/1","segments":[{"file":"../x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		next := m.First
		for _, s := range m.Segments {
			require.Equal(t, segmentName(next), s.File, "no other file can be named")
			next += s.Count
		}
		require.Equal(t, m.Height, next)
		again, err := m.encode()
		require.NoError(t, err)
		_, err = Decode(again)
		require.NoError(t, err)
	})
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	export(f, dir, 5, 9)
	var packed bytes.Buffer
	require.NoError(f, Pack(dir, &packed))
	f.Add(packed.Bytes())
	f.Add(packed.Bytes()[:len(packed.Bytes())/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := r.Base(); err != nil {
			return
		}
		count := uint64(0)
		for block, err := range r.Blocks() {
			if err != nil {
				return
			}
			require.NotNil(t, block)
			count++
		}
		require.Equal(t, r.Manifest.Height-r.Manifest.First, count)
	})
}

// packed is a bundle of blocks as one file.
func packed(t *testing.T, height uint64) []byte {
	dir := t.TempDir()
	export(t, dir, 0, height)
	var out bytes.Buffer
	require.NoError(t, Pack(dir, &out))
	return out.Bytes()
}

// readAll reads a bundle to its end.
func readAll(r *Reader) error {
	for _, err := range r.Blocks() {
		if err != nil {
			return err
		}
	}
	return nil
}

// A few bytes must not stand for any number of zeros, a pipe must not be waited for.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Run("sparse", func(t *testing.T) {
		in, out := tar.NewReader(bytes.NewReader(packed(t, 3))), bytes.Buffer{}
		w := tar.NewWriter(&out)
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if h.Name != manifestName {
				h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"ZZZ.sparse.map": fmt.Sprintf("0,%d", h.Size), "ZZZ.sparse.numblocks": "1", "ZZZ.sparse.size": fmt.Sprint(h.Size)}
			}
			require.NoError(t, w.WriteHeader(h))
			_, err = io.Copy(w, in)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		whole, err := Read(bytes.NewReader(out.Bytes()))
		require.NoError(t, err)
		require.NoError(t, readAll(whole))
		sparse, err := Read(bytes.NewReader(bytes.ReplaceAll(out.Bytes(), []byte("ZZZ.sparse."), []byte("GNU.sparse."))))
		require.NoError(t, err)
		require.ErrorIs(t, readAll(sparse), ErrDamaged)
	})
	for what, put := range map[string]func(path string) error{
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		for _, name := range []string{manifestName, segmentName(0)} {
			t.Run(what+" for "+name, func(t *testing.T) {
				dir := t.TempDir()
				export(t, dir, 0, 3)
				require.NoError(t, os.Remove(filepath.Join(dir, name)))
				require.NoError(t, put(filepath.Join(dir, name)))
				r, err := Open(dir)
				if err == nil {
					err = readAll(r)
				}
				require.ErrorContains(t, err, "no regular file")
			})
		}
	}
}

// What is decoded takes far more memory than it has bytes.
func TestABlockOfCountlessPiecesIsNotDecoded(t *testing.T) {
	many := make([][]byte, MaxPieces+1)
	for i := range many {
		many[i] = []byte{}
	}
	signatures, err := proto.Marshal(&common.Metadata{Signatures: make([]*common.MetadataSignature, 0)})
	require.NoError(t, err)
	for range MaxPieces {
		signatures = append(signatures, 2<<3|2, 0)
	}
	for what, block := range map[string]*common.Block{
		"transactions": {Header: &common.BlockHeader{}, Data: &common.BlockData{Data: many}},
		"metadata":     {Header: &common.BlockHeader{}, Metadata: &common.BlockMetadata{Metadata: many}},
		"signatures":   {Header: &common.BlockHeader{}, Metadata: &common.BlockMetadata{Metadata: [][]byte{signatures}}},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(dir, wanted(0))
			require.NoError(t, err)
			require.NoError(t, w.Append(block))
			require.NoError(t, w.Close())
			r, err := Open(dir)
			require.NoError(t, err)
			err = readAll(r)
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, "fields")
		})
	}
}

func TestAManifestSaysEverythingOnce(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 3)
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	_, err = Decode(data)
	require.NoError(t, err)
	for _, change := range [][2]string{{`"chaincode":`, `"chaincode": "other", "chaincode":`}, {`"chaincode":`, `"Chaincode":`}, {"channel\"", "\xff\""}} {
		changed := bytes.Replace(data, []byte(change[0]), []byte(change[1]), 1)
		require.NotEqual(t, data, changed)
		_, err := Decode(changed)
		require.Error(t, err, change[1])
	}
}
