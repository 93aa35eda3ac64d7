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

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/keystore"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// Maintenance is what an operator does to a gateway's stores besides serving: backups, and changes of the master key.
//
// A backup is one encrypted file (see package content): contents, kept keys of people, enrolments, invitations and API
// keys, the outbox; of a trainer the artifacts of own models; of a host the receipts, the archive of evidence and the meter,
// of an attestor its sampling secrets and what it voted. Not in it are the file of master keys, without which nobody reads it; the gateway's own enrolment and TLS
// key, which its organisation issues again; the index, which is filled from the peer; and the wallet of consumers, since a
// state of yesterday would let a voucher be signed twice. Of the meter a restore keeps only sessions of which nothing has
// been settled since.
type Maintenance struct {
	server    *Server
	store     *content.Store
	keys      *keystore.Store
	receipts  *database.DB
	artifacts *artifact.Store
}

// Pieces of a backup.
const (
	stateKind = "state"    // JSON of a database.Piece
	keyKind   = "keystore" // JSON of a keptKey
	// Of trainers.
	artifactKind = "artifact" // JSON of an artifact.Part
	// Of hosts and attestors.
	receiptKind  = "receipts" // JSON of a database.Piece, of the database of receipts
	evidenceKind = "evidence" // JSON of an archive.Part
	secretKind   = "secret"   // JSON of a keptSecret
	meterKind    = "meter"    // JSON of a content.FilePiece
)

// keptSecret is a sampling secret, or the key of a session's evidence in the meter, in a backup.
type keptSecret struct {
	Purpose content.Purpose `json:"purpose"`
	Name    string          `json:"name"`
	Key     [32]byte        `json:"key"`
}

