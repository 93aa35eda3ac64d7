package content_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/fingerprint"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
)

const (
	ann   = ledger.Account("AMSP:ann")
	bob   = ledger.Account("AMSP:bob")
	verse = "Of all the gardens that the river knows the smallest keeps the rose"
)

// a store in a folder of its own, which can be closed and opened again.
type fixture struct {
	*content.Store
	folder string
	keys   *content.MasterKeys
	db     *database.DB
	bucket *blob.Bucket
	clock  time.Time
	epoch  contribution.Epoch
}

func open(t *testing.T, options content.Options) *fixture {
	folder := t.TempDir()
	keys, err := content.CreateMasterKeys(filepath.Join(folder, "master.keys"))
	require.NoError(t, err)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return openOn(t, folder, db, keys, options)
}

// bucketAddress is where the store of a folder keeps its objects; see onS3.
var bucketAddress = func(folder string) string { return "file://" + filepath.Join(folder, "objects") }

func openOn(t *testing.T, folder string, db *database.DB, keys *content.MasterKeys, options content.Options) *fixture {
	f := &fixture{folder: folder, db: db, keys: keys, clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	f.bucket, err = content.OpenBucket(t.Context(), bucketAddress(folder))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.bucket.Close()) }) // the one that the fixture has then
	if options.Now == nil {
		options.Now = func() time.Time { return f.clock }
	}
	f.Store, err = content.New(t.Context(), db, f.bucket, keys, options)
	require.NoError(t, err)
	check, err := f.DrawSecret(t.Context())
	require.NoError(t, err)
	f.epoch = contribution.Epoch{Epoch: 1, Check: check}
	return f
}

func id() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func place() contribution.Named { return contribution.Named{Datanet: "AMSP/verse", ID: id()} }

// poems is a text of n blocks, each of which is a record when it is split.
func poems(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s, said the poet of the %d years\nand went away without another word\n\n", verse, i)
	}
	return b.String()
}

func split(files ...content.File) content.Upload {
	return content.Upload{ID: id(), Files: files, Rules: ingest.Rules{Split: true}}
}

// add uploads a text of one file and finishes it.
func (f *fixture) add(t *testing.T, account ledger.Account, text string) (string, content.Prepared) {
	t.Helper()
	u := split(content.File{Name: "poems.txt", Bytes: int64(len(text))})
	_, err := f.Begin(t.Context(), account, u)
	require.NoError(t, err)
	info, err := f.Append(t.Context(), account, u.ID, 0, strings.NewReader(text))
	require.NoError(t, err)
	require.EqualValues(t, len(text), info.Received)
	p, err := f.Finish(t.Context(), account, u.ID, content.Descriptor{Author: "Ann Onymous"}, f.epoch)
	require.NoError(t, err)
	return u.ID, p
}

// assigned is add, and the content of a contribution.
func (f *fixture) assigned(t *testing.T, text string) (string, contribution.Named, content.Prepared) {
	t.Helper()
	id, p := f.add(t, ann, text)
	n := place()
	require.NoError(t, f.Assign(t.Context(), ann, id, n))
	return id, n, p
}

func (f *fixture) text(t *testing.T, id string) string {
	t.Helper()
	c, err := f.Open(t.Context(), id)
	require.NoError(t, err)
	r := c.Reader(t.Context())
	defer r.Close()
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(data)
}

func (f *fixture) objects(t *testing.T) (names []string) {
	t.Helper()
	list := f.bucket.List(nil)
	for {
		object, err := list.Next(t.Context())
		if err == io.EOF {
			return names
		}
		require.NoError(t, err)
		names = append(names, object.Key)
	}
}

