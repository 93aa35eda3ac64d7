package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

// meterPartBytes is how much of the meter's journal a part of a backup holds at most.
const meterPartBytes = 4 << 20

// meterPart is a part of the meter's journal on its way into a backup and back.
type meterPart struct {
	Offset int64  `json:"offset"`
	Last   bool   `json:"last"`
	Data   []byte `json:"data"`
}

// backupMeter hands out the journal as far as it is written now. A record that is being written is cut off when the
// journal is opened again.
func backupMeter(path string, each func(meterPart) error) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("back up the meter: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("back up the meter: %w", err)
	}
	data := make([]byte, meterPartBytes)
	for p := (meterPart{}); !p.Last; {
		n, err := file.ReadAt(data[:min(int64(len(data)), info.Size()-p.Offset)], p.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("back up the meter: %w", err)
		}
		p.Data, p.Last = data[:n], p.Offset+int64(n) == info.Size() || n == 0
		if err := each(p); err != nil {
			return err
		}
		p.Offset += int64(n)
	}
	return nil
}

// takeMeter takes a part of the journal back, if there is no journal here.
func (m *Maintenance) takeMeter(data []byte, r *Restored) error {
	var p meterPart
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("the meter of the backup cannot be read")
	}
	path := m.server.journal()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	flags := os.O_WRONLY
	if p.Offset == 0 {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(m.restoredJournal(), flags, 0o600)
	if err != nil {
		return fmt.Errorf("restore the meter: %w", err)
	}
	_, err = file.WriteAt(p.Data, p.Offset)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
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
