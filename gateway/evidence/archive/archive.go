// Package archive keeps what attestors check of a host's settlements, and shows it to them.
//
// Life of an archived use: before a settlement goes to the ledger, the leaves that it adds to each session come here out
// of the meter, and with them the evidence behind each, sealed anew under a key of the settlement's own. Gateways of
// members and the regulator's read leaves, from place 0 of each session on; gateways of the claim's attestors also receipts, and texts as far
// as the session's terms disclose them. When the claim's data part is paid, the key is destroyed, then the file: texts and
// nonces are forgotten. While a claim is frozen they stay. Leaves hold no text and stay for good.
//
//	meter ──Archive──► leaves in the database, evidence in a file, the key wrapped by the master key
//	                     │  GET  /v1/evidence/{host}/{id}            JSON of About
//	                     │  POST /v1/evidence/{host}/{id}/leaves     of the sessions that the body names; see client.go
//	                     │  POST /v1/evidence/{host}/{id}/receipts   of the uses that the body names
//	                     │  POST /v1/evidence/{host}/{id}/texts      of those, EVIDENCE/1; ?rate=
//	                     └──claim released──► key destroyed, file removed
//
// Between gateways, over mutual TLS. Failures are problems of RFC 9457 with a member "code".
package archive

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// LeafSize is the length of USE/1.
	LeafSize = 135
	// refusedAfter is how long what was archived for a settlement that never came to the ledger is kept.
	refusedAfter = 7 * 24 * time.Hour
	// atOnce is how many answers are read of the meter at once.
	atOnce = 256
)

// Keys draws, gives and destroys keys by name; [*content.Store] is one.
type Keys interface {
	DrawKey(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	Key(ctx context.Context, purpose content.Purpose, name string) ([32]byte, error)
	DestroyKey(ctx context.Context, purpose content.Purpose, name string) error
}

// Meter is the host's; [*meter.Meter] is one.
type Meter interface {
	Answers(session merkle.Hash, from uint64, most int) ([]meter.Answer, error)
	Pending() []meter.Settlement
}

// Options are what an archive stands on.
type Options struct {
	Folder string // of the sealed evidence; made when it is absent
	DB     *database.DB
	Keys   Keys
	Meter  Meter
	// Sealer opens the evidence of a session as the meter has it.
	Sealer func(ctx context.Context, session merkle.Hash) (evidence.Sealer, error)
	Ledger query.Evaluator
	Log    *slog.Logger
	Now    func() time.Time // nil: the system's clock
}

// About is what is told of a settlement before anything else.
type About struct {
	Scope    []byte          `json:"scope"`    // SCOPE/1, whose digest the claim names
	Sessions []session.Named `json:"sessions"` // in the order of the scope
}

// Archive is the archive of one gateway's hosts. It is safe for concurrent use.
type Archive struct {
	Options
}

// Open opens an archive.
func Open(ctx context.Context, options Options) (*Archive, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := options.DB.Migrate(ctx, migrations, "archive"); err != nil {
		return nil, fmt.Errorf("open the archive of evidence: %w", err)
	}
	if err := os.MkdirAll(options.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of evidence: %w", err)
	}
	a := &Archive{options}
	entries, err := os.ReadDir(options.Folder)
	if err != nil {
		return nil, fmt.Errorf("read the folder of evidence: %w", err)
	}
	for _, e := range entries { // what a crash has left
		if strings.HasSuffix(e.Name(), unfinished) {
			if err := os.Remove(filepath.Join(options.Folder, e.Name())); err != nil {
				return nil, fmt.Errorf("remove evidence that is not whole: %w", err)
			}
		}
	}
	return a, nil
}

// suffix is that of files of evidence, unfinished what follows it while one is written.
const (
	suffix     = ".evidence"
	unfinished = ".new"
)

// file is where the evidence of a settlement is, and keyName its key's name.
func (a *Archive) file(id string) string { return filepath.Join(a.Folder, id+suffix) }

const keyPrefix = "settlement "

func keyName(id string) string { return keyPrefix + id }

// Keeps tells whether a key of that name is one of the archive's.
func Keeps(name string) bool { return strings.HasPrefix(name, keyPrefix) }

// sealer seals and opens the evidence of a settlement.
func (a *Archive) sealer(ctx context.Context, id string, draw bool) (evidence.Sealer, error) {
	get := a.Keys.Key
	if draw {
		get = a.Keys.DrawKey
	}
	key, err := get(ctx, content.EvidenceKeys, keyName(id))
	if err != nil {
		return evidence.Sealer{}, fmt.Errorf("key of the evidence of settlement %s: %w", id, err)
	}
	return evidence.NewSealer(key)
}

// checkID keeps what is no settlement's id away from paths.
func checkID(id string) error {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || hex.EncodeToString(raw) != id {
		return errors.New("a settlement's id is 16 bytes in lower-case hex")
	}
	return nil
}