func TestAnUploadIsPreparedForTheLedger(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		folder := t.TempDir()
		keys, err := content.CreateMasterKeys(filepath.Join(folder, "master.keys"))
		require.NoError(t, err)
		f := openOn(t, folder, db, keys, content.Options{PartBytes: 1000})
		text := poems(100)
		id, p := f.add(t, ann, text)
		require.Equal(t, text, f.text(t, id))

		c, err := f.Open(t.Context(), id)
		require.NoError(t, err)
		var records [][]byte
		require.NoError(t, c.Records(t.Context(), func(number int, record []byte) error {
			require.Equal(t, len(records), number)
			records = append(records, bytes.Clone(record))
			return nil
		}))
		require.Len(t, records, 100)
		secret, err := f.Secret(t.Context(), f.epoch.Check)
		require.NoError(t, err)
		head := c.Head()
		require.Equal(t, content.Prepared{
			MediaType: "text/plain", Records: 100, Tokens: c.Manifest().Tokens,
			Commitment:  attribution.Commit(head.Salt, records).String(),
			Descriptor:  attribution.CommitDescriptor(head.DescriptorSalt, head.Descriptor).String(),
			Fingerprint: contribution.Fingerprint{Epoch: 1, HMAC: secret.Of(records)},
		}, p)
		require.NotEqual(t, head.Salt, head.DescriptorSalt)
		descriptor, err := c.Descriptor()
		require.NoError(t, err)
		require.Equal(t, content.Descriptor{Author: "Ann Onymous"}, descriptor)

		again, err := f.Finish(t.Context(), ann, id, content.Descriptor{Author: "Ann Onymous"}, f.epoch)
		require.NoError(t, err)
		require.Equal(t, p, again, "a repetition is answered as done")
		_, err = f.Finish(t.Context(), ann, id, content.Descriptor{Author: "Another"}, f.epoch)
		require.ErrorIs(t, err, content.ErrFinished)

		check, err := f.DrawSecret(t.Context())
		require.NoError(t, err)
		next, err := f.Finish(t.Context(), ann, id, content.Descriptor{Author: "Ann Onymous"}, contribution.Epoch{Epoch: 2, Check: check})
		require.NoError(t, err)
		second, err := f.Secret(t.Context(), check)
		require.NoError(t, err)
		require.Equal(t, contribution.Fingerprint{Epoch: 2, HMAC: second.Of(records)}, next.Fingerprint)

		n := place()
		_, err = f.Find(t.Context(), n, p.Commitment)
		require.ErrorIs(t, err, content.ErrNotFound)
		require.NoError(t, f.Assign(t.Context(), ann, id, n))
		require.NoError(t, f.Assign(t.Context(), ann, id, n))
		require.ErrorIs(t, f.Assign(t.Context(), ann, id, place()), content.ErrAssigned)
		found, err := f.Find(t.Context(), n, p.Commitment)
		require.NoError(t, err)
		require.Equal(t, id, found.ID)
		require.ErrorIs(t, f.Discard(t.Context(), ann, id), content.ErrAssigned)

		require.NoError(t, f.Erase(t.Context(), n))
		_, err = f.Open(t.Context(), id)
		require.ErrorIs(t, err, content.ErrErased)
		_, err = f.Find(t.Context(), n, p.Commitment)
		require.ErrorIs(t, err, content.ErrErased)
		require.Empty(t, f.objects(t))
	})
}

func TestAnUploadGoesOnWhereItStopped(t *testing.T) {
	f := open(t, content.Options{PartBytes: 1000})
	text := poems(60)
	u := split(content.File{Name: "a.txt", Bytes: int64(len(text))})
	info, err := f.Begin(t.Context(), ann, u)
	require.NoError(t, err)
	broken := errors.New("the connection broke")
	for at, n := 0, 1; at < len(text); n = n*2 + 17 {
		end := min(at+n, len(text))
		body := io.MultiReader(iotest.OneByteReader(strings.NewReader(text[at:end])), iotest.ErrReader(broken))
		info, err = f.Append(t.Context(), ann, u.ID, int64(at), body)
		require.ErrorIs(t, err, broken)
		require.EqualValues(t, end, info.Received, "what came before is kept")
		var offset *content.OffsetError
		_, err = f.Append(t.Context(), ann, u.ID, int64(at), strings.NewReader("again"))
		require.ErrorAs(t, err, &offset)
		require.EqualValues(t, end, offset.Received)
		at = end
	}
	status, err := f.Status(t.Context(), ann, u.ID)
	require.NoError(t, err)
	require.EqualValues(t, len(text), status.Received)
	require.Len(t, f.objects(t), (len(text)+999)/1000, "parts are full, and no object is left of those they replaced")
	_, err = f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	require.NoError(t, err)
	require.Equal(t, text, f.text(t, u.ID))
	_, err = f.Append(t.Context(), ann, u.ID, int64(len(text)), strings.NewReader("more"))
	require.ErrorIs(t, err, content.ErrFinished)
}

