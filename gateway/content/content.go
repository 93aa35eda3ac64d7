// Package content keeps what must not stand on a ledger: the texts of contributions, what is told about them, and the
// salts of both, encrypted, until they are erased.
//
// Life of a content: an account begins an upload of named files and sends their bytes in pieces; each piece is durable
// before it is acknowledged, so an upload goes on after any crash where it stopped. When all bytes are there, Finish
// reads them back, takes the records by the rules of package ingest, draws the salts and computes what the ledger is
// told. Assign gives the content to the one contribution that it is registered as. Other members' content comes as a
// replica (see [Store.BeginReplica]) and counts only when it opens the commitment on the ledger. An erasure destroys
// the key first, then the bytes, and leaves a tombstone, so that no restore revives it.
//
// How it is stored: the files' bytes one after another, cut into parts, each an object of the bucket encrypted by DARE
// 2.0 with AES-256-GCM (see part.go); the rest, names of files included, in one sealed dossier in the database. Each
// content has a key of its own from which all of its keys are derived. It is kept wrapped by the organisation's master
// key, which lies in a file apart from both. In clear are: identifiers, the account, the contribution, the commitment
// and sizes, which the ledger shows anyway.
package content

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Errors that callers decide by. Others: *[OffsetError], *[RequestError], *[QuotaError], and *[ingest.Error] when a
// file cannot be taken.
var (
	ErrNotFound   = errors.New("the store has no such content")
	ErrErased     = errors.New("the content was erased")
	ErrUnfinished = errors.New("the upload is not finished")
	ErrFinished   = errors.New("the upload is finished: begin another one")
	ErrExists     = errors.New("the upload exists with other files or rules: choose a new id")
	ErrAssigned   = errors.New("the content is assigned to another contribution: upload it again, since a commitment is for one")
	ErrDamaged    = errors.New("the stored content is damaged: it is not what was committed to")
	// ErrUnreadable is an object that is there, or may be, and cannot be read, as for its file's permissions.
	ErrUnreadable = errors.New("a stored object cannot be read")
	ErrMismatch   = errors.New("the content is not what the ledger's commitments say")
)

// OffsetError refuses bytes that do not begin where those received end.
type OffsetError struct{ Received int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("%d bytes were received: go on from there", e.Received)
}

// RequestError is a malformed request.
type RequestError struct{ Field, Message string }

func (e *RequestError) Error() string { return e.Field + ": " + e.Message }

func invalid(field, format string, args ...any) error {
	return &RequestError{field, fmt.Sprintf(format, args...)}
}

// QuotaError refuses an upload for which its account has no room.
type QuotaError struct{ Used, Quota int64 }

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the account has stored %d of %d bytes: discard what is not needed", e.Used, e.Quota)
}

// State of a content.
type State string

// The states of a content.
const (
	Uploading State = "uploading"
	Ready     State = "ready"   // all bytes are there and open the commitment
	Lost      State = "lost"    // it was ready, and is not whole any more
	erasing   State = "erasing" // the key is destroyed, the objects are being deleted
)

// A File is one of those that a content is made of.
type File struct {
	Name  string `json:"name"` // its ending says the format; it is no path of this machine
	Bytes int64  `json:"bytes"`
}

// Descriptor is what is told about a content and may name people.
type Descriptor struct {
	Author string `json:"author,omitzero"`
	Source string `json:"source,omitzero"`
	Notes  string `json:"notes,omitzero"`
}

// Info is what is known of a content without its key.
type Info struct {
	ID         string
	Replica    bool               // it came from another member
	Account    ledger.Account     // the contributor
	Place      contribution.Named // the contribution it is registered as, zero until it is assigned
	Commitment string             // "" until it is ready
	State      State
	Size       int64 // bytes of all files
	Received   int64 // of them so far
	Created    time.Time
	Updated    time.Time
	Verified   time.Time // when its records last opened the commitment
}

// Prepared is what Finish found in the files and the ledger is to be told.
type Prepared struct {
	MediaType   string                   `json:"mediaType"`
	Commitment  string                   `json:"commitment"`
	Descriptor  string                   `json:"descriptor"`
	Records     int64                    `json:"records"`
	Tokens      int64                    `json:"tokens"`
	Fingerprint contribution.Fingerprint `json:"fingerprint"`
}

// dossier is what only who has the key may know. It is sealed in the database.
type dossier struct {
	Files          []File           `json:"files"`
	Rules          ingest.Rules     `json:"rules"`
	Salt           attribution.Salt `json:"salt"`
	DescriptorSalt attribution.Salt `json:"descriptorSalt"`
	Descriptor     []byte           `json:"descriptor,omitzero"` // the bytes that were committed to, JSON of a Descriptor
	Manifest       *ingest.Manifest `json:"manifest,omitzero"`   // once it is ready
	Prepared       Prepared         `json:"prepared,omitzero"`   // what the ledger is told, or has been told
}

// A Content is opened content. It holds the key: drop it when it is not needed.
type Content struct {
	Info
	dossier
	store *Store
	key   key
	parts []part
	// examined is set while [Store.Check] reads it, which finds itself what is damaged.
	examined bool
}

// Open opens a content by its id. One that is not ready is [ErrUnfinished].
func (s *Store) Open(ctx context.Context, id string) (*Content, error) {
	c, err := s.open(ctx, id)
	if errors.Is(err, ErrDamaged) {
		s.suspect(id)
	}
	if err == nil && c.State != Ready {
		return nil, ErrUnfinished
	}
	return c, err
}

