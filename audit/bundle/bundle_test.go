package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
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
