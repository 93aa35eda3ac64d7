package settling

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// SettleNow settles whatever is vouched for, however little and young it is, and returns the settlements that the ledger now
// holds. Only what the ledger would refuse as crumbs waits.
func (w *Worker) SettleNow(ctx context.Context) ([]claim.Claim, error) {
	if w.Meter == nil {
		return nil, nil
	}
	policy := w.policy()
	policy.Amount, policy.Age = 1, 0
	return w.settle(ctx, policy)
}

// settle brings all that is due to the ledger, what was under way before first.
func (w *Worker) settle(ctx context.Context, policy meter.Policy) (done []claim.Claim, err error) {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for batch := w.Meter.Pending(); ; {
		settled, err := w.bringAll(ctx, batch)
		done = append(done, settled...)
		if err != nil {
			return done, err
		}
		if batch, err = w.choose(policy); err != nil || len(batch) == 0 {
			return done, err
		}
	}
}

// choose takes some settlements that are due out of the meter.
func (w *Worker) choose(policy meter.Policy) (batch []meter.Settlement, err error) {
	for len(batch) < abreast {
		chosen, err := w.Meter.Settle(w.Now(), newID(), policy)
		if err != nil {
			return nil, err
		}
		if chosen == nil {
			break
		}
		batch = append(batch, *chosen)
		if err := w.fail(afterChoosing); err != nil {
			return nil, err
		}
	}
	return batch, nil
}

func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// bringAll brings settlements to the ledger. One that fails keeps no other from being settled.
func (w *Worker) bringAll(ctx context.Context, batch []meter.Settlement) (done []claim.Claim, err error) {
	settled, failures := make([]*claim.Claim, len(batch)), make([]error, len(batch))
	var working errgroup.Group
	working.SetLimit(abreast)
	for i, s := range batch {
		working.Go(func() error {
			if settled[i], failures[i] = w.bring(ctx, s); failures[i] != nil {
				failures[i] = fmt.Errorf("settlement %s: %w", s.ID, failures[i])
			}
			return nil
		})
	}
	_ = working.Wait() // failures are in their places
	for _, c := range settled {
		if c != nil {
			done = append(done, *c)
		}
	}
	return done, errors.Join(failures...)
}

// bring brings one settlement to its end: what the ledger holds, or nil when it has refused. With an error it is not known
// yet, and the same is to be tried again.
func (w *Worker) bring(ctx context.Context, s meter.Settlement) (*claim.Claim, error) {
	if err := w.Archive.Archive(ctx, s); err != nil {
		return nil, fmt.Errorf("archive evidence: %w", err)
	}
	if err := w.fail(afterArchiving); err != nil {
		return nil, err
	}
	host, request, err := w.request(ctx, s)
	if err != nil {
		return nil, err
	}
	document, err := ledger.Encode(request)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	entry, err := w.Outbox.Submit(waiting, outbox.Request{Account: host, Key: "settlement " + s.ID, Function: "claim:Settle", Document: document})
	if err != nil {
		return nil, err
	}
	if err := w.fail(afterOutcome); err != nil {
		return nil, err
	}
	switch {
	case entry.State == outbox.Committed:
		return w.settled(s, entry.Response)
	case entry.Fault != nil:
		return nil, w.refused(ctx, s, entry.Fault)
	case entry.State == outbox.Submitted:
		return nil, fmt.Errorf("the outcome of transaction %s is not known yet", entry.TxID)
	default:
		return nil, fmt.Errorf("transaction %s has come to nothing: %s", entry.TxID, entry.Code)
	}
}

// request is what a settlement asks of the ledger, and of which host. It is always the same for a settlement: all that it
// looks up are terms, which never change.
func (w *Worker) request(ctx context.Context, s meter.Settlement) (host ledger.Account, request claim.Settle, err error) {
	request = claim.Settle{ID: s.ID, Card: s.Card}
	for _, item := range s.Items {
		p := session.Presented{Named: named(item), Funds: item.TopUps, Close: item.Close}
		if len(item.Signature) > 0 {
			v := item.Voucher
			p.N, p.Amount, p.Root, p.Request = int64(v.N), money.Amount(v.Amount), v.Root, v.Request
			p.Signature = hex.EncodeToString(item.Signature)
		}
		request.Sessions = append(request.Sessions, p)
	}
	first, err := query[session.Detail](ctx, w.Functions, "session:Get", named(s.Items[0]))
	if err != nil {
		return "", request, fmt.Errorf("look up the terms of session %s: %w", s.Items[0].Session, err)
	}
	request.Model = first.Model
	return first.Host, request, nil
}

func named(item meter.Item) session.Named {
	return session.Named{Account: ledger.Account(item.Account), Name: hex.EncodeToString(item.Name[:])}
}

func (w *Worker) settled(s meter.Settlement, response []byte) (*claim.Claim, error) {
	c := new(claim.Claim)
	if err := ledger.DecodeAnswer(response, c); err != nil {
		return nil, fmt.Errorf("read the ledger's answer: %w", err)
	}
	if err := w.Meter.Settled(s.ID); err != nil {
		return nil, err
	}
	for _, item := range s.Items {
		w.takeBack(item.Session)
	}
	w.Log.Info("settled", "settlement", s.ID, "host", c.Host, "model", c.Model.Named, "sessions", c.Sessions, "uses", c.Uses, "fees", c.Fees)
	return c, nil
}

// refused makes the sessions due again, without the one that the fault names. Where it names none, all are left out.
func (w *Worker) refused(ctx context.Context, s meter.Settlement, fault *ledger.Fault) error {
	w.Log.Error("the ledger refuses a settlement", "settlement", s.ID, "sessions", len(s.Items), "reason", fault)
	faulty := s.Items
	if i, one := faultyItem(fault); one && i < len(s.Items) {
		faulty = s.Items[i : i+1]
	}
	for _, item := range faulty {
		w.leaveOut(item.Session)
	}
	if err := w.Meter.Refused(s.ID); err != nil {
		return err
	}
	for _, item := range faulty {
		now, err := query[session.Detail](ctx, w.Functions, "session:Get", named(item))
		if err != nil {
			return fmt.Errorf("look whether session %s has ended: %w", item.Session, err)
		}
		if now.State != session.Ended {
			continue
		}
		w.Log.Error("a session was ended before it was settled: what it still owed is lost", "session", item.Session, "account", item.Account)
		if err := w.Meter.End(item.Session); err != nil && !errors.Is(err, meter.ErrUnknown) {
			return err
		}
		w.takeBack(item.Session)
	}
	return nil
}

// faultyItem reads which session a fault is about, from its field "sessions.3.name".
func faultyItem(f *ledger.Fault) (index int, one bool) {
	rest, of := strings.CutPrefix(f.Field, "sessions.")
	if !of {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	return index, err == nil && index >= 0
}
