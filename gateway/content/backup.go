package content

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/sio"
	"gocloud.dev/gcerrors"

	"github.com/datanet-consortium/datanet/attribution/fingerprint"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Backup is a backup that was made.
type Backup struct {
	ID      string
	Created time.Time
	Master  uint32 // version of the master key that it needs
	Blobs   bool   // it holds the bytes, not only keys and metadata
	Items   int64
	Erased  int64 // how many of them were erased since: no restore revives them
	// Damaged are contents that are not in it, since they are lost, or an object of theirs is missing or has another size.
	// Only [Store.Backup] tells.
	Damaged []string
}

// Backup writes all that is ready, with the secrets of fingerprints and the tombstones, into one encrypted archive (see
// archive.go), with or without the bytes. Unfinished uploads are left out. The file of master keys is no part of it. What
// else the gateway wants to keep in it, more puts there in pieces; nil: nothing.
func (s *Store) Backup(ctx context.Context, out io.Writer, blobs bool, more func(put func(kind string, data []byte) error) error) (Backup, error) {
	b := Backup{ID: newID(), Created: s.now().UTC().Truncate(time.Millisecond), Blobs: blobs}
	k := newKey()
	wrapped, version, err := s.keys.wrap(kindBackup, b.ID, k)
	if err != nil {
		return b, err
	}
	b.Master = version
	id, err := hex.DecodeString(b.ID)
	if err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	if _, err := out.Write(append(append([]byte(backupMagic), id...), wrapped...)); err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	sealed, err := sio.EncryptWriter(struct{ io.Writer }{out}, dare(k)) // which closes no file of the caller's
	if err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	w := &archiveWriter{store: s, tar: tar.NewWriter(sealed)}
	if err := w.all(ctx, blobs, more); err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	if err := errors.Join(w.tar.Close(), sealed.Close()); err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	b.Items, b.Damaged = w.items, w.damaged
	_, err = rowsAffected(s.db.ExecContext(ctx, `INSERT INTO content_backups (id, created, key_version, blobs, items) VALUES (?, ?, ?, ?, ?)`,
		b.ID, b.Created.UnixMilli(), int64(version), flag(blobs), b.Items))
	return b, err
}