func TestWhatAnUploadRefuses(t *testing.T) {
	f := open(t, content.Options{Quota: 10_000, Limits: ingest.Limits{Files: 3, FileBytes: 8000, RecordBytes: 1000, Records: 50, Bytes: 5000}})
	for claim, u := range map[string]content.Upload{
		"an id that is none":         {ID: "../../etc/passwd", Files: []content.File{{Name: "a.txt", Bytes: 1}}},
		"no file":                    {},
		"too many files":             {Files: make([]content.File, 4)},
		"a path out of the upload":   {Files: []content.File{{Name: "../a.txt", Bytes: 1}}},
		"an absolute path":           {Files: []content.File{{Name: "/a.txt", Bytes: 1}}},
		"a control character":        {Files: []content.File{{Name: "a\n.txt", Bytes: 1}}},
		"a name twice":               {Files: []content.File{{Name: "a.txt", Bytes: 1}, {Name: "a.txt", Bytes: 1}}},
		"a name too long":            {Files: []content.File{{Name: strings.Repeat("a", 255) + ".txt", Bytes: 1}}},
		"an empty file":              {Files: []content.File{{Name: "a.txt"}}},
		"a negative size":            {Files: []content.File{{Name: "a.txt", Bytes: -1}}},
		"a file too large":           {Files: []content.File{{Name: "a.txt", Bytes: 8001}}},
		"files too large":            {Files: []content.File{{Name: "a.txt", Bytes: 8000}, {Name: "b.txt", Bytes: 8000}}},
		"a kind that is not known":   {Files: []content.File{{Name: "a.docx", Bytes: 1}}},
		"files of two kinds":         {Files: []content.File{{Name: "a.txt", Bytes: 1}, {Name: "b.md", Bytes: 1}}},
		"a field's name of any size": {Files: []content.File{{Name: "a.jsonl", Bytes: 1}}, Rules: ingest.Rules{Field: strings.Repeat("a", 256)}},
	} {
		_, err := f.Begin(t.Context(), ann, u)
		var request *content.RequestError
		require.ErrorAs(t, err, &request, claim)
	}
	u := split(content.File{Name: "a.txt", Bytes: 6000})
	_, err := f.Begin(t.Context(), ann, u)
	require.NoError(t, err)
	_, err = f.Begin(t.Context(), ann, u)
	require.NoError(t, err, "a repetition is answered as done")
	other := u
	other.Rules = ingest.Rules{}
	_, err = f.Begin(t.Context(), ann, other)
	require.ErrorIs(t, err, content.ErrExists)
	_, err = f.Begin(t.Context(), bob, u)
	require.ErrorIs(t, err, content.ErrExists)
	_, err = f.Append(t.Context(), bob, u.ID, 0, strings.NewReader("x"))
	require.ErrorIs(t, err, content.ErrNotFound, "nobody else's")
	require.ErrorIs(t, f.Discard(t.Context(), bob, u.ID), content.ErrNotFound)
	_, err = f.Status(t.Context(), bob, u.ID)
	require.ErrorIs(t, err, content.ErrNotFound)

	var quota *content.QuotaError
	_, err = f.Begin(t.Context(), ann, split(content.File{Name: "b.txt", Bytes: 4001}))
	require.ErrorAs(t, err, &quota)
	require.Equal(t, content.QuotaError{Used: 6000, Quota: 10_000}, *quota)
	_, err = f.Begin(t.Context(), bob, split(content.File{Name: "b.txt", Bytes: 4001}))
	require.NoError(t, err, "another account has a quota of its own")

	_, err = f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	var offset *content.OffsetError
	require.ErrorAs(t, err, &offset)
	_, err = f.Open(t.Context(), u.ID)
	require.ErrorIs(t, err, content.ErrUnfinished)
	info, err := f.Append(t.Context(), ann, u.ID, 0, strings.NewReader(strings.Repeat("no record, only spaces", 300)))
	var request *content.RequestError
	require.ErrorAs(t, err, &request)
	require.EqualValues(t, 6000, info.Received)
	_, err = f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	var file *ingest.Error
	require.ErrorAs(t, err, &file, "a record that is too large")
	_, err = f.Finish(t.Context(), ann, u.ID, content.Descriptor{Notes: strings.Repeat("a", 65<<10)}, f.epoch)
	require.ErrorAs(t, err, &request)
	_, err = f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, contribution.Epoch{Epoch: 2, Check: "another"})
	require.ErrorIs(t, err, content.ErrNoSecret)

	require.NoError(t, f.Discard(t.Context(), ann, u.ID))
	require.NoError(t, f.Discard(t.Context(), ann, u.ID))
	_, err = f.Begin(t.Context(), ann, u)
	require.ErrorIs(t, err, content.ErrErased, "an id is for one upload")
	_, err = f.Begin(t.Context(), ann, split(content.File{Name: "b.txt", Bytes: 8000}))
	require.NoError(t, err, "there is room again")
}

