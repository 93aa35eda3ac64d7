package attesting

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// verified is how far the leaves of a session were found right, and what it takes to go on from there: no root but the
// tree's belongs to these leaves, so the ones before need not be read again.
type verified struct {
	tree    *merkle.Frontier
	amount  uint64
	numbers numbers.Seen // of their requests; further ones only of a host that is not honest
}

func nothingVerified() *verified { return &verified{tree: new(merkle.Frontier)} }

// sessionsAtOnce bounds how many sessions one statement names.
const sessionsAtOnce = 500

// recall reads how far the leaves of sessions are verified. What is missing or makes no sense is left out: it is read from
// the first leaf on.
func (w *Worker) recall(ctx context.Context, sessions []merkle.Hash) (map[merkle.Hash]*verified, error) {
	known := map[merkle.Hash]*verified{}
	for rest := sessions; len(rest) > 0; {
		some := rest[:min(len(rest), sessionsAtOnce)]
		rest = rest[len(some):]
		args := make([]any, len(some))
		for i := range some {
			args[i] = some[i][:]
		}
		if err := w.recallSome(ctx, args, known); err != nil {
			return nil, fmt.Errorf("read which leaves are verified: %w", err)
		}
	}
	return known, nil
}

func (w *Worker) recallSome(ctx context.Context, args []any, known map[merkle.Hash]*verified) error {
	rows, err := w.DB.QueryContext(ctx, `SELECT session, size, amount, peaks, numbers FROM attesting_sessions WHERE session IN (?`+
		strings.Repeat(", ?", len(args)-1)+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, peaks, ranges []byte
		var size, amount int64
		if err := rows.Scan(&id, &size, &amount, &peaks, &ranges); err != nil {
			return err
		}
		v := &verified{amount: uint64(amount)}
		hashes, pairs := make([]merkle.Hash, len(peaks)/32), make([]numbers.Range, len(ranges)/16)
		for i := range hashes {
			hashes[i] = merkle.Hash(peaks[32*i:])
		}
		for i := range pairs {
			pairs[i] = numbers.Range{First: binary.BigEndian.Uint64(ranges[16*i:]), Last: binary.BigEndian.Uint64(ranges[16*i+8:])}
		}
		var faults [2]error
		v.tree, faults[0] = merkle.NewFrontier(uint64(size), hashes)
		v.numbers.Set, faults[1] = numbers.Of(pairs)
		if len(id) == len(merkle.Hash{}) && errors.Join(faults[:]...) == nil {
			known[merkle.Hash(id)] = v
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// reached is what was verified of a session.
type reached struct {
	session.Detail
	*verified
}

// remember keeps how far the leaves of sessions are verified, as far as another settlement may follow. What has got
// farther meanwhile stays.
func (w *Worker) remember(ctx context.Context, list []reached) error {
	err := w.DB.InTx(ctx, func(tx *database.Tx) error {
		for _, r := range list {
			if r.Tab.Closed || r.numbers.Further != nil {
				if _, err := tx.ExecContext(ctx, `DELETE FROM attesting_sessions WHERE session = ?`, r.ID[:]); err != nil {
					return err
				}
				continue
			}
			var peaks, ranges []byte
			for _, p := range r.tree.Peaks() {
				peaks = append(peaks, p[:]...)
			}
			for _, pair := range r.numbers.Ranges() {
				ranges = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(ranges, pair.First), pair.Last)
			}
			over := r.Expires.Add(time.Duration(r.Grace) * time.Hour).Unix()
			if _, err := tx.ExecContext(ctx, `INSERT INTO attesting_sessions (session, size, amount, peaks, numbers, over) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (session) DO UPDATE SET size = excluded.size, amount = excluded.amount, peaks = excluded.peaks, numbers = excluded.numbers
				WHERE excluded.size > attesting_sessions.size`, r.ID[:], int64(r.tree.Size()), int64(r.amount), peaks, ranges, over); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep which leaves are verified: %w", err)
	}
	return nil
}

// doubt forgets what was verified of sessions.
func (w *Worker) doubt(ctx context.Context, sessions []merkle.Hash) error {
	err := w.DB.InTx(ctx, func(tx *database.Tx) error {
		for _, id := range sessions {
			if _, err := tx.ExecContext(ctx, `DELETE FROM attesting_sessions WHERE session = ?`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget which leaves are verified: %w", err)
	}
	return nil
}

// afterwards is how long what was verified of a session is kept when nothing more can be settled in it.
const afterwards = 7 * 24 * time.Hour

// forgetSessions drops what was verified of sessions that are over.
func (w *Worker) forgetSessions(ctx context.Context) error {
	return w.DB.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM attesting_sessions WHERE over < ?`, w.Now().Add(-afterwards).Unix())
		return err
	})
}
