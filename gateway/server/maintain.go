package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/keystore"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// Maintenance is what an operator does to a gateway's stores besides serving: backups, and changes of the master key.
//
// A backup is one encrypted file (see package content): contents, kept keys of people, enrolments, invitations and API
// keys, and the outbox. Not in it are the file of master keys, without which nobody reads it; the gateway's own enrolment
// and TLS key, which its organisation issues again; the index, which is filled from the peer; and what belongs to paid
// uses that are not settled, since a state of yesterday would let a voucher be signed or counted twice.
type Maintenance struct {
	server *Server
	store  *content.Store
	keys   *keystore.Store
}

// Pieces of a backup.
const (
	stateKind = "state"    // JSON of a database.Piece
	keyKind   = "keystore" // JSON of a keptKey
)

// keptKey is a key of the keystore in a backup.
type keptKey struct {
	Enrolment   string `json:"enrolment"`
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// Maintain opens a gateway's stores. Alone is for what a gateway must not do meanwhile; it is [ErrRunning] when one runs.
func Maintain(ctx context.Context, config *Config, log *slog.Logger, alone bool) (_ *Maintenance, err error) {
	if config.ReadOnly {
		return nil, errors.New("a gateway that only reads keeps no contents and no keys of people")
	}
	s := &Server{config: config, log: log, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if alone {
		if err := s.takeFolder(); err != nil {
			return nil, err
		}
	}
	if err := s.openDatabases(ctx); err != nil {
		return nil, err
	}
	for _, prepare := range []func(context.Context, *database.DB) error{identity.Prepare, outbox.Prepare} {
		if err := prepare(ctx, s.state); err != nil {
			return nil, err
		}
	}
	m := &Maintenance{server: s}
	open := keystore.Look
	if alone {
		open = keystore.Open
	}
	if m.keys, err = open(filepath.Join(config.Folder, "keystore"), config.Organisation); err != nil {
		return nil, err
	}
	m.store, err = s.openStore(ctx, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; put your copy of the file of master keys there", err)
	}
	return m, err
}

// Close closes the stores.
func (m *Maintenance) Close() error { return m.server.close() }

// Backup writes a backup, with the bytes of contents or without. The gateway may serve meanwhile.
func (m *Maintenance) Backup(ctx context.Context, out io.Writer, blobs bool) (content.Backup, error) {
	return m.store.Backup(ctx, out, blobs, func(put func(kind string, data []byte) error) error {
		piece := func(kind string, v any) error {
			data, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("encode %s: %w", kind, err)
			}
			return put(kind, data)
		}
		err := m.server.state.Dump(ctx, slices.Concat(outbox.Tables, identity.Tables), func(p database.Piece) error { return piece(stateKind, p) })
		if err != nil {
			return err
		}
		enrolments, err := m.keys.List()
		if err != nil {
			return err
		}
		for _, enrolment := range enrolments {
			k := keptKey{Enrolment: enrolment}
			k.Certificate, k.Key, err = m.keys.Export(enrolment)
			if errors.Is(err, keystore.ErrNone) { // removed since it was listed
				continue
			}
			if err != nil {
				return err
			}
			if err := piece(keyKind, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// Restored is what a restore did.
type Restored struct {
	content.Restored
	Keys    int   // of people, kept for them
	APIKeys int64 // that work now
}

// Restore takes back a backup. What is in the stores stays; the ledger is asked which contents may come back. Invitations
// that nobody had used end, since somebody may have used or revoked them after the backup was made. API keys that were
// revoked after it work again, unless all are revoked here. After a failure it may be repeated.
func (m *Maintenance) Restore(ctx context.Context, in io.Reader, revokeKeys bool) (r Restored, err error) {
	if err := m.server.connect(); err != nil {
		return r, err
	}
	ledger := exchange.Service{MSP: m.server.config.Organisation, Functions: functions{m.server}}
	// Before anything of people's is taken the ledger must answer: there may be nothing in the backup that it is asked about.
	if _, err := m.server.self.Height(ctx); err != nil {
		return r, fmt.Errorf("the peer does not answer, which has to say what was erased: %w", err)
	}
	r.Restored, err = m.store.Restore(ctx, in, ledger, func(kind string, data []byte) error {
		switch kind {
		case stateKind:
			return m.takeRows(ctx, data)
		case keyKind:
			r.Keys++
			return m.takeKey(data)
		default:
			return fmt.Errorf("it holds something of kind %q, of a newer program", kind)
		}
	})
	if err != nil {
		return r, err
	}
	r.APIKeys, err = identity.Restored(ctx, m.server.state, time.Now(), revokeKeys)
	return r, err
}

func (m *Maintenance) takeRows(ctx context.Context, data []byte) error {
	var p database.Piece
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("rows of the backup: %w", err)
	}
	if slices.Contains(outbox.Tables, p.Table) {
		return outbox.Restore(ctx, m.server.state, p)
	}
	return m.server.state.Load(ctx, p, identity.Tables)
}

func (m *Maintenance) takeKey(data []byte) error {
	var k keptKey
	if err := json.Unmarshal(data, &k, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("a kept key of the backup cannot be read") // what json says may quote the key
	}
	return m.keys.Import(k.Enrolment, k.Certificate, k.Key)
}

// Backups lists the backups that were made.
func (m *Maintenance) Backups(ctx context.Context) ([]content.Backup, error) {
	return m.store.Backups(ctx)
}

// RotateMaster draws a new master key and wraps all keys by it; repeated after a failure it draws another one, which does
// no harm.
func (m *Maintenance) RotateMaster(ctx context.Context) (version uint32, err error) {
	return m.store.RotateMaster(ctx)
}

// RetireMaster destroys an old master key, and with it every backup that was made under it.
func (m *Maintenance) RetireMaster(ctx context.Context, version uint32) error {
	return m.store.RetireMaster(ctx, version)
}
