package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Tables are those whose rows a backup of the gateway keeps.
var Tables = []string{"identity_enrolments", "identity_invitations", "identity_retired", keyTable}

const keyTable = "identity_keys"

// Prepare makes the tables ready, for [Open] or for rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "identity")
}

// Restore puts rows of a backup into their table. API keys that worked when the backup was made do not work now, since
// they may have been revoked after it; see [Restored].
func Restore(ctx context.Context, db *database.DB, p database.Piece, now time.Time) error {
	if p.Table == keyTable {
		if err := end(&p, now.Unix()); err != nil {
			return err
		}
	}
	return db.Load(ctx, p, Tables)
}

// end marks the keys among the rows as revoked and restored.
func end(p *database.Piece, now int64) error {
	revoked := slices.Index(p.Columns, "revoked")
	if revoked < 0 {
		return fmt.Errorf("load rows of table %s: they do not tell what is revoked", keyTable)
	}
	restored := slices.Index(p.Columns, "restored")
	if restored < 0 { // a backup of an earlier program
		restored = len(p.Columns)
		p.Columns = append(slices.Clone(p.Columns), "restored")
	}
	none, one := int64(0), int64(1)
	for i, row := range p.Rows {
		if len(row) <= revoked {
			return fmt.Errorf("load rows of table %s: a row has another number of columns", keyTable)
		}
		if len(row) == restored {
			row = append(slices.Clone(row), database.Value{Number: &none})
		}
		if n := row[revoked].Number; n == nil || *n == 0 {
			row[revoked].Number, row[restored].Number = &now, &one
		}
		p.Rows[i] = row
	}
	return nil
}

// Waiting is an API key of a backup that does not work until an operator says that nobody had revoked it.
type Waiting struct {
	ID      string         `json:"id"`
	Account ledger.Account `json:"account"`
	Label   string         `json:"label,omitzero"`
	Expires time.Time      `json:"expires"`
}

// Restored ends what nobody knows of whether it had ended since the backup was made: invitations that were not used then.
// API keys of the backup work again if keep says so. It tells which do not.
func Restored(ctx context.Context, db *database.DB, now time.Time, keep func(id string) bool) (waiting []Waiting, err error) {
	err = db.InTx(ctx, func(tx *database.Tx) error {
		waiting = nil
		if _, err := tx.ExecContext(ctx, `UPDATE identity_invitations SET revoked = ? WHERE used = 0 AND revoked = 0`, now.Unix()); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT id, account, label, expires FROM identity_keys WHERE restored = 1 AND expires > ? ORDER BY account, created, id`, now.Unix())
		if err != nil {
			return err
		}
		defer rows.Close()
		var again []string
		for rows.Next() {
			var w Waiting
			var account string
			var expires int64
			if err := rows.Scan(&w.ID, &account, &w.Label, &expires); err != nil {
				return err
			}
			w.Account, w.Expires = ledger.Account(account), time.Unix(expires, 0).UTC()
			if keep(w.ID) {
				again = append(again, w.ID)
			} else {
				waiting = append(waiting, w)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range again {
			if _, err := tx.ExecContext(ctx, `UPDATE identity_keys SET revoked = 0, restored = 0 WHERE id = ? AND restored = 1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("end the invitations of a backup: %w", err)
	}
	return waiting, nil
}
