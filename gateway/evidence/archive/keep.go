package archive

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// kept is what a settlement adds to a session.
type kept struct {
	session merkle.Hash
	first   uint64
	leaves  []byte
	offsets []byte // nil when nothing is disclosed
}

// Archive keeps the uses of a settlement for attestors, and returns once they are on disk. It may be repeated, and comes
// before the ledger has the settlement.
func (a *Archive) Archive(ctx context.Context, s meter.Settlement) error {
	if err := a.archive(ctx, s); err != nil {
		return fmt.Errorf("archive settlement %s: %w", s.ID, err)
	}
	return nil
}

func (a *Archive) archive(ctx context.Context, s meter.Settlement) error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	var items []meter.Item
	for _, item := range s.Items {
		if item.Voucher.N > item.Before.N {
			items = append(items, item)
		}
	}
	if len(items) == 0 {
		return nil // nothing to attest
	}
	slices.SortFunc(items, func(x, y meter.Item) int { return bytes.Compare(x.Session[:], y.Session[:]) })
	host, about, discloses, err := a.describe(ctx, s.Card, items)
	if err != nil {
		return err
	}
	var known []byte
	switch err := a.DB.QueryRowContext(ctx, `SELECT about FROM archive_settlements WHERE id = ?`, s.ID).Scan(&known); {
	case err == nil && bytes.Equal(known, about):
		return nil
	case err == nil:
		return errors.New("it is archived with another scope")
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	sealer, err := a.sealer(ctx, s.ID, true)
	if err != nil {
		return err
	}
	list := make([]kept, len(items))
	err = a.write(a.file(s.ID), func(out *bufio.Writer) (err error) {
		written := uint64(0)
		for i, item := range items {
			if list[i], err = a.take(ctx, item, discloses[i], sealer, out, &written); err != nil {
				return fmt.Errorf("session %s: %w", item.Session, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.DB.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO archive_settlements (id, host, about, kept, created) VALUES (?, ?, ?, 1, ?)`,
			s.ID, string(host), about, a.Now().UnixMilli()); err != nil {
			return err
		}
		for _, k := range list {
			if _, err := tx.ExecContext(ctx, `INSERT INTO archive_leaves (settlement, session, first, leaves, offsets) VALUES (?, ?, ?, ?, ?)`,
				s.ID, k.session[:], int64(k.first), k.leaves, k.offsets); err != nil {
				return err
			}
		}
		return nil
	})
}

// describe says whose settlement it is, what attestors are told of it, and which of its sessions disclose texts.
func (a *Archive) describe(ctx context.Context, card merkle.Hash, items []meter.Item) (host ledger.Account, about []byte, discloses []bool, err error) {
	var told About
	var moves []use.Move
	for _, item := range items {
		name := session.Named{Account: ledger.Account(item.Account), Name: hex.EncodeToString(item.Name[:])}
		terms, err := query.Ask[session.Detail](ctx, a.Ledger, "session:Get", name)
		if err != nil {
			return "", nil, nil, fmt.Errorf("look up the terms of session %s: %w", item.Session, err)
		}
		host = terms.Host
		discloses = append(discloses, terms.Disclosure != use.DiscloseNone)
		told.Sessions = append(told.Sessions, name)
		v := item.Voucher
		moves = append(moves, use.Move{Session: item.Session, Before: item.Before, After: use.Mark{N: v.N, Amount: v.Amount, Root: v.Root}})
	}
	if told.Scope, err = use.EncodeScope(card, moves); err != nil {
		return "", nil, nil, err
	}
	about, err = ledger.Encode(told)
	return host, about, discloses, err
}

// take reads the uses of a session out of the meter and writes their evidence.
func (a *Archive) take(ctx context.Context, item meter.Item, discloses bool, sealer evidence.Sealer, out *bufio.Writer, written *uint64) (k kept, err error) {
	k = kept{session: item.Session, first: item.Before.N}
	var before evidence.Sealer
	if discloses {
		if before, err = a.Sealer(ctx, item.Session); err != nil {
			return k, err
		}
	}
	for place := item.Before.N; place < item.Voucher.N; {
		answers, err := a.Meter.Answers(item.Session, place, int(min(item.Voucher.N-place, atOnce)))
		if err != nil {
			return k, err
		}
		if len(answers) == 0 {
			return k, fmt.Errorf("the meter has no answer at place %d", place)
		}
		for _, answer := range answers {
			if answer.Place != place {
				return k, fmt.Errorf("the meter gives place %d for place %d", answer.Place, place)
			}
			leaf, err := answer.Leaf.Encode()
			if err != nil {
				return k, err
			}
			k.leaves = append(k.leaves, leaf...)
			place++
			if !discloses {
				continue
			}
			plain, err := before.Open(item.Session, answer.Leaf.Receipt, answer.Evidence)
			if err != nil {
				return k, err
			}
			sealed := sealer.Seal(item.Session, answer.Leaf.Receipt, plain)
			k.offsets = binary.BigEndian.AppendUint64(k.offsets, *written)
			if _, err := out.Write(sealed); err != nil {
				return k, err
			}
			*written += uint64(len(sealed))
		}
	}
	if discloses {
		k.offsets = binary.BigEndian.AppendUint64(k.offsets, *written)
	}
	return k, nil
}

// write makes a file that is durable once it returns.
func (a *Archive) write(path string, fill func(*bufio.Writer) error) error {
	temporary := path + unfinished
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<18)
	err = fill(out)
	if err = errors.Join(err, out.Flush(), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return rename(path)
}

// rename puts a file that is written in its place.
func rename(path string) error {
	if err := os.Rename(path+unfinished, path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Sweep forgets the texts of claims that are paid, and what was archived for settlements that were refused.
func (a *Archive) Sweep(ctx context.Context) error {
	type row struct {
		id, host string
		created  int64
	}
	var list []row
	rows, err := a.DB.QueryContext(ctx, `SELECT id, host, created FROM archive_settlements WHERE kept = 1`)
	if err != nil {
		return fmt.Errorf("sweep the archive of evidence: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.host, &r.created); err != nil {
			return fmt.Errorf("sweep the archive of evidence: %w", err)
		}
		list = append(list, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("sweep the archive of evidence: %w", err)
	}
	pending := map[string]bool{}
	for _, s := range a.Meter.Pending() {
		pending[s.ID] = true
	}
	var faults []error
	for _, r := range list {
		if pending[r.id] {
			continue
		}
		found, err := a.claim(ctx, claim.Named{Host: ledger.Account(r.host), ID: r.id})
		switch {
		case err != nil:
			faults = append(faults, err)
		case found == nil && a.Now().Sub(time.UnixMilli(r.created)) > refusedAfter:
			faults = append(faults, a.forget(ctx, r.id, true))
		case found != nil && found.State == claim.Released:
			faults = append(faults, a.forget(ctx, r.id, false))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("sweep the archive of evidence: %w", err)
	}
	return nil
}

// claim is what the ledger has of a settlement, nil when it has none.
func (a *Archive) claim(ctx context.Context, n claim.Named) (*claim.Claim, error) {
	found, err := query.Ask[claim.Detail](ctx, a.Ledger, "claim:Get", n)
	var fault *ledger.Fault
	if errors.As(err, &fault) && fault.Code == ledger.CodeNotFound {
		return nil, nil
	}
	return &found.Claim, err
}

// forget destroys the key of a settlement's evidence, then the evidence; of a settlement that was refused, the leaves too.
func (a *Archive) forget(ctx context.Context, id string, leaves bool) error {
	if err := a.Keys.DestroyKey(ctx, content.EvidenceKeys, keyName(id)); err != nil {
		return err
	}
	if err := os.Remove(a.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := a.DB.InTx(ctx, func(tx *database.Tx) error {
		statements := []string{`UPDATE archive_leaves SET offsets = NULL WHERE settlement = ?`, `UPDATE archive_settlements SET kept = 0 WHERE id = ?`}
		if leaves {
			statements = []string{`DELETE FROM archive_leaves WHERE settlement = ?`, `DELETE FROM archive_settlements WHERE id = ?`}
		}
		for _, statement := range append(statements, `DELETE FROM archive_shown WHERE settlement = ?`) {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		a.Log.InfoContext(ctx, "the evidence of a settlement is forgotten", "settlement", id, "refused", leaves)
	}
	return err
}

// readAt reads one sealed evidence.
func readAt(file io.ReaderAt, offsets []byte, index uint64) ([]byte, error) {
	start, end := binary.BigEndian.Uint64(offsets[8*index:]), binary.BigEndian.Uint64(offsets[8*index+8:])
	if end < start || end-start > maxEvidence {
		return nil, errors.New("the archive is damaged")
	}
	sealed := make([]byte, end-start)
	_, err := file.ReadAt(sealed, int64(start))
	return sealed, err
}