// stateTables are those of the gateway's own database that a backup keeps.
var stateTables = slices.Concat(outbox.Tables, identity.Tables, archive.Tables, attesting.Tables)

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
	for _, prepare := range []func(context.Context, *database.DB) error{identity.Prepare, outbox.Prepare, archive.Prepare, attesting.Prepare} {
		if err := prepare(ctx, s.state); err != nil {
			return nil, err
		}
	}
	m := &Maintenance{server: s}
	if m.receipts, err = s.openReceipts(ctx); err != nil {
		return nil, err
	}
	if err := serving.Prepare(ctx, m.receipts); err != nil {
		return nil, err
	}
	open := keystore.Look
	if alone {
		open = keystore.Open
	}
	if m.keys, err = open(filepath.Join(config.Folder, "keystore"), config.Organisation); err != nil {
		return nil, err
	}
	if m.artifacts, err = artifact.Open(s.artifactFolder()); err != nil {
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

// BackedUp is a backup that was made.
type BackedUp struct {
	content.Backup
	Artifacts artifact.BackedUp
}

// Backup writes a backup, with the bytes of contents or without. The gateway may serve meanwhile.
func (m *Maintenance) Backup(ctx context.Context, out io.Writer, blobs bool) (b BackedUp, err error) {
	b.Backup, err = m.store.Backup(ctx, out, blobs, func(put func(kind string, data []byte) error) error {
		piece := func(kind string, v any) error {
			data, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("encode %s: %w", kind, err)
			}
			return put(kind, data)
		}
		err := m.server.state.Dump(ctx, stateTables, func(p database.Piece) error { return piece(stateKind, p) })
		if err != nil {
			return err
		}
		if err := m.receipts.Dump(ctx, serving.Tables, func(p database.Piece) error { return piece(receiptKind, p) }); err != nil {
			return err
		}
		if err := archive.Backup(ctx, m.server.evidence(), m.store, func(p archive.Part) error { return piece(evidenceKind, p) }); err != nil {
			return err
		}
		for _, purpose := range []content.Purpose{content.SamplingKeys, content.EvidenceKeys} {
			err := m.store.EachKey(ctx, purpose, func(name string, k [32]byte) error {
				if archive.Keeps(name) { // goes with its evidence
					return nil
				}
				return piece(secretKind, keptSecret{purpose, name, k})
			})
			if err != nil {
				return err
			}
		}
		// A record that is being written is cut off when the journal is opened again.
		if err := content.ReadPieces(m.server.journal(), func(p content.FilePiece) error { return piece(meterKind, p) }); err != nil {
			return fmt.Errorf("back up the meter: %w", err)
		}
		b.Artifacts, err = m.artifacts.Backup(ctx, m.server.config.Organisation, func(p artifact.Part) error { return piece(artifactKind, p) })
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
	return b, err
}

// Restored is what a restore did.
type Restored struct {
	content.Restored
	Keys      int // of people, kept for them
	Artifacts RestoredArtifacts
	Sessions  int                // whose uses a host may still settle
	Evidence  int                // settlements whose evidence was taken back, some of it perhaps forgotten again
	Waiting   []identity.Waiting // API keys of a backup that do not work

	meter bool // the meter was taken back
}

// Restore takes back a backup. What is in the stores stays; the ledger is asked which contents may come back, and which
// evidence is to be forgotten. Invitations that nobody had used end, since somebody may have used or revoked them after
// the backup was made. API keys of the backup work again only if keep says so: somebody may have revoked them too. It may
// be repeated, after a failure or to keep other keys.
func (m *Maintenance) Restore(ctx context.Context, in io.Reader, keep func(id string) bool) (r Restored, err error) {
	if err := m.server.connect(); err != nil {
		return r, err
	}
	ledger := exchange.Service{MSP: m.server.config.Organisation, Functions: functions{m.server}}
	// Before anything of people's is taken the ledger must answer: there may be nothing in the backup that it is asked about.
	if _, err := m.server.self.Height(ctx); err != nil {
		return r, fmt.Errorf("the peer does not answer, which has to say what was erased: %w", err)
	}
	r.Artifacts.Failed = map[string]error{}
	artifacts := artifactTaker{store: m.artifacts, ledger: functions{m.server}, done: &r.Artifacts}
	r.Restored, err = m.store.Restore(ctx, in, ledger, func(kind string, data []byte) error {
		switch kind {
		case stateKind:
			return m.takeRows(ctx, data)
		case keyKind:
			r.Keys++
			return m.takeKey(data)
		case artifactKind:
			return artifacts.take(ctx, data)
		case receiptKind:
			return takePiece(data, func(p database.Piece) error { return m.receipts.Load(ctx, p, serving.Tables) })
		case evidenceKind:
			return m.takeEvidence(ctx, data, &r)
		case secretKind:
			return m.takeSecret(ctx, data)
		case meterKind:
			return m.takeMeter(data, &r)
		default:
			return fmt.Errorf("it holds something of kind %q, of a newer program", kind)
		}
	})
	if err != nil {
		return r, err
	}
	if err := m.forget(ctx); err != nil {
		return r, err
	}
	if r.meter {
		if r.Sessions, err = m.reconcile(ctx); err != nil {
			return r, err
		}
	}
	r.Waiting, err = identity.Restored(ctx, m.server.state, time.Now(), keep)
	return r, err
}

// forget has the evidence forgotten whose claims were paid after the backup was made.
func (m *Maintenance) forget(ctx context.Context) error {
	a, err := archive.Open(ctx, archive.Options{Folder: m.server.evidence(), DB: m.server.state, Keys: m.store, Meter: nothingMetered{}, Ledger: functions{m.server}, Log: m.server.log})
	if err != nil {
		return err
	}
	return a.Sweep(ctx)
}

// nothingMetered is the meter of a gateway that does not run.
type nothingMetered struct{}

func (nothingMetered) Answers(merkle.Hash, uint64, int) ([]meter.Answer, error) { return nil, nil }

func (nothingMetered) Pending() []meter.Settlement { return nil }

func takePiece(data []byte, take func(database.Piece) error) error {
	var p database.Piece
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("rows of the backup: %w", err)
	}
	return take(p)
}

func (m *Maintenance) takeRows(ctx context.Context, data []byte) error {
	return takePiece(data, func(p database.Piece) error {
		switch {
		case slices.Contains(outbox.Tables, p.Table):
			return outbox.Restore(ctx, m.server.state, p)
		case slices.Contains(identity.Tables, p.Table):
			return identity.Restore(ctx, m.server.state, p, time.Now())
		}
		return m.server.state.Load(ctx, p, stateTables)
	})
}

func (m *Maintenance) takeEvidence(ctx context.Context, data []byte, r *Restored) error {
	var p archive.Part
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("evidence of the backup cannot be read") // what json says may quote the key
	}
	if p.Last {
		r.Evidence++
	}
	return archive.Restore(ctx, m.server.evidence(), m.store, p)
}

func (m *Maintenance) takeSecret(ctx context.Context, data []byte) error {
	var k keptSecret
	if err := json.Unmarshal(data, &k, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("a secret of the backup cannot be read") // what json says may quote it
	}
	return m.store.RestoreKey(ctx, k.Purpose, k.Name, k.Key)
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
