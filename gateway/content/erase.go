package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Erase destroys everything that is held of a contribution, of all its revisions, own or replica: keys first, then
// bytes. A tombstone stays, also when nothing was held, so that nothing of it is received or restored again. It may be
// repeated after a failure.
func (s *Store) Erase(ctx context.Context, place contribution.Named) error {
	if err := place.Validate(); err != nil {
		return err
	}
	if err := s.mark(ctx, `datanet = ? AND contribution = ?`, []any{place.Datanet, place.ID}, &place, true); err != nil {
		return err
	}
	return s.sweep(ctx, `datanet = ? AND contribution = ?`, place.Datanet, place.ID)
}

// erase destroys the items of a condition and leaves tombstones of them.
func (s *Store) erase(ctx context.Context, where string, args ...any) error {
	if err := s.mark(ctx, where, args, nil, true); err != nil {
		return err
	}
	return s.sweep(ctx, `1 = 1`)
}

// drop destroys an item that may come again under another id.
func (s *Store) drop(ctx context.Context, id string) error {
	if err := s.mark(ctx, `id = ?`, []any{id}, nil, false); err != nil {
		return err
	}
	return s.sweep(ctx, `id = ?`, id)
}

// mark destroys the keys and dossiers of the items of a condition. After it nobody opens them any more.
func (s *Store) mark(ctx context.Context, where string, args []any, place *contribution.Named, forGood bool) error {
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		rows, err := s.rows(ctx, tx, where, args...)
		if err != nil {
			return err
		}
		bury := func(item string, n contribution.Named) error {
			_, err := rowsAffected(tx.ExecContext(ctx, `INSERT INTO content_tombstones (item, datanet, contribution, erased) VALUES (?, ?, ?, ?)
				ON CONFLICT (item, datanet, contribution) DO NOTHING`, item, n.Datanet, n.ID, s.now().UnixMilli()))
			return err
		}
		if place != nil {
			if err := bury("", *place); err != nil {
				return err
			}
		}
		for _, r := range rows {
			if forGood {
				if err := bury(r.ID, r.Place); err != nil {
					return err
				}
			}
			// The commitment goes too, so that a replica may be received again while this one is swept.
			if _, err := rowsAffected(tx.ExecContext(ctx, `UPDATE content_items SET state = ?, key = NULL, key_version = 0, dossier = NULL, commitment = '', updated = ? WHERE id = ?`,
				erasing, s.now().UnixMilli(), r.ID)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	s.fail(stepKeyDestroyed)
	return nil
}

// sweep deletes what is left of items of a condition whose keys are destroyed.
func (s *Store) sweep(ctx context.Context, where string, args ...any) error {
	rows, err := s.rows(ctx, s.db, `state = ? AND (`+where+`)`, append([]any{erasing}, args...)...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := s.deleteObjects(ctx, objects+r.ID+"/"); err != nil {
			return err
		}
		s.fail(stepObjectsDeleted)
		err := s.db.InTx(ctx, func(tx *database.Tx) error {
			if _, err := rowsAffected(tx.ExecContext(ctx, `DELETE FROM content_parts WHERE item = ?`, r.ID)); err != nil {
				return err
			}
			_, err := rowsAffected(tx.ExecContext(ctx, `DELETE FROM content_items WHERE id = ? AND state = ?`, r.ID, erasing))
			return err
		})
		if err != nil {
			return fmt.Errorf("erase: %w", err)
		}
		s.fail(stepErased)
	}
	// Also when there is nothing left to sweep: an earlier attempt may have ended just before this.
	if err := s.db.Shred(ctx); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	return nil
}

func (s *Store) deleteObjects(ctx context.Context, prefix string) error {
	list := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the content bucket: %w", err)
		}
		if err := s.deleteObject(ctx, object.Key); err != nil {
			return err
		}
	}
}

// Erasures is what the ledger knows of erasures, seen from this organisation.
type Erasures interface {
	// Due lists the erasures that wait for this organisation's acknowledgement.
	Due(ctx context.Context) ([]contribution.Named, error)
	// Acknowledge says for this organisation that content and key are destroyed, and returns when that is committed.
	Acknowledge(ctx context.Context, n contribution.Named) error
}

// Destroy destroys what the ledger has asked this organisation to erase and acknowledges each erasure once nothing is
// left of it in bucket and database. One that fails does not stop the others and is tried again by the next call. The
// keys in backups that were made before stay wrapped by the master keys of then: no restore revives them, and
// [Store.RetireMaster] after [Store.RotateMaster] makes those backups unreadable, see [Store.Backups].
func (s *Store) Destroy(ctx context.Context, ledger Erasures) (done []contribution.Named, err error) {
	due, err := ledger.Due(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask which erasures are due: %w", err)
	}
	var failures []error
	for _, n := range due {
		if err := s.Erase(ctx, n); err != nil {
			failures = append(failures, fmt.Errorf("contribution %s of %s: %w", n.ID, n.Datanet, err))
			continue
		}
		if err := ledger.Acknowledge(ctx, n); err != nil {
			failures = append(failures, fmt.Errorf("acknowledge the erasure of contribution %s of %s: %w", n.ID, n.Datanet, err))
			continue
		}
		done = append(done, n)
	}
	return done, errors.Join(failures...)
}

// CleanUp removes what nobody goes on with for a given time: uploads and replicas that are not all there, own content
// that was never assigned, and objects that a crash left behind. It also ends erasures that a crash broke off.
func (s *Store) CleanUp(ctx context.Context, unused time.Duration) error {
	if err := s.sweep(ctx, `1 = 1`); err != nil {
		return err
	}
	before := s.now().Add(-unused)
	if err := s.erase(ctx, `updated < ? AND (state = ? OR (state IN (?, ?) AND contribution = ''))`, before.UnixMilli(), Uploading, Ready, Lost); err != nil {
		return err
	}
	list := s.bucket.List(&blob.ListOptions{Prefix: objects})
	for {
		object, err := list.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the content bucket: %w", err)
		}
		if object.ModTime.After(before) {
			continue
		}
		var named int64
		if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM content_parts WHERE object = ?`, object.Key).Scan(&named); err != nil {
			return fmt.Errorf("read the content store: %w", err)
		}
		if named == 0 {
			if err := s.deleteObject(ctx, object.Key); err != nil {
				return err
			}
		}
	}
}
