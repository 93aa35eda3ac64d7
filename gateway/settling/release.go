package settling

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// payable are the states of a claim in which a page may be due.
var payable = []claim.State{claim.Open, claim.Decided, claim.Releasing}

// release has the pages paid that attestors or members have agreed on, of other hosts' claims only when these have left
// them for a while.
func (w *Worker) release(ctx context.Context) error {
	var failures []error
	waiting := map[claim.Named]bool{}
	for _, state := range payable {
		err := each(ctx, w.Index, index.Filter{Kind: "claim", State: string(state)}, func(c claim.Claim, _ ledger.Key) error {
			if c.Left == 0 {
				return nil
			}
			waiting[c.Named] = true
			if err := w.pay(ctx, c); err != nil {
				failures = append(failures, fmt.Errorf("pay what settlement %s of %s has left: %w", c.ID, c.Host, err))
			}
			return nil
		})
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for n := range w.seen {
		if !waiting[n] {
			delete(w.seen, n)
		}
	}
	return errors.Join(failures...)
}

// pay has pages of a claim paid as long as there are any that are agreed on and known here.
func (w *Worker) pay(ctx context.Context, c claim.Claim) error {
	detail, err := query[claim.Detail](ctx, w.Functions, "claim:Get", c.Named)
	if err != nil {
		return err
	}
	for c = detail.Claim; c.Left > 0; {
		digest, agreed := next(c, detail.Votes)
		if !agreed || w.early(c) {
			return nil
		}
		page, err := w.Pages.Page(ctx, c, digest)
		if errors.Is(err, ErrNoPage) {
			return nil
		}
		if err != nil {
			return err
		}
		request := claim.Release{Named: c.Named, Page: disbursement.Page{Number: len(c.Paid) + 1, Due: money.Amount(page.Due), Rest: page.Rest}}
		for _, p := range page.Payments {
			request.Payments = append(request.Payments, token.Payment{To: ledger.Account(p.Payee), Amount: money.Amount(p.Amount)})
		}
		answer, err := w.Functions.Submit(ctx, "claim:Release", request)
		if fault := new(ledger.Fault); errors.As(err, &fault) && fault.Code == ledger.CodeState {
			// Somebody else has paid it, or a snapshot was revised and votes have to be renewed.
			w.Log.Info("a page is not paid yet", "settlement", c.ID, "host", c.Host, "reason", fault)
			return nil
		}
		if err != nil {
			return err
		}
		c = claim.Claim{} // the answer's, and nothing of the one before
		if err := ledger.DecodeAnswer(answer, &c); err != nil {
			return err
		}
		w.Log.Info("a page of a pay-out table is paid", "settlement", c.ID, "host", c.Host, "page", request.Number, "left", c.Left)
	}
	return nil
}

// next is the digest of the page that is to be paid next: that of a table which a quorum of votes agrees on, or the one
// that is fixed already.
func next(c claim.Claim, votes []claim.Slot) (digest merkle.Hash, agreed bool) {
	if c.State != claim.Open {
		return c.Next, true
	}
	for _, v := range votes {
		same := 0
		for _, other := range votes {
			if other.By != "" && other.Table == v.Table && other.Scope == v.Scope && slices.Equal(other.Revisions, v.Revisions) {
				same++
			}
		}
		if v.By != "" && v.Scope == c.Scope && same >= c.Quorum {
			return v.Table, true
		}
	}
	return merkle.Hash{}, false
}

// early tells whether the claim is another organisation's and was first seen payable not long ago.
func (w *Worker) early(c claim.Claim) bool {
	if c.Host.MSP() == w.Organisation {
		return false
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	first, known := w.seen[c.Named]
	if !known {
		first = w.Now()
		w.seen[c.Named] = first
	}
	return w.Now().Before(first.Add(w.Courtesy))
}
