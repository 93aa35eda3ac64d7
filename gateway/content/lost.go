package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gocloud.dev/gcerrors"
)

// What is not whole any more is lost: an object is missing or altered, or the key does not open. The store then answers
// as if it did not have it, so that it is fetched as what was never here is. Nothing of it is destroyed before that has
// come, or before it is erased: a bucket that was away comes back, and what is read whole again counts again.

// manySuspects bounds what waits to be checked. What does not fit in is found when its turn comes.
const manySuspects = 64

// Suspects are the ids of contents that could not be read, to be checked.
func (s *Store) Suspects() <-chan string { return s.suspects }

func (s *Store) suspect(id string) {
	select {
	case s.suspects <- id:
	default:
	}
}

// Check looks whether a content is whole and tells the state it is in now: whether its objects are there in their sizes,
// and when it is to be read, whether its bytes open the commitment. What is lost counts again only after it was read. A content
// of which an object cannot be read stays in its state, and the error is [ErrUnreadable].
func (s *Store) Check(ctx context.Context, id string, read bool) (Info, error) {
	r, err := s.row(ctx, s.db, `id = ?`, id)
	if err != nil || r.State != Ready && r.State != Lost {
		return r.Info, err
	}
	if r.State == Lost {
		if by, err := s.Find(ctx, r.Place, r.Commitment); err == nil && by.State == Ready {
			return by, s.drop(ctx, r.ID) // a crash came between
		}
	}
	err = s.examine(ctx, r, read || r.State == Lost)
	switch {
	case err == nil && r.State == Lost:
		return s.regain(ctx, r)
	case unreadable(err):
		return r.Info, fmt.Errorf("%w: %w", ErrUnreadable, err)
	case !errors.Is(err, ErrDamaged):
		return r.Info, err
	}
	r.State = Lost
	_, err = rowsAffected(s.db.ExecContext(ctx, `UPDATE content_items SET state = ? WHERE id = ? AND state = ?`, Lost, id, Ready))
	return r.Info, err
}

// unreadable tells errors over one object from those over the whole bucket, after which looking further is no use.
func unreadable(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) || gcerrors.Code(err) == gcerrors.PermissionDenied
}

// examine fails with [ErrDamaged] when a content is not whole.
func (s *Store) examine(ctx context.Context, r row, read bool) error {
	parts, err := s.parts(ctx, s.db, r.ID)
	if err != nil {
		return err
	}
	whole, err := s.whole(ctx, parts)
	if err == nil && !whole {
		err = fmt.Errorf("an object of content %s: %w", r.ID, ErrDamaged)
	}
	if err != nil {
		return err
	}
	c, err := s.openedWith(r, parts)
	if err != nil || !read {
		return err
	}
	c.examined = true
	return c.Verify(ctx)
}

// regain has a lost content count again.
func (s *Store) regain(ctx context.Context, r row) (Info, error) {
	other, err := s.Find(ctx, r.Place, r.Commitment)
	switch {
	case err == nil && other.State == Ready: // it came while this one was read
		return other, s.drop(ctx, r.ID)
	case err == nil: // what has come of another one so far
		err = s.mark(ctx, `id = ? AND state = ?`, []any{other.ID, Uploading}, nil, false)
		if err == nil {
			err = s.sweep(ctx, `id = ?`, other.ID)
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r.Info, err
	}
	r.State = Ready
	_, err = rowsAffected(s.db.ExecContext(ctx, `UPDATE content_items SET state = ? WHERE id = ? AND state = ?`, Ready, r.ID, Lost))
	return r.Info, err
}

// replaced destroys what was lost and another content has taken the place of.
func (s *Store) replaced(ctx context.Context, by Info) error {
	rows, err := s.rows(ctx, s.db, `state = ? AND datanet = ? AND contribution = ? AND commitment = ?`, Lost, by.Place.Datanet, by.Place.ID, by.Commitment)
	for _, r := range rows {
		err = errors.Join(err, s.drop(ctx, r.ID))
	}
	return err
}

// Unverified lists contents that were last read whole before a time, the one that has waited longest first.
func (s *Store) Unverified(ctx context.Context, before time.Time, limit int) (ids []string, err error) {
	rows, err := s.rows(ctx, s.db, `state = ? AND verified < ? ORDER BY verified LIMIT ?`, Ready, before.UnixMilli(), limit)
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids, err
}
