package outbox

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/gateway/database"
)

// Tables are those whose rows a backup of the gateway keeps. That of the secret stands first, see [Restore].
var Tables = []string{"outbox_secret", "outbox_attempts", "outbox_entries"}

// Prepare makes the tables ready, for [Open] or for rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "outbox")
}

// Restore takes rows of a backup into the tables of an outbox that nobody has open. A backup does no harm by its age:
// what it holds as under way is sent again and found to be there. But names are derived from the secret, so that of the
// backup counts, and an outbox that has written under another one takes nothing.
func Restore(ctx context.Context, db *database.DB, p database.Piece) error {
	if p.Table != "outbox_secret" {
		return db.Load(ctx, p, Tables)
	}
	err := db.InTx(ctx, func(tx *database.Tx) error {
		for i, row := range p.Rows {
			at := slices.Index(p.Columns, "secret")
			if i > 0 || at < 0 || at >= len(row) || row[at].Bytes == nil {
				return errors.New("the backup's secret of names is damaged")
			}
			var here []byte
			err := tx.QueryRowContext(ctx, `SELECT secret FROM outbox_secret WHERE id = 1`).Scan(&here)
			if err == nil && bytes.Equal(here, *row[at].Bytes) {
				continue
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			var entries int64
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox_entries`).Scan(&entries); err != nil {
				return err
			}
			if entries > 0 {
				return errors.New("this gateway has written to the ledger already: restore into an empty one")
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO outbox_secret (id, secret) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET secret = excluded.secret`, *row[at].Bytes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore the outbox: %w", err)
	}
	return nil
}
