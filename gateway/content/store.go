package content

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options bound what the store takes.
type Options struct {
	// Organisation is the MSP ID of the store's own organisation: its contributors' contents are no replicas, wherever they
	// come from.
	Organisation string
	// Limits of one content; zero is [ingest.DefaultLimits], with at most 10,000 files.
	Limits ingest.Limits
	// Quota is how many bytes of own content, uploads included, an account may have in the store; 0 is no bound.
	Quota int64
	// PartBytes is the size of an object, in bytes of plain text; 0 is 8 MiB. It may change at any time.
	PartBytes int64
	// Now is the clock, in tests.
	Now func() time.Time
}

// maxFiles bounds the files of a content, so that its dossier stays small.
const maxFiles = 10_000

// Store is a content store. It is safe for concurrent use, by one process at a time.
type Store struct {
	db      *database.DB
	bucket  *blob.Bucket
	keys    *MasterKeys
	options Options
	// rotation is held for reading while a wrapped key is made and stored, for writing while master keys change.
	rotation sync.RWMutex
	// fail is called between the steps of what a crash may interrupt; see [steps].
	fail     func(step)
	suspects chan string
}

// New opens a store on its database, bucket and master keys, all of which stay the caller's to close.
func New(ctx context.Context, db *database.DB, bucket *blob.Bucket, keys *MasterKeys, options Options) (*Store, error) {
	if options.Limits == (ingest.Limits{}) {
		options.Limits = ingest.DefaultLimits()
	}
	options.Limits.Files = min(options.Limits.Files, maxFiles)
	if options.PartBytes == 0 {
		options.PartBytes = 8 << 20
	}
	if options.PartBytes < 1 || options.PartBytes > 1<<30 || options.Quota < 0 {
		return nil, errors.New("open the content store: a part has 1 byte to 1 GiB, a quota is not negative")
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := db.Migrate(ctx, migrations, "content"); err != nil {
		return nil, fmt.Errorf("open the content store: %w", err)
	}
	return &Store{db: db, bucket: bucket, keys: keys, options: options, fail: func(step) {}, suspects: make(chan string, manySuspects)}, nil
}

func (s *Store) now() time.Time { return s.options.Now() }

// A step is a place at which a crash is tried.
type step string

// steps are all places between which a crash leaves something half done.
var steps = []step{stepWritten, stepCommitted, stepRead, stepFinished, stepKeyDestroyed, stepObjectsDeleted, stepErased,
	stepMasterAdded, stepRewrapped}

const (
	stepWritten        step = "a part's object is written"
	stepCommitted      step = "a part is committed, the object that it replaces still there"
	stepRead           step = "the records are read, nothing is noted"
	stepFinished       step = "a content is ready"
	stepKeyDestroyed   step = "a key is destroyed, the objects still there"
	stepObjectsDeleted step = "the objects are deleted, their names still there"
	stepErased         step = "a content is erased"
	stepMasterAdded    step = "a master key is added, nothing wrapped by it"
	stepRewrapped      step = "some keys are wrapped anew"
)

// row is an item of the database.
type row struct {
	Info
	partSize   int64
	wrapped    []byte
	keyVersion int64
	dossier    []byte
}

const columns = `id, replica, state, account, datanet, contribution, commitment, size, received, part_size, key, key_version, dossier, created, updated, verified`

// row reads the one item of a condition.
func (s *Store) row(ctx context.Context, q querier, where string, args ...any) (row, error) {
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM content_items WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("read the content store: %w", err)
	}
	return r, nil
}

// Standing names the content of one revision of a contribution.
type Standing struct{ Contribution, Commitment string }

// ReadyOf lists the ids of all contents of a datanet's contributions that are ready.
func (s *Store) ReadyOf(ctx context.Context, datanet string) (map[Standing]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT contribution, commitment, id FROM content_items WHERE datanet = ? AND state = ? AND contribution <> ''`, datanet, Ready)
	if err != nil {
		return nil, fmt.Errorf("read the content store: %w", err)
	}
	defer rows.Close()
	ids := map[Standing]string{}
	for rows.Next() {
		var name Standing
		var id string
		if err := rows.Scan(&name.Contribution, &name.Commitment, &id); err != nil {
			return nil, fmt.Errorf("read the content store: %w", err)
		}
		ids[name] = id
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the content store: %w", err)
	}
	return ids, nil
}

// rows reads all items of a condition.
func (s *Store) rows(ctx context.Context, q querier, where string, args ...any) ([]row, error) {
	found, err := q.QueryContext(ctx, `SELECT `+columns+` FROM content_items WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read the content store: %w", err)
	}
	defer found.Close()
	var all []row
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return nil, fmt.Errorf("read the content store: %w", err)
		}
		all = append(all, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read the content store: %w", err)
	}
	return all, nil
}

func scan(from interface{ Scan(...any) error }) (r row, err error) {
	var replica, created, updated, verified int64
	err = from.Scan(&r.ID, &replica, &r.State, &r.Account, &r.Place.Datanet, &r.Place.ID, &r.Commitment, &r.Size, &r.Received,
		&r.partSize, &r.wrapped, &r.keyVersion, &r.dossier, &created, &updated, &verified)
	r.Replica = replica == 1
	r.Created, r.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	if verified > 0 {
		r.Verified = time.UnixMilli(verified).UTC()
	}
	return r, err
}

func (s *Store) insert(ctx context.Context, tx *database.Tx, r row) error {
	verified := int64(0)
	if !r.Verified.IsZero() {
		verified = r.Verified.UnixMilli()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO content_items (`+columns+`) VALUES (?`+strings.Repeat(", ?", 15)+`)`,
		r.ID, flag(r.Replica), r.State, r.Account, r.Place.Datanet, r.Place.ID, r.Commitment, r.Size, r.Received, r.partSize, r.wrapped,
		r.keyVersion, r.dossier, r.Created.UnixMilli(), r.Updated.UnixMilli(), verified)
	if err != nil {
		return fmt.Errorf("write to the content store: %w", err)
	}
	return nil
}

// Held asks for a page of what the store holds.
type Held struct {
	Account ledger.Account // "" for all
	State   State          // "" for all
	After   string         // id after which the page begins
	Limit   int            // 1 to 1000
}

// List lists what the store holds, by id.
func (s *Store) List(ctx context.Context, h Held) ([]Info, error) {
	where, args := `state <> ? AND id > ?`, []any{erasing, h.After}
	if h.Account != "" {
		where, args = where+` AND account = ?`, append(args, h.Account)
	}
	if h.State != "" {
		where, args = where+` AND state = ?`, append(args, h.State)
	}
	rows, err := s.rows(ctx, s.db, where+` ORDER BY id LIMIT ?`, append(args, max(1, min(h.Limit, 1000)))...)
	list := make([]Info, len(rows))
	for i, r := range rows {
		list[i] = r.Info
	}
	return list, err
}

// tombstone tells whether a contribution, or an item, was erased.
func (s *Store) tombstone(ctx context.Context, q querier, place contribution.Named, id string) (bool, error) {
	var n int64
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM content_tombstones WHERE (item = '' AND datanet = ? AND contribution = ?) OR (item <> '' AND item = ?)`,
		place.Datanet, place.ID, id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read the content store: %w", err)
	}
	return n > 0, nil
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

func rowsAffected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("write to the content store: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("write to the content store: %w", err)
	}
	return n, nil
}