func TestAnyRangeIsRead(t *testing.T) {
	f := open(t, content.Options{PartBytes: 150_000})
	text := poems(4000)
	require.Greater(t, len(text), 3*131072)
	id, _ := f.add(t, ann, text)
	c, err := f.Open(t.Context(), id)
	require.NoError(t, err)
	r := c.Reader(t.Context())
	defer r.Close()
	size := int64(len(text))
	for _, from := range []int64{0, 1, 65535, 65536, 65537, 131072, 149_999, 150_000, 150_001, 215_536, 300_000, size - 1, size} {
		for _, n := range []int64{1, 100, 65536, 160_000} {
			at, err := r.Seek(from, io.SeekStart)
			require.NoError(t, err)
			require.Equal(t, from, at)
			got, err := io.ReadAll(io.LimitReader(r, n))
			require.NoError(t, err)
			require.True(t, text[from:min(from+n, size)] == string(got), "%d bytes from %d", n, from)
		}
	}
	end, err := r.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	require.Equal(t, size, end)
	_, err = r.Seek(-1, io.SeekStart)
	require.Error(t, err)
}

func TestFilesOfOneContribution(t *testing.T) {
	f := open(t, content.Options{PartBytes: 64})
	u := content.Upload{ID: id(), Files: []content.File{{Name: "b/two.txt", Bytes: int64(len(verse))}, {Name: "one.txt", Bytes: int64(len(verse)) + 1}}}
	_, err := f.Begin(t.Context(), ann, u)
	require.NoError(t, err)
	_, err = f.Append(t.Context(), ann, u.ID, 0, strings.NewReader(verse+verse+"!"))
	require.NoError(t, err)
	p, err := f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Records)
	c, err := f.Open(t.Context(), u.ID)
	require.NoError(t, err)
	r, err := c.FileReader(t.Context(), "one.txt")
	require.NoError(t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, verse+"!", string(data))
	at, err := r.Seek(-1, io.SeekEnd)
	require.NoError(t, err)
	require.EqualValues(t, len(verse), at)
	_, err = c.FileReader(t.Context(), "three.txt")
	require.ErrorIs(t, err, content.ErrNoFile)
}

func TestAlteredBytesAreNotRead(t *testing.T) {
	for claim, alter := range map[string]func(t *testing.T, paths []string){
		"a bit flipped": func(t *testing.T, paths []string) {
			data, err := os.ReadFile(paths[1])
			require.NoError(t, err)
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(paths[1], data, 0o600))
		},
		"an object cut short": func(t *testing.T, paths []string) { require.NoError(t, os.Truncate(paths[1], 200)) },
		"an object missing":   func(t *testing.T, paths []string) { require.NoError(t, os.Remove(paths[1])) },
		"objects exchanged": func(t *testing.T, paths []string) {
			require.NoError(t, os.Rename(paths[0], paths[0]+"x"))
			require.NoError(t, os.Rename(paths[1], paths[0]))
			require.NoError(t, os.Rename(paths[0]+"x", paths[1]))
		},
		"an object emptied": func(t *testing.T, paths []string) { require.NoError(t, os.Truncate(paths[0], 0)) },
	} {
		t.Run(claim, func(t *testing.T) {
			f := open(t, content.Options{PartBytes: 1000})
			id, _ := f.add(t, ann, poems(100))
			var paths []string
			for _, name := range f.objects(t)[:2] {
				paths = append(paths, filepath.Join(f.folder, "objects", filepath.FromSlash(name)))
			}
			alter(t, paths)
			c, err := f.Open(t.Context(), id)
			require.NoError(t, err)
			require.ErrorIs(t, c.Verify(t.Context()), content.ErrDamaged)
		})
	}
}

