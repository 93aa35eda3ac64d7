package content

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseWrapped(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, wrappedSize))
	m := &MasterKeys{keys: map[uint32]key{1: newKey()}}
	wrapped, _, err := m.wrap(kindContent, "a", newKey())
	require.NoError(f, err)
	f.Add(wrapped)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, parseErr := parseWrapped(data)
		_, err := m.unwrap(kindContent, "a", data)
		require.Equal(t, bytes.Equal(data, wrapped), err == nil, "nothing opens but what was wrapped")
		require.False(t, parseErr != nil && err == nil)
		_, err = m.unwrap(kindFingerprint, "a", data)
		require.Error(t, err, "another kind")
		_, err = m.unwrap(kindContent, "b", data)
		require.Error(t, err, "another name")
	})
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte(`{"keys":[{"version":1,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]}`))
	f.Add([]byte(`{"keys":[{"version":0,"key":""}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeyFile(data)
		require.Equal(t, err != nil, len(keys) == 0)
		for version, k := range keys {
			require.NotZero(t, version)
			require.NotEqual(t, key{}, k)
		}
	})
}

// nothing takes an archive and checks the order in which it comes.
type nothing struct {
	t     *testing.T
	begun archivedItem
}

func (n *nothing) piece(kind string, data []byte) error {
	require.Empty(n.t, n.begun.ID, "pieces come first")
	return nil
}
func (n *nothing) secret(check string, wrapped []byte) error {
	require.Len(n.t, wrapped, wrappedSize)
	return nil
}
func (n *nothing) tombstones([]grave) error { return nil }
func (n *nothing) item(a archivedItem) error {
	n.begun = a
	return a.check()
}
func (n *nothing) object(p part, data io.Reader) error {
	require.Contains(n.t, n.begun.Parts, p)
	_, err := io.Copy(io.Discard, io.LimitReader(data, 100))
	return err
}
func (n *nothing) void() { require.NotEmpty(n.t, n.begun.ID) }

func FuzzReadArchive(f *testing.F) {
	id := newID()
	m := &MasterKeys{keys: map[uint32]key{1: newKey()}}
	wrapped, version, err := m.wrap(kindContent, id, newKey())
	require.NoError(f, err)
	p := part{Object: objects + id + "/" + newID(), Size: 10}
	a := archivedItem{ID: id, Account: "AMSP:ann", Commitment: string(bytes.Repeat([]byte("ab"), 32)), Size: 10, PartSize: 10, Key: wrapped, KeyVersion: int64(version), Parts: []part{p}}
	require.NoError(f, a.check())
	var whole bytes.Buffer
	w := &archiveWriter{tar: tar.NewWriter(&whole)}
	require.NoError(f, w.json("head", archiveHead{true}))
	require.NoError(f, w.piece("state", []byte("{}")))
	require.NoError(f, w.entry("secret/"+a.Commitment, wrappedSize, bytes.NewReader(wrapped)))
	require.NoError(f, w.json("tombstones", []grave{{Item: id}}))
	require.NoError(f, w.json("item/"+id, a))
	require.NoError(f, w.entry("object"+p.Object[len(objects)-1:], 42, bytes.NewReader(make([]byte, 42))))
	require.NoError(f, w.json("void/"+id, struct{}{}))
	require.NoError(f, w.json("end", archiveEnd{1}))
	require.NoError(f, w.tar.Close())
	require.NoError(f, readArchive(bytes.NewReader(whole.Bytes()), &nothing{t: new(testing.T)}))
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = readArchive(bytes.NewReader(data), &nothing{t: t})
		_, _, _ = readBackupHead(bytes.NewReader(data))
	})
}
