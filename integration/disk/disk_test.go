package disk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

const verse = "یوسف گمگشته بازآید به کنعان غم مخور"

func TestWhatIsWrittenInAnyFormIsFound(t *testing.T) {
	var s Search
	require.NoError(t, s.Add("verse", []byte(verse)))
	require.NoError(t, s.Add("name", []byte("hafez")))
	salt := [32]byte{1, 255, 3, 0, 62, 63, 251, 239}
	require.NoError(t, s.Add("salt", salt[:]))
	numbers, err := json.Marshal(salt)
	require.NoError(t, err)
	quoted := fmt.Sprintf("%+q", verse)
	for claim, test := range map[string]struct{ written, want string }{
		"raw":                       {verse, "verse as raw"},
		"hex":                       {hex.EncodeToString([]byte(verse)), "verse as hex"},
		"capital hex":               {strings.ToUpper(hex.EncodeToString(salt[:])), "salt as hex in capitals"},
		"JSON with escapes":         {quoted, "verse as escaped"},
		"an array of bytes as JSON": {string(numbers), "salt as a list of numbers"},
		"a short name":              {"by hafez of Shiraz", "name as raw"},
		"a short name in hex":       {hex.EncodeToString([]byte("by hafez")), "name as hex"},
	} {
		t.Run(claim, func(t *testing.T) {
			part := []byte(`{"a":"` + test.written + `"}`)
			require.Contains(t, fmt.Sprint(s.In(part)), test.want)
			part[len(part)/2] ^= 1
			require.NotContains(t, fmt.Sprint(s.In(part)), test.want, "with one bit changed")
		})
	}
	for before := range 7 {
		for after := range 4 {
			part := append(append(bytes.Repeat([]byte{0xa5}, before), salt[:]...), bytes.Repeat([]byte{0x5a}, after)...)
			require.Contains(t, fmt.Sprint(s.In([]byte(base64.StdEncoding.EncodeToString(part)))), "salt as base64", "%d bytes before, %d after", before, after)
			require.Contains(t, fmt.Sprint(s.In([]byte(base64.RawURLEncoding.EncodeToString(part)))), "salt as base64 for URLs", "%d bytes before, %d after", before, after)
		}
	}
	require.Error(t, s.Add("initials", []byte("H.")))
}

// TestADatabaseIsReadThroughItsCompression puts a value where no search of the raw files finds it.
func TestADatabaseIsReadThroughItsCompression(t *testing.T) {
	folder := t.TempDir()
	db, err := leveldb.OpenFile(filepath.Join(folder, "stateLeveldb"), nil)
	require.NoError(t, err)
	value := []byte(strings.Repeat("abcdefgh", 100) + verse[:20] + "abcdefgh" + verse[20:])
	for i := range 100 {
		require.NoError(t, db.Put(fmt.Appendf(nil, "key%d", i), value, nil))
	}
	require.NoError(t, db.Put([]byte("superseded"), []byte("a sentence of which nothing is left"), nil))
	require.NoError(t, db.CompactRange(util.Range{}))
	require.NoError(t, db.Delete([]byte("superseded"), nil))
	require.NoError(t, db.Put([]byte("late"), []byte("written after the tables"), nil))
	require.NoError(t, db.Close())

	var s Search
	require.NoError(t, s.Add("value", value))
	require.NoError(t, s.Add("superseded", []byte("a sentence of which nothing is left")))
	require.NoError(t, s.Add("late", []byte("written after the tables")))
	tables, err := filepath.Glob(filepath.Join(folder, "stateLeveldb", "*.ldb"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, name := range tables {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(raw), string(value), "the table is compressed")
	}
	found := map[string]bool{}
	require.NoError(t, Read(folder, func(place string, part []byte) error {
		require.True(t, strings.HasPrefix(place, "stateLeveldb"+string(filepath.Separator)), place)
		for _, f := range s.In(part) {
			found[f.String()] = true
		}
		return nil
	}))
	require.Equal(t, map[string]bool{"value as raw": true, "superseded as raw": true, "late as raw": true}, found)
}

func TestABlockFileIsReadBlockByBlock(t *testing.T) {
	folder := t.TempDir()
	block := append([]byte{200, 1}, bytes.Repeat([]byte{7}, 200)...)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "blockfile_000000"), append(block, 2, 8, 9), 0o600))
	var parts []int
	require.NoError(t, Read(folder, func(_ string, part []byte) error {
		parts = append(parts, len(part))
		return nil
	}))
	require.Equal(t, []int{200, 2}, parts)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "blockfile_000001"), block[:50], 0o600))
	require.ErrorContains(t, Read(folder, func(string, []byte) error { return nil }), "no sound length")
}

func FuzzRead(f *testing.F) {
	f.Add("blockfile_000000", []byte{2, 8, 9})
	f.Add("000001.log", []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add("000001.ldb", []byte("not a table"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		file, err := os.Create(filepath.Join(t.TempDir(), "part"))
		require.NoError(t, err)
		defer file.Close()
		_, err = file.Write(content)
		require.NoError(t, err)
		_, err = file.Seek(0, 0)
		require.NoError(t, err)
		_ = readerOf(name)(file, int64(len(content)), func([]byte) error { return nil }) // may fail, must not panic
	})
}