func TestNothingLiesInClear(t *testing.T) {
	f := open(t, content.Options{PartBytes: 4096})
	text := poems(50) + "a very secret passage of this poem stands here alone"
	first, n, _ := f.assigned(t, text)
	_, err := f.Begin(t.Context(), ann, split(content.File{Name: "unfinished-secret-name.txt", Bytes: 100}))
	require.NoError(t, err)
	c, err := f.Open(t.Context(), first)
	require.NoError(t, err)
	secret, err := f.Secret(t.Context(), f.epoch.Check)
	require.NoError(t, err)
	var backup bytes.Buffer
	_, err = f.Backup(t.Context(), &backup, true, nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.folder, "backup"), backup.Bytes(), 0o600))

	hidden := append(append(c.Secrets(), f.keys.Masters()...), secret[:], []byte("very secret passage"), []byte("Ann Onymous"), []byte("poems.txt"),
		[]byte("unfinished-secret-name"), []byte("river knows"))
	searched := f.search(t, hidden, "master.keys")
	require.Greater(t, searched, 5)

	// What is erased is not there wrapped or sealed either: one byte of the wrapped key is enough to find it by.
	var wrapped, sealed []byte
	require.NoError(t, f.db.QueryRowContext(t.Context(), `SELECT key, dossier FROM content_items WHERE id = ?`, first).Scan(&wrapped, &sealed))
	require.NoError(t, os.Remove(filepath.Join(f.folder, "backup")))
	require.True(t, f.contains(t, wrapped[20:40]), "the search finds what is there")
	require.NoError(t, f.Erase(t.Context(), n))
	f.search(t, append(hidden, wrapped[20:40], sealed[100:120]), "master.keys")
}

func (f *fixture) contains(t *testing.T, what []byte) (found bool) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(f.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, what)
		return err
	}))
	return found
}

// search looks for bytes, as they are and in the usual encodings, in all files but one, and returns how many it read.
func (f *fixture) search(t *testing.T, hidden [][]byte, except string) (files int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(f.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == except {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, h := range hidden {
			for _, form := range []string{string(h), hex.EncodeToString(h), base64.StdEncoding.EncodeToString(h), base64.RawURLEncoding.EncodeToString(h)} {
				require.False(t, bytes.Contains(data, []byte(form)), "hidden value %d lies in %s", i, entry.Name())
			}
		}
		return nil
	}))
	return files
}

func TestNobodyElseReadsTheFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	f := open(t, content.Options{})
	f.add(t, ann, poems(3))
	require.NoError(t, filepath.WalkDir(filepath.Join(f.folder, "objects"), func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))
	path := filepath.Join(f.folder, "master.keys")
	_, err := content.OpenMasterKeys(path)
	require.NoError(t, err)
	_, err = content.CreateMasterKeys(path)
	require.ErrorContains(t, err, "exists already")
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = content.OpenMasterKeys(path)
	require.ErrorContains(t, err, "chmod 600")
}

