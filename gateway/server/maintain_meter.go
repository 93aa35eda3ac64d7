package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// takeMeter takes a part of the journal back, if there is no journal here.
func (m *Maintenance) takeMeter(data []byte, r *Restored) error {
	var p content.FilePiece
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("the meter of the backup cannot be read")
	}
	path := m.server.journal()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.Write(m.restoredJournal()); err != nil {
		return fmt.Errorf("restore the meter: %w", err)
	}
	r.meter = p.Last
	return nil
}

// restoredJournal is where the journal lies until it is reconciled with the ledger.
func (m *Maintenance) restoredJournal() string { return m.server.journal() + ".restored" }

// reconcile puts a meter that was taken back in its place, without the sessions of which the ledger knows more and without
// their evidence, and tells how many are left. Of these the host may go on, and settle what was vouched for before the
// backup.
func (m *Maintenance) reconcile(ctx context.Context) (left int, err error) {
	path := m.restoredJournal()
	if left, err = m.reconcileAt(ctx, path); err != nil {
		return 0, fmt.Errorf("reconcile the meter with the ledger: %w", err)
	}
	if err := errors.Join(os.Rename(path, m.server.journal()), os.Remove(path+".lock")); err != nil {
		return 0, fmt.Errorf("restore the meter: %w", err)
	}
	return left, nil
}

func (m *Maintenance) reconcileAt(ctx context.Context, path string) (left int, err error) {
	file, err := journal.OpenFile(path)
	if err != nil {
		return 0, err
	}
	config := m.server.config.Serving
	from, err := meter.Open(file, meter.Limits{Exposure: config.Exposure, Unsettled: config.Unsettled})
	if err != nil {
		return 0, errors.Join(err, file.Close())
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	settling := map[merkle.Hash]uint64{}
	for _, s := range from.Pending() {
		for _, item := range s.Items {
			settling[item.Session] = item.Voucher.N
		}
	}
	gone := map[merkle.Hash]bool{}
	for _, t := range from.Sessions() {
		known, err := m.onLedger(ctx, from, t, settling)
		if err != nil {
			return 0, err
		}
		if known {
			left++
		} else {
			gone[t.ID] = true
		}
	}
	for _, s := range from.Pending() {
		if slices.ContainsFunc(s.Items, func(item meter.Item) bool { return gone[item.Session] }) {
			if err := from.Refused(s.ID); err != nil {
				return 0, err
			}
		}
	}
	for sid := range gone {
		err := errors.Join(from.End(sid), from.Forget(sid), m.store.DestroyKey(ctx, content.EvidenceKeys, sid.String()))
		if err != nil {
			return 0, err
		}
	}
	return left, from.Compact()
}

// onLedger tells whether a session stands on the ledger as the meter has it, or as a settlement leaves it that is under
// way in the meter.
func (m *Maintenance) onLedger(ctx context.Context, from *meter.Meter, t meter.Tracked, settling map[merkle.Hash]uint64) (bool, error) {
	named := session.Named{Account: ledger.Account(t.Terms.Account), Name: hex.EncodeToString(t.Terms.Name[:])}
	d, err := query.Ask[session.Detail](ctx, functions{m.server}, "session:Get", named)
	var fault *ledger.Fault
	if errors.As(err, &fault) && fault.Code == ledger.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	funds, err := from.Session(t.ID)
	if err != nil {
		return false, err
	}
	voucher, under := settling[t.ID]
	n := uint64(d.Tab.N)
	return !t.Ended && d.State != session.Ended && !d.Tab.Closed && (n == funds.Settled.N || under && n == voucher), nil
}
