package content

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/gateway/database"
)

// Purpose is what a key is for that the store keeps for another part of the gateway.
type Purpose string

// EvidenceKeys seal the evidence of paid answers, by session, and once it is archived by settlement.
const EvidenceKeys Purpose = "evidence"

// SamplingKeys are the secrets by which an attestor draws the uses that it recomputes.
const SamplingKeys Purpose = "sampling"

// purposes are all there are: a rotation of the master key wraps their keys anew.
var purposes = []Purpose{EvidenceKeys, SamplingKeys}

// ErrNoKey says that the store has no such key, or none any more: what it has sealed is gone.
var ErrNoKey = errors.New("the store has no such key")

// DrawKey is the key with a name: the one that is there, or a fresh one that is kept, wrapped by the master key, before
// it is returned.
func (s *Store) DrawKey(ctx context.Context, purpose Purpose, name string) (k [32]byte, err error) {
	if err := s.keep(ctx, purpose, name, newKey()); err != nil {
		return k, err
	}
	return s.Key(ctx, purpose, name)
}

// Key is a key that DrawKey has drawn, or [ErrNoKey].
func (s *Store) Key(ctx context.Context, purpose Purpose, name string) ([32]byte, error) {
	var wrapped []byte
	err := s.db.QueryRowContext(ctx, `SELECT key FROM content_keys WHERE purpose = ? AND name = ?`, string(purpose), name).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return [32]byte{}, ErrNoKey
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("read a key: %w", err)
	}
	return s.keys.unwrap(string(purpose), name, wrapped)
}

// EachKey gives all keys of a purpose, for a backup.
func (s *Store) EachKey(ctx context.Context, purpose Purpose, each func(name string, k [32]byte) error) error {
	s.rotation.RLock()
	defer s.rotation.RUnlock()
	rows, err := s.db.QueryContext(ctx, `SELECT name, key FROM content_keys WHERE purpose = ? ORDER BY name`, string(purpose))
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var wrapped []byte
		if err := rows.Scan(&name, &wrapped); err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		k, err := s.keys.unwrap(string(purpose), name, wrapped)
		if err != nil {
			return err
		}
		if err := each(name, k); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// RestoreKey keeps a key of a backup. One that is there stays.
func (s *Store) RestoreKey(ctx context.Context, purpose Purpose, name string, k [32]byte) error {
	if !slices.Contains(purposes, purpose) {
		return fmt.Errorf("there are no keys for %.32q", purpose)
	}
	return s.keep(ctx, purpose, name, k)
}

// keep keeps a key, wrapped by the master key, if there is none.
func (s *Store) keep(ctx context.Context, purpose Purpose, name string, k key) error {
	s.rotation.RLock()
	defer s.rotation.RUnlock()
	wrapped, version, err := s.keys.wrap(string(purpose), name, k)
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO content_keys (purpose, name, key, key_version, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (purpose, name) DO NOTHING`, string(purpose), name, wrapped, int64(version), s.now().UnixMilli()); err != nil {
		return fmt.Errorf("keep a key: %w", err)
	}
	return nil
}

// DestroyKey destroys a key: nobody reads again what it has sealed. One that is gone is destroyed.
func (s *Store) DestroyKey(ctx context.Context, purpose Purpose, name string) error {
	if err := s.db.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM content_keys WHERE purpose = ? AND name = ?`, string(purpose), name)
		return err
	}); err != nil {
		return fmt.Errorf("destroy a key: %w", err)
	}
	if err := s.db.Shred(ctx); err != nil {
		return fmt.Errorf("destroy a key: %w", err)
	}
	return nil
}
