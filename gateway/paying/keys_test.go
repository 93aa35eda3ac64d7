package paying

import (
	"container/list"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

const person = ledger.Account("BMSP:reader1")

func TestSpendingKeysAreForTheirOwnerAloneAndSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spending")
	keys, err := OpenKeys(dir)
	require.NoError(t, err)
	made, err := keys.Make(person)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, halfKey+"1"), []byte("torn"), 0o600), "a crash leaves a file that is not whole")
	keys, err = OpenKeys(dir)
	require.NoError(t, err)
	private, ok := keys.of(person, made)
	require.True(t, ok)
	require.Equal(t, made.Public, []byte(private[32:]))
	_, ok = keys.of("BMSP:another", made)
	require.False(t, ok, "a key is its account's")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := files[0].Info()
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
	require.NoError(t, keys.destroy(made))
	require.NoError(t, keys.destroy(made))
	_, ok = keys.of(person, made)
	require.False(t, ok)
	for range MaxUnused {
		_, err = keys.Make(person)
		require.NoError(t, err)
	}
	_, err = keys.Make(person)
	require.ErrorIs(t, err, ErrKeys)
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err = OpenKeys(dir)
	require.ErrorContains(t, err, "chmod 700")
}

// FuzzReadKey reads arbitrary files: as a key of an account, or not at all, and no error quotes them.
func FuzzReadKey(f *testing.F) {
	dir := f.TempDir()
	keys, err := OpenKeys(filepath.Join(dir, "keys"))
	require.NoError(f, err)
	_, err = keys.Make(person)
	require.NoError(f, err)
	made, err := os.ReadDir(filepath.Join(dir, "keys"))
	require.NoError(f, err)
	text, err := os.ReadFile(filepath.Join(dir, "keys", made[0].Name()))
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		if key, err := readKey(path); err == nil {
			require.NoError(t, key.account.Validate(""))
			require.NoError(t, key.public.Check())
		}
	})
}

// FuzzStored reads arbitrary lists of stored answers.
func FuzzStored(f *testing.F) {
	f.Add([]byte(`[{"place":0,"path":"/openai/v1/chat/completions","body":"e30=","output":"eA==","datanet":{"place":0,"receipt":"","receipt_id":"` +
		`0000000000000000000000000000000000000000000000000000000000000000","prompt_nonce":"00000000000000000000000000000000","output_nonce":"00000000000000000000000000000000"}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := readStored(text)
		if err != nil {
			return
		}
		for _, s := range list {
			if s.Datanet != nil {
				if leaf, _, err := s.Datanet.Paid(); err == nil {
					_ = evidenceOf(s.Path, s.Body, s.Output, s.Datanet).Check(leaf, (&offer{}).subject) // it must not panic
				}
			}
		}
	})
}

// FuzzRepeats replays arbitrary records of idempotency keys: what is read is written the same.
func FuzzRepeats(f *testing.F) {
	f.Add((&repeat{key: merkle.Hash{1}, session: merkle.Hash{2}, request: use.Request{Number: 3}}).record())
	f.Fuzz(func(t *testing.T, record []byte) {
		r := &repeats{known: map[merkle.Hash]*list.Element{}}
		if r.replay(record) != nil || r.order.Len() == 0 {
			return
		}
		require.Equal(t, record, r.order.Front().Value.(*repeat).record())
	})
}