// Backups lists the backups that were made, the newest first.
func (s *Store) Backups(ctx context.Context) ([]Backup, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, created, key_version, blobs, items,
		(SELECT count(*) FROM content_tombstones WHERE item <> '' AND erased >= content_backups.created) FROM content_backups ORDER BY created DESC, id`)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	defer rows.Close()
	var list []Backup
	for rows.Next() {
		var b Backup
		var created, blobs int64
		if err := rows.Scan(&b.ID, &created, &b.Master, &blobs, &b.Items, &b.Erased); err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		b.Created, b.Blobs = time.UnixMilli(created).UTC(), blobs == 1
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return list, nil
}

type archiveWriter struct {
	store   *Store
	tar     *tar.Writer
	items   int64
	damaged []string
}

func (w *archiveWriter) all(ctx context.Context, blobs bool, more func(put func(kind string, data []byte) error) error) error {
	if err := w.json("head", archiveHead{blobs}); err != nil {
		return err
	}
	if more != nil {
		if err := more(w.piece); err != nil {
			return err
		}
	}
	if err := w.secrets(ctx); err != nil {
		return err
	}
	if err := w.tombstones(ctx); err != nil {
		return err
	}
	for after := ""; ; {
		rows, err := w.store.rows(ctx, w.store.db, `state IN (?, ?) AND id > ? ORDER BY id LIMIT 50`, Ready, Lost, after)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return w.json("end", archiveEnd{w.items})
		}
		for _, r := range rows {
			after = r.ID
			if err := w.item(ctx, r, blobs); err != nil {
				return err
			}
		}
	}
}

func (w *archiveWriter) piece(kind string, data []byte) error {
	if !pieceKind.MatchString(kind) || len(data) > maxArchiveJSON {
		return fmt.Errorf("a piece of kind %s and %d bytes is none", kind, len(data))
	}
	return w.entry("more/"+kind, int64(len(data)), bytes.NewReader(data))
}

func (w *archiveWriter) secrets(ctx context.Context) error {
	rows, err := w.store.db.QueryContext(ctx, `SELECT check_value, key FROM content_secrets`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var check string
		var wrapped []byte
		if err := rows.Scan(&check, &wrapped); err != nil {
			return err
		}
		if err := w.entry("secret/"+check, int64(len(wrapped)), strings.NewReader(string(wrapped))); err != nil {
			return err
		}
	}
	return rows.Err()
}

// gravesTogether bounds an entry of tombstones.
const gravesTogether = 10_000

func (w *archiveWriter) tombstones(ctx context.Context) error {
	rows, err := w.store.db.QueryContext(ctx, `SELECT item, datanet, contribution, erased FROM content_tombstones`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var graves []grave
	for rows.Next() {
		var g grave
		if err := rows.Scan(&g.Item, &g.Datanet, &g.Contribution, &g.Erased); err != nil {
			return err
		}
		if graves = append(graves, g); len(graves) == gravesTogether {
			if err := w.json("tombstones", graves); err != nil {
				return err
			}
			graves = graves[:0]
		}
	}
	if err := rows.Err(); err != nil || len(graves) == 0 {
		return err
	}
	return w.json("tombstones", graves)
}

func (w *archiveWriter) item(ctx context.Context, r row, blobs bool) error {
	if r.State == Lost {
		w.damaged = append(w.damaged, r.ID)
		return nil
	}
	parts, err := w.store.parts(ctx, w.store.db, r.ID)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return nil // erased since it was listed
	}
	if blobs {
		whole, err := w.store.whole(ctx, parts)
		if err != nil {
			return err
		}
		if !whole {
			if _, err := w.store.row(ctx, w.store.db, `id = ? AND state = ?`, r.ID, Ready); err == nil {
				w.damaged = append(w.damaged, r.ID)
			} else if !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		}
	}
	w.items++
	if err := w.json("item/"+r.ID, archived(r, parts)); err != nil || !blobs {
		return err
	}
	for _, p := range parts {
		object, err := w.store.bucket.NewReader(ctx, p.Object, nil)
		if gcerrors.Code(err) == gcerrors.NotFound { // erased since it was looked at
			return w.json("void/"+r.ID, struct{}{})
		}
		if err != nil {
			return err
		}
		err = w.entry("object"+strings.TrimPrefix(p.Object, strings.TrimSuffix(objects, "/")), object.Size(), object)
		if err = errors.Join(err, object.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (w *archiveWriter) json(name string, v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	return w.entry(name, int64(len(data)), strings.NewReader(string(data)))
}

func (w *archiveWriter) entry(name string, size int64, data io.Reader) error {
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600}); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, data)
	return err
}

// Restored tells what a restore did.
type Restored struct {
	Items   int // contents that are there again, verified against their commitments
	Present int // were there
	Erased  int // stay erased: here, before the backup, or on the ledger
	Secrets int // fingerprint secrets of the backup
	// Failed are contents that could not be restored, by id: their bytes are missing or do not open the commitment, or
	// their master key is gone.
	Failed map[string]error
}

// Restore takes back what a backup holds. Each content is read whole and verified before it counts. What was erased
// after the backup is not revived: the store's tombstones and the backup's tell, and, since both may be older than an
// erasure, the ledger is asked for each contribution. A backup without blobs needs the bucket as it was. take is given the
// pieces that the backup holds besides, in their order and before any content; nil: nobody is.
func (s *Store) Restore(ctx context.Context, in io.Reader, ledger Registry, take func(kind string, data []byte) error) (Restored, error) {
	result := Restored{Failed: map[string]error{}}
	id, wrapped, err := readBackupHead(in)
	if err != nil {
		return result, fmt.Errorf("restore: %w", err)
	}
	k, err := s.keys.unwrap(kindBackup, id, wrapped)
	if err != nil {
		return result, fmt.Errorf("restore: %w", err)
	}
	plain, err := sio.DecryptReader(in, dare(k))
	if err != nil {
		return result, fmt.Errorf("restore: %w", err)
	}
	r := &restorer{ctx: ctx, store: s, ledger: ledger, take: take, result: &result}
	if err := readArchive(plain, r); err != nil {
		return result, fmt.Errorf("restore: %w", err)
	}
	if err := r.complete(); err != nil {
		return result, fmt.Errorf("restore: %w", err)
	}
	return result, s.Rewrap(ctx)
}

type restorer struct {
	ctx     context.Context
	store   *Store
	ledger  Registry
	take    func(kind string, data []byte) error
	result  *Restored
	current *archivedItem // nil when there is none, or it is not wanted
}

func (r *restorer) piece(kind string, data []byte) error {
	if r.take == nil {
		return nil
	}
	return r.take(kind, data)
}

func (r *restorer) secret(check string, wrapped []byte) error {
	k, err := r.store.keys.unwrap(kindFingerprint, check, wrapped)
	if err != nil {
		return err
	}
	r.result.Secrets++
	return r.store.AddSecret(r.ctx, check, fingerprint.Secret(k))
}

func (r *restorer) tombstones(graves []grave) error {
	return r.store.db.InTx(r.ctx, func(tx *database.Tx) error {
		for _, g := range graves {
			if _, err := tx.ExecContext(r.ctx, `INSERT INTO content_tombstones (item, datanet, contribution, erased) VALUES (?, ?, ?, ?)
				ON CONFLICT (item, datanet, contribution) DO NOTHING`, g.Item, g.Datanet, g.Contribution, g.Erased); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *restorer) item(a archivedItem) error {
	if err := r.complete(); err != nil {
		return err
	}
	gone, err := r.store.tombstone(r.ctx, r.store.db, a.Place, a.ID)
	if err == nil && !gone && a.Place != (contribution.Named{}) {
		var c contribution.Contribution
		if c, err = registered(r.ctx, r.ledger, a.Place); err == nil && (c.State == contribution.Erasing || c.State == contribution.Erased) {
			gone, err = true, r.store.Erase(r.ctx, a.Place)
		}
	}
	if err != nil {
		return err
	}
	if gone {
		r.result.Erased++
		return nil
	}
	_, err = r.store.row(r.ctx, r.store.db, `state <> ? AND (id = ? OR (contribution <> '' AND datanet = ? AND contribution = ? AND commitment = ?))`,
		Lost, a.ID, a.Place.Datanet, a.Place.ID, a.Commitment)
	switch {
	case err == nil:
		r.result.Present++
		return nil
	case !errors.Is(err, ErrNotFound):
		return err
	}
	r.current = &a
	return nil
}

func (r *restorer) object(p part, data io.Reader) error {
	if r.current == nil {
		return nil
	}
	w, err := newDurableWriter(r.ctx, r.store.bucket, p.Object)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, data); err != nil {
		return errors.Join(err, w.Writer.Close(), r.store.deleteObject(r.ctx, p.Object))
	}
	return w.Close()
}

func (r *restorer) void() { r.current = nil }

// complete verifies the item that was begun last and takes it in.
func (r *restorer) complete() error {
	a := r.current
	if r.current = nil; a == nil {
		return nil
	}
	row := a.row()
	c, err := r.store.openedWith(row, a.Parts)
	if err == nil {
		err = c.Records(r.ctx, func(int, []byte) error { return nil })
	}
	if err != nil {
		r.result.Failed[a.ID] = err
		return r.ctx.Err()
	}
	row.Verified = r.store.now()
	err = r.store.db.InTx(r.ctx, func(tx *database.Tx) error {
		if gone, err := r.store.tombstone(r.ctx, tx, a.Place, a.ID); err != nil || gone {
			return errors.Join(err, erasedIf(gone))
		}
		for _, lost := range []string{`DELETE FROM content_parts WHERE item IN (SELECT id FROM content_items WHERE id = ? AND state = ?)`,
			`DELETE FROM content_items WHERE id = ? AND state = ?`} {
			if _, err := tx.ExecContext(r.ctx, lost, a.ID, Lost); err != nil {
				return err
			}
		}
		if err := r.store.insert(r.ctx, tx, row); err != nil {
			return err
		}
		for _, p := range a.Parts {
			if _, err := tx.ExecContext(r.ctx, `INSERT INTO content_parts (item, number, object, size) VALUES (?, ?, ?, ?)`, a.ID, p.Number, p.Object, p.Size); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrErased) {
		r.result.Erased++
		return r.store.deleteObjects(r.ctx, objects+a.ID+"/")
	}
	if err != nil {
		return err
	}
	r.result.Items++
	return r.store.replaced(r.ctx, row.Info)
}