func TestRotationWrapsEverythingAnew(t *testing.T) {
	f := open(t, content.Options{})
	text := poems(3)
	first, _, _ := f.assigned(t, text)
	require.Error(t, f.RetireMaster(t.Context(), 1), "it is in use")
	evidence, err := f.DrawKey(t.Context(), content.EvidenceKeys, "a session")
	require.NoError(t, err)
	version, err := f.RotateMaster(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, version)
	second, _ := f.add(t, ann, text)
	require.NoError(t, f.RetireMaster(t.Context(), 1))
	require.Error(t, f.RetireMaster(t.Context(), 2))

	keys, err := content.OpenMasterKeys(filepath.Join(f.folder, "master.keys"))
	require.NoError(t, err)
	require.Len(t, keys.Masters(), 1)
	again := openOn(t, f.folder, f.db, keys, content.Options{})
	require.Equal(t, text, again.text(t, first))
	require.Equal(t, text, again.text(t, second))
	_, err = again.Secret(t.Context(), f.epoch.Check)
	require.NoError(t, err)
	kept, err := again.Key(t.Context(), content.EvidenceKeys, "a session")
	require.NoError(t, err)
	require.Equal(t, evidence, kept)
}

func TestAKeyIsDrawnOnceAndDestroyedForGood(t *testing.T) {
	f := open(t, content.Options{})
	_, err := f.Key(t.Context(), content.EvidenceKeys, "a")
	require.ErrorIs(t, err, content.ErrNoKey)
	first, err := f.DrawKey(t.Context(), content.EvidenceKeys, "a")
	require.NoError(t, err)
	again, err := f.DrawKey(t.Context(), content.EvidenceKeys, "a")
	require.NoError(t, err)
	require.Equal(t, first, again)
	other, err := f.DrawKey(t.Context(), content.EvidenceKeys, "b")
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	require.NoError(t, f.DestroyKey(t.Context(), content.EvidenceKeys, "a"))
	require.NoError(t, f.DestroyKey(t.Context(), content.EvidenceKeys, "a"))
	_, err = f.Key(t.Context(), content.EvidenceKeys, "a")
	require.ErrorIs(t, err, content.ErrNoKey)
	_, err = f.Key(t.Context(), content.EvidenceKeys, "b")
	require.NoError(t, err)
}

