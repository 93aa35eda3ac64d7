package content

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// Upload begins an upload. The same request again is answered as done.
type Upload struct {
	ID    string       // 32 lower-case hex digits, random, chosen by the client; "" draws one
	Files []File       // in the order of their bytes
	Rules ingest.Rules // what a record is
}

// mediaTypes are the ledger's names of formats.
var mediaTypes = map[ingest.Format]string{
	ingest.Text: "text/plain", ingest.Markdown: "text/markdown", ingest.JSONLines: "application/jsonl", ingest.CSV: "text/csv", ingest.Code: "text/x-source",
}

// mediaType is the one of all files.
func mediaType(files []File) (string, error) {
	first := ingest.Format("")
	for i, f := range files {
		format, err := ingest.FormatOf(f.Name)
		if err != nil {
			return "", invalid(fmt.Sprintf("files.%d.name", i), "%q %v", ledger.Clip(f.Name), err)
		}
		if first == "" {
			first = format
		}
		if format != first {
			return "", invalid(fmt.Sprintf("files.%d.name", i), "%q is %s, the files before it are %s: a contribution is of one kind", ledger.Clip(f.Name), format, first)
		}
	}
	return mediaTypes[first], nil
}

// maxName bounds a file's name, in bytes; it may be a path within what is uploaded.
const maxName = 255

func checkFiles(files []File, rules ingest.Rules, limits ingest.Limits) (size int64, err error) {
	if len(files) < 1 || len(files) > limits.Files {
		return 0, invalid("files", "a contribution has 1 to %d files", limits.Files)
	}
	seen := make(map[string]bool, len(files))
	for i, f := range files {
		field := fmt.Sprintf("files.%d", i)
		switch {
		case len(f.Name) > maxName || !fs.ValidPath(f.Name) || f.Name == "." || strings.ContainsFunc(f.Name, unicode.IsControl):
			return 0, invalid(field+".name", "a file's name is a relative path of at most %d bytes, without control characters", maxName)
		case seen[f.Name]:
			return 0, invalid(field+".name", "%q stands twice", ledger.Clip(f.Name))
		case f.Bytes < 1 || f.Bytes > limits.FileBytes:
			return 0, invalid(field+".bytes", "a file has 1 to %d bytes", limits.FileBytes)
		}
		seen[f.Name] = true
		if size += f.Bytes; size > maxSize(limits) {
			return 0, invalid("files", "they have more than %d bytes together: give them in several contributions", maxSize(limits))
		}
	}
	if len(rules.Field) > maxName || len(rules.Columns) > 64 || slices.ContainsFunc(rules.Columns, func(c string) bool { return len(c) > maxName }) {
		return 0, invalid("rules", "a field's or column's name has at most %d bytes, and there are at most 64", maxName)
	}
	return size, nil
}

// maxSize bounds the files of a content together. JSON Lines and CSV are larger than the records in them.
func maxSize(limits ingest.Limits) int64 { return 2 * limits.Bytes }

// Begin begins an upload, or finds the one that an earlier, equal request began.
func (s *Store) Begin(ctx context.Context, account ledger.Account, u Upload) (Info, error) {
	if u.ID == "" {
		u.ID = newID()
	}
	if err := ledger.ValidID("id", u.ID); err != nil {
		return Info{}, invalid("id", "must be 16 random bytes as 32 lower-case hex digits")
	}
	size, err := checkFiles(u.Files, u.Rules, s.options.Limits)
	if err != nil {
		return Info{}, err
	}
	if _, err := mediaType(u.Files); err != nil {
		return Info{}, err
	}
	r := row{Info: Info{ID: u.ID, Account: account, Size: size}}
	info, created, err := s.begin(ctx, r, dossier{Files: u.Files, Rules: u.Rules})
	if err != nil || created {
		return info, err
	}
	c, err := s.open(ctx, u.ID)
	switch {
	case err != nil:
		return Info{}, err
	case c.Account != account || c.Replica:
		return Info{}, ErrExists // and nothing about whose it is
	case !slices.Equal(c.dossier.Files, u.Files) || !equalRules(c.dossier.Rules, u.Rules):
		return Info{}, ErrExists
	}
	return c.Info, nil
}

func equalRules(a, b ingest.Rules) bool {
	return a.Split == b.Split && a.Field == b.Field && a.SkipShort == b.SkipShort && slices.Equal(a.Columns, b.Columns)
}

