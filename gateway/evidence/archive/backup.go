package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Tables are those whose rows a backup of the gateway keeps.
var Tables = []string{"archive_settlements", "archive_leaves", "archive_attestors", "archive_shown"}

// Prepare makes the tables ready for the rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "archive")
}

// Part is a part of a settlement's sealed evidence on its way into a backup and back. The first one has the key.
type Part struct {
	ID  string    `json:"id"`
	Key *[32]byte `json:"key,omitzero"`
	content.FilePiece
}

// Backup hands out the evidence that is not forgotten, part by part. What is forgotten meanwhile may end in the middle.
func Backup(ctx context.Context, folder string, keys Keys, each func(Part) error) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("back up evidence: %w", err)
	}
	for _, e := range entries {
		id, is := strings.CutSuffix(e.Name(), suffix)
		if !is || checkID(id) != nil {
			continue
		}
		key, err := keys.Key(ctx, content.EvidenceKeys, keyName(id))
		if errors.Is(err, content.ErrNoKey) { // forgotten since it was listed
			continue
		}
		if err == nil {
			err = content.ReadPieces(filepath.Join(folder, e.Name()), func(p content.FilePiece) error {
				part := Part{ID: id, FilePiece: p}
				if p.Offset == 0 {
					part.Key = &key
				}
				return each(part)
			})
		}
		if err != nil {
			return fmt.Errorf("back up the evidence of settlement %s: %w", id, err)
		}
	}
	return nil
}

// Restorer keeps keys of a backup; [*content.Store] is one.
type Restorer interface {
	RestoreKey(ctx context.Context, purpose content.Purpose, name string, k [32]byte) error
}

// Restore takes a part of a backup back. The parts of a settlement come in their order. Evidence that is there stays.
func Restore(ctx context.Context, folder string, keys Restorer, p Part) error {
	if err := checkID(p.ID); err != nil {
		return err
	}
	if err := restore(ctx, folder, keys, p); err != nil {
		return fmt.Errorf("restore the evidence of settlement %s: %w", p.ID, err)
	}
	return nil
}

func restore(ctx context.Context, folder string, keys Restorer, p Part) error {
	path := filepath.Join(folder, p.ID+suffix)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if p.Offset == 0 {
		if p.Key == nil {
			return errors.New("its key is missing")
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := keys.RestoreKey(ctx, content.EvidenceKeys, keyName(p.ID), *p.Key); err != nil {
			return err
		}
	}
	if err := p.Write(path + unfinished); err != nil || !p.Last {
		return err
	}
	return rename(path)
}
