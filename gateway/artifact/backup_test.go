package artifact_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
)

// keep puts the files of a model into a store.
func keep(t *testing.T, s *artifact.Store, dir string, m model.Model, encoded []byte, files []artifact.File) {
	_, err := s.PutManifest(m, encoded)
	require.NoError(t, err)
	kept := map[string]bool{}
	for _, f := range files {
		if kept[f.SHA256] {
			continue
		}
		kept[f.SHA256] = true
		file, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Name)))
		require.NoError(t, err)
		_, err = s.Append(t.Context(), m, f.SHA256, 0, file)
		require.NoError(t, errors.Join(err, file.Close()))
	}
}

// backUp collects a backup.
func backUp(t *testing.T, s *artifact.Store, organisation string) (parts []artifact.Part, b artifact.BackedUp) {
	b, err := s.Backup(t.Context(), organisation, func(p artifact.Part) error {
		p.Data = bytes.Clone(p.Data)
		parts = append(parts, p)
		return nil
	})
	require.NoError(t, err)
	return parts, b
}

func TestABackupHasWhatIsWholeOfOwnModelsAndComesBackAsItIsRegistered(t *testing.T) {
	large := make([]byte, 9<<20) // three pieces
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(large)
	dir, m, encoded, manifest := trained(t, map[string]string{"a.bin": string(large), "b/copy.bin": string(large), "empty": "", "small": "s"})
	from := open(t)
	keep(t, from, dir, m, encoded, manifest.Files)
	// Neither what has not come whole, nor another organisation's, nor what is no model's is in it.
	_, half, halfEncoded, halfManifest := trained(t, map[string]string{"half": "half of it"})
	half.Version = "2.0"
	_, err := from.PutManifest(half, halfEncoded)
	require.NoError(t, err)
	_, err = from.Append(t.Context(), half, halfManifest.Files[0].SHA256, 0, strings.NewReader("half"))
	require.NoError(t, err)
	otherDir, other, otherEncoded, otherManifest := trained(t, map[string]string{"c": "of another"})
	other.Name = "BMSP/verse"
	keep(t, from, otherDir, other, otherEncoded, otherManifest.Files)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(from.Folder(m.Named))), "stray"), nil, 0o600))

	parts, b := backUp(t, from, "AMSP")
	require.Equal(t, artifact.BackedUp{Items: 3, Bytes: int64(len(large)) + 1}, b)
	require.Len(t, parts, 1+3+1+1+1, "two manifests, the large file once, and the small ones")
	for _, p := range parts {
		require.Equal(t, "AMSP/verse", p.Model.Name)
	}

	// It breaks off in the second piece of the large file, and is repeated twice.
	to := open(t)
	registered := func(p artifact.Part) model.Model {
		if p.Model == half.Named {
			return half
		}
		return m
	}
	for _, p := range parts[:3] {
		taken, err := to.Restore(t.Context(), registered(p), p)
		require.NoError(t, err)
		require.False(t, taken)
	}
	restore := func() (taken int) {
		for _, p := range parts {
			last, err := to.Restore(t.Context(), registered(p), p)
			require.NoError(t, err)
			if last {
				taken++
			}
		}
		return taken
	}
	require.Equal(t, 3, restore())
	require.Zero(t, restore(), "what is here stays")
	whole := func() {
		complete, err := to.Complete(m)
		require.NoError(t, err)
		require.True(t, complete)
		for _, name := range []string{"a.bin", "b/copy.bin"} {
			kept, err := os.ReadFile(filepath.Join(to.Folder(m.Named), name))
			require.NoError(t, err)
			require.True(t, bytes.Equal(large, kept))
		}
	}
	whole()
	left, err := os.ReadDir(filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(to.Folder(m.Named)))), ".parts"))
	require.NoError(t, err)
	require.Empty(t, left)

	// What has changed on disk is told when it is backed up, and replaced by a restore.
	require.NoError(t, os.WriteFile(filepath.Join(to.Folder(m.Named), "a.bin"), []byte("altered"), 0o600))
	_, b = backUp(t, to, "AMSP")
	require.Equal(t, []string{"a.bin of AMSP/verse@1.0"}, b.Damaged)
	require.Equal(t, 1, restore())
	whole()

	// What the ledger has other digests for is not taken.
	changed := m
	changed.Manifest = strings.Repeat("00", 32)
	_, err = open(t).Restore(t.Context(), changed, parts[0])
	require.ErrorIs(t, err, artifact.ErrNotRegistered)
	_, err = open(t).Restore(t.Context(), m, parts[1])
	require.ErrorIs(t, err, artifact.ErrNoManifest)
}

// Whatever comes in whatever order, a file that counts as whole is the registered one.
func TestNothingButTheRegisteredBytesIsEverRestored(t *testing.T) {
	texts := map[string]string{"a": strings.Repeat("rose ", 20), "b": "is a rose"}
	_, m, encoded, manifest := trained(t, texts)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		s, err := artifact.Open(dir)
		require.NoError(rt, err)
		_, err = s.PutManifest(m, encoded)
		require.NoError(rt, err)
		for range rapid.IntRange(1, 12).Draw(rt, "parts") {
			f := rapid.SampledFrom(manifest.Files).Draw(rt, "file")
			text := []byte(texts[f.Name])
			from := rapid.IntRange(0, len(text)).Draw(rt, "from")
			to := rapid.IntRange(from, len(text)).Draw(rt, "to")
			data := bytes.Clone(text[from:to])
			if len(data) > 0 && rapid.Bool().Draw(rt, "altered") {
				data[0] ^= 1
			}
			p := artifact.Part{Model: m.Named, Digest: f.SHA256}
			p.Offset, p.Last, p.Data = int64(from), rapid.Bool().Draw(rt, "last"), data
			taken, err := s.Restore(t.Context(), m, p)
			kept, readErr := os.ReadFile(filepath.Join(s.Folder(m.Named), f.Name))
			if errors.Is(readErr, fs.ErrNotExist) {
				require.False(rt, taken, "%v", err)
				continue
			}
			require.NoError(rt, readErr)
			require.Equal(rt, texts[f.Name], string(kept))
		}
		for _, f := range manifest.Files {
			p := artifact.Part{Model: m.Named, Digest: f.SHA256}
			p.Last, p.Data = true, []byte(texts[f.Name])
			_, err := s.Restore(t.Context(), m, p)
			require.NoError(rt, err, "what came before is in the way of nothing")
		}
		complete, err := s.Complete(m)
		require.NoError(rt, err)
		require.True(rt, complete)
	})
}