// begin stores a new item in state uploading, under a fresh key, unless its id, or the place of a replica, is taken.
func (s *Store) begin(ctx context.Context, r row, d dossier) (info Info, created bool, err error) {
	s.rotation.RLock()
	defer s.rotation.RUnlock()
	k := newKey()
	version := uint32(0)
	if r.wrapped, version, err = s.keys.wrap(kindContent, r.ID, k); err != nil {
		return Info{}, false, err
	}
	plain, err := encode(d)
	if err != nil {
		return Info{}, false, err
	}
	if r.dossier, err = k.seal(r.ID, plain); err != nil {
		return Info{}, false, err
	}
	r.keyVersion, r.State, r.partSize = int64(version), Uploading, s.options.PartBytes
	r.Created = s.now().UTC().Truncate(time.Millisecond)
	r.Updated = r.Created
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		created = false
		if gone, err := s.tombstone(ctx, tx, r.Place, r.ID); err != nil || gone {
			return errors.Join(err, erasedIf(gone))
		}
		_, err := s.row(ctx, tx, `id = ? OR (replica = 1 AND commitment <> '' AND state <> 'lost' AND datanet = ? AND contribution = ? AND commitment = ?)`,
			r.ID, r.Place.Datanet, r.Place.ID, r.Commitment)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := s.checkQuota(ctx, tx, r); err != nil {
			return err
		}
		created = true
		return s.insert(ctx, tx, r)
	})
	return r.Info, created, err
}

