package identity_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

func TestAPIKeysOfABackupDoNotWorkUntilTheyAreKept(t *testing.T) {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w := openOn(t, db)
	trainer := w.trainer(t)
	_, kept := w.key(t, trainer, nil, identity.Read)
	_, stolen := w.key(t, trainer, nil, identity.Read)
	_, ended := w.key(t, trainer, nil, identity.Read)
	require.NoError(t, w.ids.RevokeKey(t.Context(), trainer, ended.ID))
	var backup []database.Piece
	require.NoError(t, db.Dump(t.Context(), identity.Tables, func(p database.Piece) error { backup = append(backup, p); return nil }))

	empty, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, empty.Close()) })
	require.NoError(t, identity.Prepare(t.Context(), empty))
	restore := func(keep ...string) (waiting []string) {
		for _, p := range backup {
			require.NoError(t, identity.Restore(t.Context(), empty, p, w.clock.now()))
		}
		list, err := identity.Restored(t.Context(), empty, w.clock.now(), func(id string) bool {
			return slices.Contains(keep, id)
		})
		require.NoError(t, err)
		for _, one := range list {
			require.Equal(t, trainer.Account, one.Account)
			waiting = append(waiting, one.ID)
		}
		return waiting
	}
	works := func(id string) bool {
		var revoked int64
		require.NoError(t, empty.QueryRowContext(t.Context(), `SELECT revoked FROM identity_keys WHERE id = ?`, id).Scan(&revoked))
		return revoked == 0
	}
	require.ElementsMatch(t, []string{kept.ID, stolen.ID}, restore())
	require.False(t, works(kept.ID))
	require.Equal(t, []string{stolen.ID}, restore(kept.ID, ended.ID))
	require.True(t, works(kept.ID))
	require.False(t, works(stolen.ID))
	require.False(t, works(ended.ID), "it was revoked before the backup")

	_, err = empty.ExecContext(t.Context(), `UPDATE identity_keys SET revoked = 1 WHERE id = ?`, kept.ID)
	require.NoError(t, err)
	require.Equal(t, []string{stolen.ID}, restore(kept.ID), "what is revoked since is not taken back")
	require.False(t, works(kept.ID))
}
