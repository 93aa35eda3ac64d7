package content

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/fingerprint"
)

// ErrNoSecret says that the secret of a fingerprint epoch is not in the store: an operator has it fetched from another
// member's gateway.
var ErrNoSecret = errors.New("the fingerprint secret of this epoch is not in the store: fetch it from another member's gateway")

// DrawSecret draws a fingerprint secret and returns its check value, which a proposal of kind fingerprint.rotate puts in
// force.
func (s *Store) DrawSecret(ctx context.Context) (check string, err error) {
	secret := fingerprint.Secret(newKey())
	return secret.Check(), s.AddSecret(ctx, secret.Check(), secret)
}

// AddSecret keeps a fingerprint secret that another member handed over, if it is that of the check value.
func (s *Store) AddSecret(ctx context.Context, check string, secret fingerprint.Secret) error {
	if secret.Check() != check {
		return errors.New("keep a fingerprint secret: it is not the one that the ledger's check value is of")
	}
	s.rotation.RLock()
	defer s.rotation.RUnlock()
	wrapped, version, err := s.keys.wrap(kindFingerprint, check, key(secret))
	if err != nil {
		return err
	}
	_, err = rowsAffected(s.db.ExecContext(ctx, `INSERT INTO content_secrets (check_value, key, key_version, created) VALUES (?, ?, ?, ?)
		ON CONFLICT (check_value) DO NOTHING`, check, wrapped, int64(version), s.now().UnixMilli()))
	return err
}

// Secret is the fingerprint secret with a check value, or [ErrNoSecret].
func (s *Store) Secret(ctx context.Context, check string) (fingerprint.Secret, error) {
	var wrapped []byte
	err := s.db.QueryRowContext(ctx, `SELECT key FROM content_secrets WHERE check_value = ?`, check).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return fingerprint.Secret{}, ErrNoSecret
	}
	if err != nil {
		return fingerprint.Secret{}, fmt.Errorf("read a fingerprint secret: %w", err)
	}
	k, err := s.keys.unwrap(kindFingerprint, check, wrapped)
	return fingerprint.Secret(k), err
}