func TestCleanUpTakesWhatNobodyGoesOnWith(t *testing.T) {
	f := open(t, content.Options{PartBytes: 1000})
	text := poems(20)
	f.clock = time.Now().Add(time.Minute) // objects have the times of the file system
	unfinished := split(content.File{Name: "a.txt", Bytes: 10_000})
	_, err := f.Begin(t.Context(), ann, unfinished)
	require.NoError(t, err)
	_, err = f.Append(t.Context(), ann, unfinished.ID, 0, strings.NewReader(text))
	require.NoError(t, err)
	never, _ := f.add(t, ann, text)
	kept, _, _ := f.assigned(t, text)
	require.NoError(t, f.bucket.WriteAll(t.Context(), "objects/"+kept+"/"+id(), []byte("left by a crash"), nil))
	before := len(f.objects(t))

	require.NoError(t, f.CleanUp(t.Context(), time.Hour))
	require.Len(t, f.objects(t), before)
	f.clock = f.clock.Add(2 * time.Hour)
	require.NoError(t, f.CleanUp(t.Context(), time.Hour))
	_, err = f.Status(t.Context(), ann, unfinished.ID)
	require.ErrorIs(t, err, content.ErrErased)
	_, err = f.Open(t.Context(), never)
	require.ErrorIs(t, err, content.ErrErased)
	require.Equal(t, text, f.text(t, kept))
	require.Len(t, f.objects(t), (len(text)+999)/1000)
	list, err := f.List(t.Context(), content.Held{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []string{kept}, ids(list))
}

func ids(list []content.Info) (ids []string) {
	for _, info := range list {
		ids = append(ids, info.ID)
	}
	return ids
}

func TestErasingReachesEveryRevision(t *testing.T) {
	f := open(t, content.Options{})
	first, n, _ := f.assigned(t, poems(2))
	second, _ := f.add(t, ann, poems(3))
	require.NoError(t, f.Assign(t.Context(), ann, second, n))
	other, _, _ := f.assigned(t, poems(4))
	require.NoError(t, f.Erase(t.Context(), n))
	require.NoError(t, f.Erase(t.Context(), n))
	for _, gone := range []string{first, second} {
		_, err := f.Open(t.Context(), gone)
		require.ErrorIs(t, err, content.ErrErased)
	}
	require.Equal(t, poems(4), f.text(t, other))
	late, _ := f.add(t, ann, poems(5))
	require.ErrorIs(t, f.Assign(t.Context(), ann, late, n), content.ErrErased)

	never := place()
	require.NoError(t, f.Erase(t.Context(), never))
	require.ErrorIs(t, f.Assign(t.Context(), ann, late, never), content.ErrErased, "a tombstone stays of what was never here too")
}

// erasures is a ledger that asks for some and notes what was acknowledged.
type erasures struct {
	due          []contribution.Named
	acknowledged []contribution.Named
	before       func(contribution.Named) error
}

func (e *erasures) Due(context.Context) ([]contribution.Named, error) { return e.due, nil }

func (e *erasures) Acknowledge(_ context.Context, n contribution.Named) error {
	if err := e.before(n); err != nil {
		return err
	}
	e.acknowledged = append(e.acknowledged, n)
	return nil
}

func (e *erasures) Contribution(_ context.Context, n contribution.Named) (c contribution.Contribution, err error) {
	if !slices.Contains(e.due, n) {
		return c, ledger.Refuse(ledger.CodeNotFound, "no contribution")
	}
	c.State = contribution.Erasing
	return c, nil
}

func TestAnErasureIsAcknowledgedWhenNothingIsLeft(t *testing.T) {
	f := open(t, content.Options{})
	_, first, _ := f.assigned(t, poems(2))
	_, second, p := f.assigned(t, poems(3))
	never := place()
	asked := &erasures{due: []contribution.Named{first, second, never}}
	asked.before = func(n contribution.Named) error {
		if n == second {
			_, err := f.Find(t.Context(), n, p.Commitment)
			require.ErrorIs(t, err, content.ErrErased)
			require.Empty(t, f.objects(t))
		}
		if n == first {
			return errors.New("the peer is down")
		}
		return nil
	}
	done, err := f.Destroy(t.Context(), asked)
	require.ErrorContains(t, err, "the peer is down")
	require.Equal(t, []contribution.Named{second, never}, done, "one that fails does not stop the others")
	asked.due = asked.due[:1]
	asked.before = func(contribution.Named) error { return nil }
	done, err = f.Destroy(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, []contribution.Named{first}, done)
}

func TestAnyBucketWillDo(t *testing.T) {
	f := open(t, content.Options{})
	bucket := memblob.OpenBucket(nil)
	require.NoError(t, f.bucket.Close())
	f.bucket = bucket // which the fixture closes
	var err error
	f.Store, err = content.New(t.Context(), f.db, bucket, f.keys, content.Options{PartBytes: 1000})
	require.NoError(t, err)
	id, n, _ := f.assigned(t, poems(30))
	require.Equal(t, poems(30), f.text(t, id))
	require.NoError(t, f.Erase(t.Context(), n))
	require.Empty(t, f.objects(t))
	for _, address := range []string{"file://host/x", "file:///x?metadata=y", "ftp://x", ":", "file:relative"} {
		_, err := content.OpenBucket(t.Context(), address)
		require.Error(t, err, address)
	}
}

func TestFingerprintSecretsAreThoseOfTheLedger(t *testing.T) {
	f := open(t, content.Options{})
	secret := fingerprint.Secret{1, 2, 3}
	require.Error(t, f.AddSecret(t.Context(), f.epoch.Check, secret))
	require.NoError(t, f.AddSecret(t.Context(), secret.Check(), secret))
	require.NoError(t, f.AddSecret(t.Context(), secret.Check(), secret))
	got, err := f.Secret(t.Context(), secret.Check())
	require.NoError(t, err)
	require.Equal(t, secret, got)
}

func TestProbe(t *testing.T) {
	f := open(t, content.Options{})
	require.NoError(t, f.Probe(t.Context()))
	var left []string
	require.NoError(t, filepath.WalkDir(filepath.Join(f.folder, "objects"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			left = append(left, path)
		}
		return err
	}))
	require.Empty(t, left)
	require.NoError(t, os.RemoveAll(filepath.Join(f.folder, "objects")))
	require.NoError(t, os.WriteFile(filepath.Join(f.folder, "objects"), nil, 0o600))
	require.ErrorContains(t, f.Probe(t.Context()), "content bucket")
}
