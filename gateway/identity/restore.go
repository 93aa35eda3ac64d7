package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/gateway/database"
)

// Tables are those whose rows a backup of the gateway keeps.
var Tables = []string{"identity_enrolments", "identity_invitations", "identity_keys"}

// Prepare makes the tables ready, for [Open] or for rows of a backup.
func Prepare(ctx context.Context, db *database.DB) error {
	return db.Migrate(ctx, migrations, "identity")
}

// Restored ends what nobody knows of whether it had ended since the backup was made: invitations that were not used then,
// and if so asked, API keys. It tells how many API keys work.
func Restored(ctx context.Context, db *database.DB, now time.Time, revokeKeys bool) (keys int64, err error) {
	err = db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE identity_invitations SET revoked = ? WHERE used = 0 AND revoked = 0`, now.Unix()); err != nil {
			return err
		}
		if revokeKeys {
			if _, err := tx.ExecContext(ctx, `UPDATE identity_keys SET revoked = ? WHERE revoked = 0`, now.Unix()); err != nil {
				return err
			}
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM identity_keys WHERE revoked = 0 AND expires > ?`, now.Unix()).Scan(&keys)
	})
	if err != nil {
		return 0, fmt.Errorf("end the invitations of a backup: %w", err)
	}
	return keys, nil
}
