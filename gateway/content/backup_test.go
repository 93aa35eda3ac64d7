package content_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// afresh is a gateway that has lost everything but the file of master keys.
func (f *fixture) afresh(t *testing.T, withBucket bool) *fixture {
	t.Helper()
	folder := t.TempDir()
	data, err := os.ReadFile(filepath.Join(f.folder, "master.keys"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "master.keys"), data, 0o600))
	keys, err := content.OpenMasterKeys(filepath.Join(folder, "master.keys"))
	require.NoError(t, err)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	fresh := openOn(t, folder, db, keys, content.Options{PartBytes: 2000})
	if withBucket {
		for _, name := range f.objects(t) {
			object, err := f.bucket.ReadAll(t.Context(), name)
			require.NoError(t, err)
			require.NoError(t, fresh.bucket.WriteAll(t.Context(), name, object, nil))
		}
	}
	fresh.epoch = f.epoch
	return fresh
}

func (f *fixture) backup(t *testing.T, blobs bool) []byte {
	t.Helper()
	var out bytes.Buffer
	b, err := f.Backup(t.Context(), &out, blobs, nil)
	require.NoError(t, err)
	all, err := f.Backups(t.Context())
	require.NoError(t, err)
	require.Contains(t, all, b)
	return out.Bytes()
}

// asked is a ledger of erasures.
func asked(names ...contribution.Named) *erasures {
	return &erasures{due: names, before: func(contribution.Named) error { return nil }}
}

func TestABackupIsRestored(t *testing.T) {
	for _, blobs := range []bool{true, false} {
		f := open(t, content.Options{PartBytes: 1000})
		first, n, p := f.assigned(t, poems(30))
		second, _ := f.add(t, ann, poems(40))
		unfinished := split(content.File{Name: "a.txt", Bytes: 10})
		_, err := f.Begin(t.Context(), ann, unfinished)
		require.NoError(t, err)
		backup := f.backup(t, blobs)
		_, err = f.RotateMaster(t.Context())
		require.NoError(t, err)

		fresh := f.afresh(t, !blobs)
		result, err := fresh.Restore(t.Context(), iotest.OneByteReader(bytes.NewReader(backup)), asked(), nil)
		require.NoError(t, err)
		require.Equal(t, content.Restored{Items: 2, Secrets: 1, Failed: map[string]error{}}, result)
		require.Equal(t, poems(30), fresh.text(t, first))
		require.Equal(t, poems(40), fresh.text(t, second))
		found, err := fresh.Find(t.Context(), n, p.Commitment)
		require.NoError(t, err)
		require.Equal(t, first, found.ID)
		again, err := fresh.Finish(t.Context(), ann, second, content.Descriptor{Author: "Ann Onymous"}, f.epoch)
		require.NoError(t, err)
		require.EqualValues(t, 40, again.Records)
		require.NoError(t, fresh.RetireMaster(t.Context(), 1), "keys are wrapped by the newest master key again")

		result, err = fresh.Restore(t.Context(), bytes.NewReader(f.backup(t, true)), asked(), nil)
		require.NoError(t, err)
		require.Equal(t, content.Restored{Present: 2, Secrets: 1, Failed: map[string]error{}}, result)
	}
}

func TestNoRestoreRevivesWhatWasErased(t *testing.T) {
	f := open(t, content.Options{PartBytes: 1000})
	before, n1, _ := f.assigned(t, poems(3))
	require.NoError(t, f.Erase(t.Context(), n1))
	here, n2, _ := f.assigned(t, poems(4))
	onLedger, n3, _ := f.assigned(t, poems(5))
	kept, _, _ := f.assigned(t, poems(6))
	f.clock = f.clock.Add(time.Second)
	backup := f.backup(t, true)
	require.NoError(t, f.Erase(t.Context(), n2))
	list, err := f.Backups(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, list[0].Erased)

	result, err := f.Restore(t.Context(), bytes.NewReader(backup), asked(n3), nil)
	require.NoError(t, err)
	require.Equal(t, content.Restored{Present: 1, Erased: 2, Secrets: 1, Failed: map[string]error{}}, result)
	for _, gone := range []string{before, here, onLedger} {
		_, err := f.Open(t.Context(), gone)
		require.ErrorIs(t, err, content.ErrErased, "what the ledger erases goes from a store that still has it too")
	}
	require.Equal(t, poems(6), f.text(t, kept))

	fresh := f.afresh(t, false)
	result, err = fresh.Restore(t.Context(), bytes.NewReader(backup), asked(n2, n3), nil)
	require.NoError(t, err)
	require.Equal(t, content.Restored{Items: 1, Erased: 2, Secrets: 1, Failed: map[string]error{}}, result)
	_, err = fresh.Open(t.Context(), before)
	require.ErrorIs(t, err, content.ErrErased, "the backup's tombstones are kept")

	_, err = f.RotateMaster(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.RetireMaster(t.Context(), 1))
	_, err = f.afresh(t, false).Restore(t.Context(), bytes.NewReader(backup), asked(), nil)
	require.ErrorContains(t, err, "master key 1", "the backup cannot be read any more")
}

