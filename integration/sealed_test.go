package integration_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// open opens the content store in the folder of a gateway that was stopped, with the gateway's own master key, and adds
// the keys that the master key unwraps.
func open(t *testing.T, folder string, secrets *things) (all []*content.Content) {
	t.Helper()
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	bucket, err := content.OpenBucket(t.Context(), (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(folder, "content"))}).String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	path := filepath.Join(folder, "master-keys.json")
	keys, err := content.OpenMasterKeys(path)
	require.NoError(t, err)
	store, err := content.New(t.Context(), db, bucket, keys, content.Options{})
	require.NoError(t, err)

	secrets.unwrapped(t, db, masterKey(t, path), "content", `SELECT id, key FROM content_items`)
	secrets.unwrapped(t, db, masterKey(t, path), "fingerprint", `SELECT check_value, key FROM content_secrets`)
	held, err := store.List(t.Context(), content.Held{State: content.Ready, Limit: 1000})
	require.NoError(t, err)
	require.NotEmpty(t, held)
	for _, info := range held {
		one, err := store.Open(t.Context(), info.ID)
		require.NoError(t, err)
		all = append(all, one)
	}
	return all
}

// masterKey reads the first master key.
func masterKey(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var file struct{ Keys []struct{ Key []byte } }
	require.NoError(t, json.Unmarshal(text, &file))
	require.Len(t, file.Keys, 1)
	return file.Keys[0].Key
}

// unwrapped adds keys that a query finds with their names, opened as the content store's format says.
func (s *things) unwrapped(t *testing.T, db *database.DB, master []byte, kind, query string) {
	t.Helper()
	block, err := aes.NewCipher(master)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	count := 0
	for ; rows.Next(); count++ {
		var name string
		var wrapped []byte
		require.NoError(t, rows.Scan(&name, &wrapped))
		bound := append([]byte("DATANET-WRAP/1\x00"+kind+"\x00"+name+"\x00"), wrapped[1:5]...)
		require.Equal(t, uint32(1), binary.BigEndian.Uint32(wrapped[1:5]))
		key, err := aead.Open(nil, nil, wrapped[5:], bound)
		require.NoError(t, err)
		s.add(t, "the "+kind+" key of "+name, key)
	}
	require.NoError(t, rows.Err())
	require.NotZero(t, count)
}
