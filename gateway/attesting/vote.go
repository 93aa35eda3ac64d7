package attesting

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/query"
	"github.com/datanet-consortium/datanet/gateway/settling"
)

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

// attest votes on a claim, or objects to it, unless the vote on the latest revisions is there.
func (w *Worker) attest(ctx context.Context, c claim.Claim) error {
	voted, err := w.voted(ctx, c)
	if err != nil || voted {
		return err
	}
	x, err := w.Examine(ctx, c.Named)
	if err == nil {
		return w.Answer(ctx, x)
	}
	// It may have been voted for, and paid, while it was examined: by a person, or by the worker before a restart.
	if voted, again := w.voted(ctx, c); again == nil && voted {
		return nil
	}
	return err
}

// voted tells whether the organisation's vote stands, on the latest revisions.
func (w *Worker) voted(ctx context.Context, c claim.Claim) (bool, error) {
	detail, err := query.Ask[claim.Detail](ctx, w.Ledger, "claim:Get", c.Named)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(detail.Votes, func(s claim.Slot) bool { return s.MSP == w.Organisation })
	if detail.State != claim.Open || i < 0 {
		return true, nil // nothing is asked of it
	}
	slot := detail.Votes[i]
	if slot.By == "" || len(slot.Revisions) != len(c.Revisions) {
		return false, nil
	}
	for i, r := range c.Revisions {
		latest, err := query.Ask[snapshot.Snapshot](ctx, w.Ledger, "snapshot:Get", snapshot.Named{Datanet: r.Datanet, Number: r.Number})
		if err != nil || latest.Revision != slot.Revisions[i] {
			return false, err
		}
	}
	return true, nil
}

// Answer votes or objects as an examination has found, and keeps what was found.
func (w *Worker) Answer(ctx context.Context, x *Examination) error {
	if err := w.Keep(ctx, x); err != nil {
		return err
	}
	if x.Difference != nil {
		return w.object(ctx, x)
	}
	if _, err := w.Submit(ctx, "claim:Attest", claim.Attest{Named: x.Claim, Vote: *x.Vote}); err != nil {
		return fmt.Errorf("vote: %w", err)
	}
	w.Log.InfoContext(ctx, "attested", "settlement", x.Claim.ID, "host", x.Claim.Host, "uses", x.Uses, "recomputed", x.Recomputed, "uncovered", x.Uncovered, "table", x.Vote.Table)
	return nil
}

func (w *Worker) object(ctx context.Context, x *Examination) error {
	request, err := x.Objection()
	if err != nil {
		return err
	}
	w.Log.WarnContext(ctx, "a settlement is not as it should be", "settlement", x.Claim.ID, "host", x.Claim.Host, "finding", x.Difference.Finding,
		"session", x.Difference.Session, "place", x.Difference.Place, "detail", x.Difference.Detail)
	if _, err := w.Submit(ctx, "claim:Object", request); err != nil {
		return fmt.Errorf("object: %w", err)
	}
	return nil
}

// Objection is the request that objects with the difference that was found.
func (x *Examination) Objection() (claim.Object, error) {
	report, err := x.report()
	d := x.Difference
	return claim.Object{Named: x.Claim, Difference: claim.Difference{Finding: d.Finding, Session: d.Session, Place: int64(d.Place),
		Evidence: merkle.Hash(sha(report))}}, err
}

// report is what an objection names the digest of.
func (x *Examination) report() ([]byte, error) { return ledger.Encode(x) }

// Keep keeps the pages of a table, for who pays them, and the report of an objection.
func (w *Worker) Keep(ctx context.Context, x *Examination) error {
	var report []byte
	secret := ""
	if x.Difference != nil {
		var err error
		if report, err = x.report(); err != nil {
			return err
		}
	} else {
		secret = x.Vote.Secret
	}
	err := w.DB.InTx(ctx, func(tx *database.Tx) error {
		host, id := string(x.Claim.Host), x.Claim.ID
		if _, err := tx.ExecContext(ctx, `INSERT INTO attesting_claims (host, id, secret, report) VALUES (?, ?, ?, ?)
			ON CONFLICT (host, id) DO UPDATE SET secret = excluded.secret, report = excluded.report`, host, id, secret, report); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM attesting_pages WHERE host = ? AND id = ?`, host, id); err != nil {
			return err
		}
		for _, page := range x.Pages {
			encoded, err := page.Encode()
			if err != nil {
				return err
			}
			digest, err := page.Digest()
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO attesting_pages (digest, host, id, page) VALUES (?, ?, ?, ?)`, digest[:], host, id, encoded); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep what was found of settlement %s: %w", x.Claim.ID, err)
	}
	return nil
}

// Page is a page that this gateway has worked out, [settling.ErrNoPage] for any other.
func (w *Worker) Page(ctx context.Context, of claim.Claim, digest merkle.Hash) (payout.Page, error) {
	var encoded []byte
	err := w.DB.QueryRowContext(ctx, `SELECT page FROM attesting_pages WHERE digest = ? AND host = ? AND id = ?`, digest[:], string(of.Host), of.ID).Scan(&encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return payout.Page{}, settling.ErrNoPage
	}
	if err != nil {
		return payout.Page{}, err
	}
	return payout.DecodePage(encoded)
}

// Report is what this gateway has found against a settlement, nil when it has not objected.
func (w *Worker) Report(ctx context.Context, n claim.Named) (report []byte, err error) {
	err = w.DB.QueryRowContext(ctx, `SELECT report FROM attesting_claims WHERE host = ? AND id = ?`, string(n.Host), n.ID).Scan(&report)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return report, err
}

// forget drops the pages of claims that are paid.
func (w *Worker) forget(ctx context.Context) error {
	rows, err := w.DB.QueryContext(ctx, `SELECT DISTINCT host, id FROM attesting_pages`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []claim.Named
	for rows.Next() {
		var host, id string
		if err := rows.Scan(&host, &id); err != nil {
			return err
		}
		list = append(list, claim.Named{Host: ledger.Account(host), ID: id})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, n := range list {
		found, err := query.Ask[claim.Detail](ctx, w.Ledger, "claim:Get", n)
		if err != nil {
			return err
		}
		if found.State != claim.Released {
			continue
		}
		if err := w.DB.InTx(ctx, func(tx *database.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM attesting_pages WHERE host = ? AND id = ?`, string(n.Host), n.ID)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
