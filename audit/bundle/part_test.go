package bundle

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func put(t require.TestingT, w *Writer, kind Kind, text string, name ...string) {
	require.NoError(t, w.Part(kind, name, func(out io.Writer) error {
		_, err := io.WriteString(out, text)
		return err
	}))
}

// texts reads all parts.
func texts(t require.TestingT, r *Reader) (list []string, damage error) {
	for _, err := range r.Blocks() {
		require.NoError(t, err)
	}
	require.NoError(t, r.Parts(func(p Part, in io.Reader) (func(error), error) {
		data, err := io.ReadAll(io.LimitReader(in, 4)) // the rest is for the digest
		list = append(list, string(p.Kind)+" "+p.Name[1]+" "+string(data))
		return func(err error) { damage = errors.Join(damage, err) }, err
	}))
	return list, damage
}

func TestPartsFollowTheBlocksByKindAndAsTheyAreArranged(t *testing.T) {
	dir := t.TempDir()
	export(t, dir, 0, 2)
	w, err := Create(dir, wanted(0))
	require.NoError(t, err)
	put(t, w, Settlement, "settled", "h", "1")
	put(t, w, Content, "later", "d", "2")
	put(t, w, Content, "first", "d", "1")
	put(t, w, Content, "erased", "d", "3")
	put(t, w, Snapshot, "leaves", "d", "1")
	require.NoError(t, w.Close())
	w, err = Create(dir, wanted(0))
	require.NoError(t, err)
	require.True(t, w.HasPart(Content, "d", "3"))
	require.NoError(t, w.Arrange(Content, [][]string{{"d", "1"}, {"d", "5"}, {"d", "2"}}))
	require.False(t, w.HasPart(Content, "d", "3"))
	put(t, w, Content, "FIRST", "d", "1")
	require.NoError(t, w.Arrange(Content, [][]string{{"d", "1"}, {"d", "2"}}))
	require.NoFileExists(t, filepath.Join(dir, partFile(Content, []string{"d", "3"})))
	require.NoError(t, w.Append(blockOf(2)))
	require.NoError(t, w.Close())

	want := []string{"snapshot 1 leav", "content 1 FIRS", "content 2 late", "settlement 1 sett"}
	r, err := Open(dir)
	require.NoError(t, err)
	list, damage := texts(t, r)
	require.NoError(t, damage)
	require.Equal(t, want, list)
	require.NoError(t, r.Close())
	var packed bytes.Buffer
	require.NoError(t, Pack(dir, &packed))
	r, err = Read(&packed)
	require.NoError(t, err)
	list, damage = texts(t, r)
	require.NoError(t, damage)
	require.Equal(t, want, list)
}

func TestEveryChangedByteOfAPartIsFound(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, wanted(0))
	require.NoError(t, err)
	require.NoError(t, w.Append(blockOf(0)))
	put(t, w, Content, "a content of some bytes", "d", "1")
	require.NoError(t, w.Close())
	path := filepath.Join(dir, partFile(Content, []string{"d", "1"}))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	damaged := func(data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		r, err := Open(dir)
		require.NoError(t, err)
		defer r.Close()
		_, damage := texts(t, r)
		require.ErrorIs(t, damage, ErrDamaged)
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		damaged(changed)
	}
	damaged(whole[:len(whole)-1])
	damaged(append(bytes.Clone(whole), 0))
}

func TestAPartThatCannotBeWrittenIsNoPart(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, wanted(0))
	require.NoError(t, err)
	require.NoError(t, w.Append(blockOf(0)))
	refused := errors.New("refused")
	require.ErrorIs(t, w.Part(Content, []string{"d", "1"}, func(io.Writer) error { return refused }), refused)
	put(t, w, Content, "whole", "d", "2")
	require.ErrorIs(t, w.Part(Content, []string{"d", "2"}, func(io.Writer) error { return refused }), refused)
	require.True(t, w.HasPart(Content, "d", "2"), "what was there stays")
	require.NoError(t, w.Close())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3, "the manifest, the blocks and a part")
}

func TestAManifestNamesNoOtherFile(t *testing.T) {
	good := Part{Kind: Content, Name: []string{"d", "1"}, File: partFile(Content, []string{"d", "1"}), SHA256: wanted(0).Genesis}
	require.NoError(t, checkParts([]Part{good}))
	for claim, change := range map[string]func(p *Part){
		"another path": func(p *Part) { p.File = "../x" }, "another kind": func(p *Part) { p.Kind = "x" }, "a name of one part": func(p *Part) { p.Name = p.Name[:1] },
		"a size below nothing": func(p *Part) { p.Bytes = -1 }, "no digest": func(p *Part) { p.SHA256 = "" },
	} {
		bad := good
		change(&bad)
		require.Error(t, checkParts([]Part{bad}), claim)
	}
	require.ErrorContains(t, checkParts([]Part{good, good}), "twice")
	earlier := Part{Kind: Snapshot, Name: []string{"d", "1"}, File: partFile(Snapshot, []string{"d", "1"}), SHA256: good.SHA256}
	require.ErrorContains(t, checkParts([]Part{good, earlier}), "out of order")
}