func (s *Store) checkQuota(ctx context.Context, tx *database.Tx, r row) error {
	if s.options.Quota == 0 || r.Replica {
		return nil
	}
	var used int64
	err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM content_items WHERE account = ? AND replica = 0`, r.Account).Scan(&used)
	if err != nil {
		return fmt.Errorf("read the content store: %w", err)
	}
	if used+r.Size > s.options.Quota {
		return &QuotaError{Used: used, Quota: s.options.Quota}
	}
	return nil
}

// Status tells how far an account's own upload is, or what became of it.
func (s *Store) Status(ctx context.Context, account ledger.Account, id string) (Info, error) {
	c, err := s.owned(ctx, account, id)
	if err != nil {
		return Info{}, err
	}
	return c.Info, nil
}

// owned opens own content of an account. That of others is not found.
func (s *Store) owned(ctx context.Context, account ledger.Account, id string) (*Content, error) {
	c, err := s.open(ctx, id)
	if err == nil && (c.Replica || c.Account != account) {
		return nil, ErrNotFound
	}
	return c, err
}

// Append adds bytes to an upload, from offset on, which must be where those received end. What it returns as received is
// durable, also when it fails because the body breaks off. It reads and keeps the body in pieces of constant size.
func (s *Store) Append(ctx context.Context, account ledger.Account, id string, offset int64, body io.Reader) (Info, error) {
	c, err := s.owned(ctx, account, id)
	if err != nil {
		return Info{}, err
	}
	return s.append(ctx, c, offset, body)
}

// persistence is how long what was received of a body may take to be stored after its sender has gone.
const persistence = time.Minute

func (s *Store) append(ctx context.Context, c *Content, offset int64, body io.Reader) (Info, error) {
	if c.State != Uploading {
		return c.Info, ErrFinished
	}
	r, err := s.row(ctx, s.db, `id = ?`, c.ID)
	if err != nil {
		return c.Info, err
	}
	if offset != c.Received {
		return c.Info, &OffsetError{Received: c.Received}
	}
	in := bufio.NewReaderSize(&cautious{ctx: ctx, in: body}, 64<<10)
	for {
		_, err := in.Peek(1)
		switch {
		case err == io.EOF:
			return c.Info, nil
		case err != nil:
			return c.Info, fmt.Errorf("receive content %s: %w", c.ID, err)
		case c.Received == c.Size:
			return c.Info, invalid("body", "it is longer than the %d bytes that were announced", c.Size)
		}
		if err := s.appendPart(ctx, c, r.partSize, in); err != nil {
			return c.Info, err
		}
	}
}

// A cautious reader ends when the context does, which whoever sends a body may not notice.
type cautious struct {
	ctx context.Context
	in  io.Reader
}

func (c *cautious) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.in.Read(p)
}

// A draining reader ends where the one below fails: what was read before is to be kept.
type draining struct{ in io.Reader }

func (d draining) Read(p []byte) (int, error) {
	n, err := d.in.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// appendPart fills the last part, if it is short, or adds one, and notes it. There is at least one byte.
func (s *Store) appendPart(ctx context.Context, c *Content, partSize int64, in io.Reader) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistence)
	defer cancel()
	number, before := int64(len(c.parts)), part{}
	room := partSize
	var source io.Reader
	if number > 0 && c.parts[number-1].Size < partSize {
		number--
		before = c.parts[number]
		old, err := s.readPart(ctx, c.key, before, 0)
		if err != nil {
			return err
		}
		defer old.Close()
		room -= before.Size
		source = old
	}
	fresh := draining{io.LimitReader(in, min(room, c.Size-c.Received))}
	if source == nil {
		source = fresh
	} else {
		source = io.MultiReader(source, fresh)
	}
	p, err := s.writePart(ctx, c.ID, c.key, number, source)
	if err != nil {
		return err
	}
	s.fail(stepWritten)
	received := c.Received + p.Size - before.Size
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		n, err := rowsAffected(tx.ExecContext(ctx, `UPDATE content_items SET received = ?, updated = ? WHERE id = ? AND received = ? AND state = ?`,
			received, s.now().UnixMilli(), c.ID, c.Received, Uploading))
		if err == nil && n == 0 {
			err = s.overtaken(ctx, tx, c.ID)
		}
		if err != nil {
			return err
		}
		_, err = rowsAffected(tx.ExecContext(ctx, `INSERT INTO content_parts (item, number, object, size) VALUES (?, ?, ?, ?)
			ON CONFLICT (item, number) DO UPDATE SET object = excluded.object, size = excluded.size`, c.ID, p.Number, p.Object, p.Size))
		return err
	})
	if err != nil {
		// Whether the transaction was committed may be unknown: an object that is named must stay, and one that is not
		// goes with the next clean-up.
		return err
	}
	s.fail(stepCommitted)
	c.Received = received
	c.parts = append(c.parts[:number:number], p)
	if before.Object != "" {
		return s.deleteObject(ctx, before.Object)
	}
	return nil
}

// overtaken tells why an upload is no longer as it was.
func (s *Store) overtaken(ctx context.Context, tx *database.Tx, id string) error {
	r, err := s.row(ctx, tx, `id = ?`, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && r.State == erasing:
		return ErrErased
	case err != nil:
		return err
	case r.State != Uploading:
		return ErrFinished
	}
	return &OffsetError{Received: r.Received}
}

// Assign says which contribution own content is registered as, before the ledger is told, so that an erasure finds it.
// A content is for one contribution; a contribution has one for each revision.
func (s *Store) Assign(ctx context.Context, account ledger.Account, id string, place contribution.Named) error {
	if err := place.Validate(); err != nil {
		return err
	}
	c, err := s.owned(ctx, account, id)
	if err != nil {
		return err
	}
	if c.State != Ready {
		return ErrUnfinished
	}
	return s.db.InTx(ctx, func(tx *database.Tx) error {
		if gone, err := s.tombstone(ctx, tx, place, ""); err != nil || gone {
			return errors.Join(err, erasedIf(gone))
		}
		r, err := s.row(ctx, tx, `id = ?`, id)
		switch {
		case err != nil:
			return err
		case r.Place == place:
			return nil
		case r.Place != contribution.Named{}:
			return ErrAssigned
		case r.State != Ready:
			return ErrErased
		}
		_, err = rowsAffected(tx.ExecContext(ctx, `UPDATE content_items SET datanet = ?, contribution = ?, updated = ? WHERE id = ?`,
			place.Datanet, place.ID, s.now().UnixMilli(), id))
		return err
	})
}

// Unassign takes an assignment back, when the ledger has refused the contribution for good.
func (s *Store) Unassign(ctx context.Context, account ledger.Account, id string, place contribution.Named) error {
	_, err := rowsAffected(s.db.ExecContext(ctx, `UPDATE content_items SET datanet = '', contribution = '', updated = ?
		WHERE id = ? AND account = ? AND replica = 0 AND datanet = ? AND contribution = ? AND state = ?`,
		s.now().UnixMilli(), id, account, place.Datanet, place.ID, Ready))
	return err
}

// Discard erases own content of an account that is assigned to no contribution. What is assigned goes by an erasure
// only.
func (s *Store) Discard(ctx context.Context, account ledger.Account, id string) error {
	c, err := s.owned(ctx, account, id)
	if errors.Is(err, ErrErased) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.Place != (contribution.Named{}) {
		return ErrAssigned
	}
	return s.erase(ctx, `id = ? AND datanet = ''`, id)
}
