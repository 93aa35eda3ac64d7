package database

import (
	"context"
	"errors"
	"fmt"
)

// Shred sees to it that what was deleted, or replaced, cannot be read from the database's files any more. On SQLite
// (with synchronous=full, where deleted bytes are overwritten) it writes the log back and empties it; it fails when a
// reader holds that up for long, and may be repeated. On PostgreSQL it does nothing: dead rows and the write-ahead log
// stay for as long as its operator has set, archives included.
func (d *DB) Shred(ctx context.Context) error {
	if d.Dialect != SQLite {
		return nil
	}
	var busy, pages, done int64
	if err := d.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done); err != nil {
		return fmt.Errorf("shred deleted rows: %w", err)
	}
	if busy != 0 {
		return errors.New("shred deleted rows: somebody reads the database all the time; try again")
	}
	return nil
}
