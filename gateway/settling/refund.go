package settling

import (
	"context"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// refund ends sessions of the own organisation's consumers whose expiry and grace have passed, and has what they still hold
// come back, late top-ups too. One that fails keeps no other from coming back.
func (w *Worker) refund(ctx context.Context) error {
	return errors.Join(w.expire(ctx), w.reclaim(ctx))
}

func (w *Worker) expire(ctx context.Context) error {
	var failures []error
	now := w.Now()
	err := each(ctx, w.Index, index.Filter{Kind: "session", Organisation: w.Organisation, State: string(session.Opened)}, func(s session.Session, _ ledger.Key) error {
		if now.Before(s.Ends()) {
			return nil
		}
		if _, err := w.Functions.Submit(ctx, "session:Expire", s.Named); err != nil {
			failures = append(failures, fmt.Errorf("end session %s of %s: %w", s.Name, s.Account, err))
		} else {
			w.Log.Info("a session is over", "account", s.Account, "session", s.Name)
		}
		return nil
	})
	return errors.Join(append(failures, err)...)
}

// reclaim returns what ended sessions hold: each whose tab is open, and each with a top-up that nothing has counted.
func (w *Worker) reclaim(ctx context.Context) error {
	holding := map[session.Named]bool{}
	note := func(key ledger.Key) error {
		if _, parts, ok := key.Split(); ok && len(parts) >= 2 {
			holding[session.Named{Account: ledger.Account(parts[0]), Name: parts[1]}] = true
		}
		return nil
	}
	tabs := index.Filter{Kind: "tab", Organisation: w.Organisation, State: "open"}
	if err := each(ctx, w.Index, tabs, func(_ session.Tab, key ledger.Key) error { return note(key) }); err != nil {
		return err
	}
	funds := index.Filter{Kind: "fund", Organisation: w.Organisation, State: "unused"}
	if err := each(ctx, w.Index, funds, func(_ session.Fund, key ledger.Key) error { return note(key) }); err != nil {
		return err
	}
	var failures []error
	for n := range holding {
		if err := w.reclaimFrom(ctx, n); err != nil {
			failures = append(failures, fmt.Errorf("return what session %s of %s holds: %w", n.Name, n.Account, err))
		}
	}
	return errors.Join(failures...)
}

func (w *Worker) reclaimFrom(ctx context.Context, n session.Named) error {
	s, err := query[session.Detail](ctx, w.Functions, "session:Get", n)
	if err != nil || s.State != session.Ended {
		return err
	}
	req := session.Reclaim{Named: n}
	send := func() error {
		if _, err := w.Functions.Submit(ctx, "session:Reclaim", req); err != nil {
			return err
		}
		w.Log.Info("what a session held is back", "account", n.Account, "session", n.Name, "topUps", len(req.Funds))
		req.Funds = nil
		return nil
	}
	unused := index.Filter{Kind: "fund", Within: []string{string(n.Account), n.Name}, State: "unused"}
	err = each(ctx, w.Index, unused, func(f session.Fund, _ ledger.Key) error {
		if req.Funds = append(req.Funds, f.ID); len(req.Funds) == session.MaxFunds {
			return send()
		}
		return nil
	})
	if err != nil || len(req.Funds) == 0 && s.Tab.Closed {
		return err
	}
	return send()
}

// each calls do for each entry of a list, in its order.
func each[T any](ctx context.Context, from Index, f index.Filter, do func(T, ledger.Key) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := from.Entries(ctx, f, page)
		if err != nil {
			return err
		}
		for _, entry := range found.Items {
			var v T
			if err := ledger.DecodeAnswer(entry.Value, &v); err != nil {
				return err
			}
			if err := do(v, entry.Key); err != nil {
				return err
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}