func TestWhatTheGatewayKeepsBesidesComesBackInOrder(t *testing.T) {
	f := open(t, content.Options{PartBytes: 1000})
	f.assigned(t, poems(3))
	var out bytes.Buffer
	_, err := f.Backup(t.Context(), &out, true, func(put func(string, []byte) error) error {
		require.Error(t, put("no/kind", nil))
		return errors.Join(put("state", []byte("one")), put("keystore", nil), put("state", []byte("two")))
	})
	require.NoError(t, err)
	require.NotContains(t, out.String(), "one", "it is encrypted as all is")
	var got []string
	fresh := f.afresh(t, false)
	failure := errors.New("the disk is full")
	_, err = fresh.Restore(t.Context(), bytes.NewReader(out.Bytes()), asked(), func(string, []byte) error { return failure })
	require.ErrorIs(t, err, failure)
	result, err := fresh.Restore(t.Context(), bytes.NewReader(out.Bytes()), asked(), func(kind string, data []byte) error {
		got = append(got, kind+" "+string(data))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"state one", "keystore ", "state two"}, got)
	require.Equal(t, 1, result.Items)
}

type broken struct{}

func (broken) Contribution(context.Context, contribution.Named) (c contribution.Contribution, err error) {
	return c, errors.New("the peer is down")
}

func TestWhatARestoreRefuses(t *testing.T) {
	f := open(t, content.Options{PartBytes: 1000})
	first, _, _ := f.assigned(t, poems(30))
	backup := f.backup(t, true)
	for claim, change := range map[string]func(b []byte) []byte{
		"another file":    func(b []byte) []byte { return []byte("PK\x03\x04") },
		"another format":  func(b []byte) []byte { b[15] = '2'; return b },
		"another id":      func(b []byte) []byte { b[20] ^= 1; return b },
		"an altered key":  func(b []byte) []byte { b[60] ^= 1; return b },
		"an altered byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"the end missing": func(b []byte) []byte { return b[:len(b)-1] },
		"half missing":    func(b []byte) []byte { return b[:len(b)/2] },
	} {
		fresh := f.afresh(t, false)
		_, err := fresh.Restore(t.Context(), bytes.NewReader(change(bytes.Clone(backup))), asked(), nil)
		require.Error(t, err, claim)
	}
	fresh := f.afresh(t, false)
	_, err := fresh.Restore(t.Context(), bytes.NewReader(backup), broken{}, nil)
	require.ErrorContains(t, err, "the peer is down", "nothing is restored of which the ledger does not tell that it may be")

	result, err := f.afresh(t, false).Restore(t.Context(), bytes.NewReader(f.backup(t, false)), asked(), nil)
	require.NoError(t, err)
	require.ErrorIs(t, result.Failed[first], content.ErrDamaged, "bytes that are in neither backup nor bucket")
	require.Zero(t, result.Items)

	second, _, _ := f.assigned(t, poems(3))
	require.NoError(t, os.Truncate(filepath.Join(f.folder, "objects", filepath.FromSlash("objects/"+first), lastOf(t, f, first)), 100))
	var out bytes.Buffer
	b, err := f.Backup(t.Context(), &out, true, nil)
	require.NoError(t, err)
	require.Equal(t, []string{first}, b.Damaged, "what is damaged does not stop the backup of what is not")
	result, err = f.afresh(t, false).Restore(t.Context(), &out, asked(), nil)
	require.NoError(t, err)
	require.Equal(t, content.Restored{Items: 1, Secrets: 1, Failed: map[string]error{}}, result)
	require.Equal(t, poems(3), f.text(t, second))
}

// lastOf is the file name of the last object of a content.
func lastOf(t *testing.T, f *fixture, id string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.folder, "objects", "objects", id))
	require.NoError(t, err)
	return entries[len(entries)-1].Name()
}
