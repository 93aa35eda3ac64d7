// Package disk finds out what the folder of a stopped node holds, byte by byte: whether something that must never reach
// the ledger stands in its block files, its databases or its logs.
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/syndtr/goleveldb/leveldb/journal"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/table"
)

// maxPart bounds a file, a block or a value before it is read.
const maxPart = 1 << 30

// Read visits everything under a folder, in the parts in which it was stored: each block of a block file, each key and
// value of a LevelDB table (which are compressed), also superseded and deleted ones that no compaction has removed yet,
// each batch of a LevelDB journal, and every other file as a whole. Place says where a part stands, relative to the
// folder. Whoever has the folder open must have stopped. The bytes are good until visit returns.
func Read(folder string, visit func(place string, part []byte) error) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		place, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read a node's folder: %w", err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return fmt.Errorf("read a node's folder: %w", err)
		}
		if info.Size() > maxPart {
			return fmt.Errorf("%s has %d bytes, more than a test network writes", path, info.Size())
		}
		if err := readerOf(path)(file, info.Size(), func(part []byte) error { return visit(place, part) }); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

type reader func(file *os.File, size int64, visit func([]byte) error) error

var journalName = regexp.MustCompile(`^(\d{6,}\.log|MANIFEST-\d{6,})$`)

func readerOf(path string) reader {
	name := filepath.Base(path)
	switch {
	case strings.HasPrefix(name, "blockfile_"):
		return blocks
	case strings.HasSuffix(name, ".ldb"):
		return tables
	case journalName.MatchString(name):
		return journals
	}
	return whole
}

func whole(file *os.File, size int64, visit func([]byte) error) error {
	content, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return err
	}
	return visit(content)
}

// blocks reads a file of Fabric's block store: blocks one after the other, each behind its length as a varint.
func blocks(file *os.File, size int64, visit func([]byte) error) error {
	content, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return err
	}
	for number := 0; len(content) > 0; number++ {
		length, n := binary.Uvarint(content)
		if n <= 0 || length == 0 || length > uint64(len(content)-n) {
			return fmt.Errorf("block %d of the file has no sound length", number)
		}
		if err := visit(content[n:][:length]); err != nil {
			return err
		}
		content = content[n+int(length):]
	}
	return nil
}

func tables(file *os.File, size int64, visit func([]byte) error) error {
	t, err := table.NewReader(file, size, storage.FileDesc{Type: storage.TypeTable}, nil, nil, &opt.Options{})
	if err != nil {
		return err
	}
	defer t.Release()
	entries := t.NewIterator(nil, nil)
	defer entries.Release()
	for entries.Next() {
		if err := errors.Join(visit(entries.Key()), visit(entries.Value())); err != nil {
			return err
		}
	}
	return entries.Error()
}

func journals(file *os.File, _ int64, visit func([]byte) error) error {
	batches := journal.NewReader(file, nil, true, true)
	for {
		batch, err := batches.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(io.LimitReader(batch, maxPart))
		if err != nil {
			return err
		}
		if err := visit(content); err != nil {
			return err
		}
	}
}