// Find tells which content is held of a contribution's commitment. One that is not all there yet is found too, see
// [Info.State], and one that is lost is not.
func (s *Store) Find(ctx context.Context, place contribution.Named, commitment string) (Info, error) {
	r, err := s.row(ctx, s.db, `datanet = ? AND contribution = ? AND commitment = ? AND state <> ?`, place.Datanet, place.ID, commitment, Lost)
	if errors.Is(err, ErrNotFound) {
		if gone, err := s.tombstone(ctx, s.db, place, ""); err != nil || gone {
			return Info{}, errors.Join(err, erasedIf(gone))
		}
	}
	return r.Info, err
}

func erasedIf(gone bool) error {
	if gone {
		return ErrErased
	}
	return nil
}

// Descriptor tells what the contributor says about the content.
func (c *Content) Descriptor() (d Descriptor, err error) {
	if err := decode(c.dossier.Descriptor, &d); err != nil {
		return d, fmt.Errorf("descriptor of content %s: %w", c.ID, err)
	}
	return d, nil
}

// Manifest tells which records came from which file.
func (c *Content) Manifest() ingest.Manifest { return *c.dossier.Manifest }

// Files lists the files in the order of their bytes.
func (c *Content) Files() []File { return c.dossier.Files }

// Prepared is what the ledger is to be told of own content.
func (c *Content) Prepared() Prepared { return c.dossier.Prepared }

// Records calls each with every record, which is valid only during the call, and then checks that the records are those
// of the commitment: after [ErrDamaged], forget what each was given. (Bytes that were altered in the bucket fail
// before that.) It reads in the memory of one record.
func (c *Content) Records(ctx context.Context, each func(number int, record []byte) error) error {
	number := 0
	m, err := c.ingest(ctx, func(record []byte) error {
		number++
		return each(number-1, record)
	})
	if err != nil {
		return err
	}
	if attribution.CommitRoot(c.Salt, m.Root).String() != c.Commitment {
		return ErrDamaged
	}
	return nil
}

// Verify reads the content whole and checks it against its commitment.
func (c *Content) Verify(ctx context.Context) error {
	if err := c.Records(ctx, func(int, []byte) error { return nil }); err != nil {
		return err
	}
	_, err := c.store.db.ExecContext(ctx, `UPDATE content_items SET verified = ? WHERE id = ?`, c.store.now().UnixMilli(), c.ID)
	if err != nil {
		return fmt.Errorf("note that content %s is verified: %w", c.ID, err)
	}
	return nil
}

// Fingerprint computes the content's fingerprint under another epoch's secret; see [Store.Secret].
func (c *Content) Fingerprint(ctx context.Context, epoch contribution.Epoch) (contribution.Fingerprint, error) {
	secret, err := c.store.Secret(ctx, epoch.Check)
	if err != nil {
		return contribution.Fingerprint{}, err
	}
	sum := secret.New()
	err = c.Records(ctx, func(_ int, record []byte) error {
		sum.Add(record)
		return nil
	})
	return contribution.Fingerprint{Epoch: epoch.Epoch, HMAC: sum.Sum()}, err
}

func (c *Content) ingest(ctx context.Context, each func(record []byte) error) (*ingest.Manifest, error) {
	folder := &folder{content: c, ctx: ctx, start: map[string]int64{}, size: map[string]int64{}}
	names := make([]string, len(c.dossier.Files))
	at := int64(0)
	for i, f := range c.dossier.Files {
		names[i] = f.Name
		folder.start[f.Name], folder.size[f.Name] = at, f.Bytes
		at += f.Bytes
	}
	return ingest.Read(ctx, folder, names, c.dossier.Rules, c.store.options.Limits, each)
}

// open opens a content in any state but erasing.
func (s *Store) open(ctx context.Context, id string) (*Content, error) {
	r, err := s.row(ctx, s.db, `id = ?`, id)
	if errors.Is(err, ErrNotFound) {
		if gone, err := s.tombstone(ctx, s.db, contribution.Named{}, id); err != nil || gone {
			return nil, errors.Join(err, erasedIf(gone))
		}
	}
	if err != nil {
		return nil, err
	}
	return s.opened(ctx, r)
}

func (s *Store) opened(ctx context.Context, r row) (*Content, error) {
	parts, err := s.parts(ctx, s.db, r.ID)
	if err != nil {
		return nil, err
	}
	return s.openedWith(r, parts)
}

func (s *Store) openedWith(r row, parts []part) (*Content, error) {
	if r.State == erasing {
		return nil, ErrErased
	}
	c := &Content{Info: r.Info, store: s, parts: parts}
	received := int64(0)
	for i, p := range parts {
		if received += p.Size; p.Number != int64(i) {
			return nil, fmt.Errorf("open content %s: its parts: %w", r.ID, ErrDamaged)
		}
	}
	if received != r.Received {
		// It was read while it grew.
		c.Received = received
	}
	var err error
	if c.key, err = s.keys.unwrap(kindContent, r.ID, r.wrapped); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, ErrDamaged)
	}
	plain, err := c.key.unseal(r.ID, r.dossier)
	if err != nil {
		return nil, fmt.Errorf("open content %s: %w", r.ID, err)
	}
	if err := decode(plain, &c.dossier); err != nil {
		return nil, fmt.Errorf("open content %s: %w", r.ID, err)
	}
	return c, nil
}

// querier is the database or a transaction of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
