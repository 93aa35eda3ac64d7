package content

import (
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/gateway/database"
)

// rewrapBatch is how many keys one transaction wraps anew.
const rewrapBatch = 200

// RotateMaster draws a new master key and wraps every key in the store by it. After a failure, Rewrap goes on. The old
// master keys stay in their file, for backups, until [Store.RetireMaster].
func (s *Store) RotateMaster(ctx context.Context) (version uint32, err error) {
	s.rotation.Lock()
	version, err = s.keys.add()
	s.rotation.Unlock()
	if err != nil {
		return 0, err
	}
	s.fail(stepMasterAdded)
	return version, s.Rewrap(ctx)
}

// Rewrap wraps by the newest master key what is wrapped by an older one.
func (s *Store) Rewrap(ctx context.Context) error {
	type table struct{ kind, statement, update string }
	tables := []table{
		{kindContent, `SELECT id, key FROM content_items WHERE key IS NOT NULL AND key_version < ? ORDER BY key_version LIMIT ?`,
			`UPDATE content_items SET key = ?, key_version = ? WHERE id = ? AND key IS NOT NULL`},
		{kindFingerprint, `SELECT check_value, key FROM content_secrets WHERE key_version < ? ORDER BY key_version LIMIT ?`,
			`UPDATE content_secrets SET key = ?, key_version = ? WHERE check_value = ?`},
	}
	for _, purpose := range purposes {
		of := `purpose = '` + string(purpose) + `'`
		tables = append(tables, table{string(purpose), `SELECT name, key FROM content_keys WHERE ` + of + ` AND key_version < ? ORDER BY key_version LIMIT ?`,
			`UPDATE content_keys SET key = ?, key_version = ? WHERE ` + of + ` AND name = ?`})
	}
	for _, t := range tables {
		for {
			n, err := s.rewrap(ctx, t.kind, t.statement, t.update)
			if err != nil {
				return fmt.Errorf("wrap keys by the newest master key: %w", err)
			}
			if n == 0 {
				break
			}
			s.fail(stepRewrapped)
		}
	}
	if err := s.db.Shred(ctx); err != nil {
		return fmt.Errorf("wrap keys by the newest master key: %w", err)
	}
	return nil
}

func (s *Store) rewrap(ctx context.Context, kind, statement, update string) (n int, err error) {
	s.rotation.RLock()
	defer s.rotation.RUnlock()
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		type named struct {
			name    string
			wrapped []byte
		}
		var old []named
		rows, err := tx.QueryContext(ctx, statement, int64(s.keys.Version()), rewrapBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k named
			if err := rows.Scan(&k.name, &k.wrapped); err != nil {
				return err
			}
			old = append(old, k)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, k := range old {
			plain, err := s.keys.unwrap(kind, k.name, k.wrapped)
			if err != nil {
				return err
			}
			wrapped, version, err := s.keys.wrap(kind, k.name, plain)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, update, wrapped, int64(version), k.name); err != nil {
				return err
			}
		}
		n = len(old)
		return nil
	})
	return n, err
}

// RetireMaster destroys a master key that wraps nothing in the store any more. Backups that were made under it cannot
// be read afterwards, which is how an erasure reaches them.
func (s *Store) RetireMaster(ctx context.Context, version uint32) error {
	s.rotation.Lock()
	defer s.rotation.Unlock()
	if version >= s.keys.Version() {
		return fmt.Errorf("retire master key %d: it is in use; rotate first", version)
	}
	var n int64
	err := s.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM content_items WHERE key IS NOT NULL AND key_version = ?) + (SELECT count(*) FROM content_secrets WHERE key_version = ?)
		+ (SELECT count(*) FROM content_keys WHERE key_version = ?)`, int64(version), int64(version), int64(version)).Scan(&n)
	if err != nil {
		return fmt.Errorf("retire master key %d: %w", version, err)
	}
	if n > 0 {
		return fmt.Errorf("retire master key %d: it still wraps %d keys; go on with the rotation first", version, n)
	}
	return s.keys.remove(version)
}
