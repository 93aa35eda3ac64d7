package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// window is how long the same proposal is handed out again: peers refuse one that is older than 15 minutes.
const window = 10 * time.Minute

// ErrOutOfTurn is a signature for something that does not wait for one.
var ErrOutOfTurn = errors.New("this transaction does not wait for that signature; prepare it again with the same key")

// Prepared is a write whose account's key is with its holder.
type Prepared struct {
	Entry
	// Message is what the holder has to sign now (see [fabric.CheckSignature]): the proposal in state [Proposed], the
	// transaction in state [Endorsed]. It is empty in any other state, in which nothing is left to sign.
	Message []byte
}

func prepared(r row, err error) (Prepared, error) {
	return Prepared{Entry: r.Entry, Message: r.message}, err
}

// Prepare makes a proposal in the name of an account whose key the gateway does not keep. The caller has made sure that
// the certificate (PEM) is the account's. The holder signs the message within 10 minutes for [Outbox.Endorse].
//
// The same key answers as [Outbox.Submit] would. A write that lost against another one, and every other that failed
// without a fault, is prepared anew: only its holder can sign another transaction.
func (o *Outbox) Prepare(ctx context.Context, req Request, certificate []byte) (Prepared, error) {
	r, err := o.request(ctx, req, func(ctx context.Context, _ *flight, r row, begun bool) (row, error) {
		waits := r.unsigned != nil && r.State != Failed && string(r.holder) == string(certificate) && o.now().Sub(r.Updated) < window
		if begun || waits {
			return r, nil
		}
		proposal, err := o.options.Service.ProposeFor(req.Account.MSP(), certificate, fabric.Call{Function: req.Function, Request: req.Document})
		if err != nil {
			return r, err
		}
		r.State, r.TxID, r.Block, r.Code = Proposed, proposal.TxID, 0, ""
		r.Attempt++
		r.document, r.holder, r.unsigned, r.message = req.Document, certificate, proposal.Bytes, proposal.Message
		return r, o.save(ctx, &r)
	})
	return prepared(r, err)
}

// Endorse takes the holder's signature of a proposal and collects endorsements. The entry is then in state [Endorsed],
// or has failed with a fault.
func (o *Outbox) Endorse(ctx context.Context, account ledger.Account, txID string, signature []byte) (Prepared, error) {
	return prepared(o.signed(ctx, account, txID, func(ctx context.Context, f *flight, r row) (row, error) {
		switch r.State {
		case Proposed:
		case Endorsed, Submitted, Committed, Failed:
			return r, nil // this step was done before
		default:
			return r, ErrOutOfTurn
		}
		signature, err := fabric.CheckSignature(r.holder, r.message, signature)
		if err != nil {
			return r, err
		}
		o.fail(BeforeEndorsing)
		transaction, err := retry(ctx, func(ctx context.Context) (fabric.Unsigned, error) {
			return o.options.Service.EndorseSigned(ctx, r.unsigned, signature)
		})
		fault := new(ledger.Fault)
		switch {
		case errors.As(err, &fault) && fault.Code != ledger.CodeInternal:
			r.State, r.Fault = Failed, fault
			return r, o.save(ctx, &r)
		case err != nil:
			return r, err
		}
		o.fail(AfterEndorsing)
		r.State, r.unsigned, r.message = Endorsed, transaction.Bytes, transaction.Message
		return r, o.save(ctx, &r)
	}))
}

// SubmitSigned takes the holder's signature of a transaction and brings it to the ledger, as [Outbox.Submit] does.
func (o *Outbox) SubmitSigned(ctx context.Context, account ledger.Account, txID string, signature []byte) (Entry, error) {
	r, err := o.signed(ctx, account, txID, func(ctx context.Context, f *flight, r row) (row, error) {
		switch r.State {
		case Endorsed:
		case Submitted:
			return o.finish(ctx, f, r)
		case Committed, Failed:
			r.Repeated = true
			return r, nil
		default:
			return r, ErrOutOfTurn
		}
		signature, err := fabric.CheckSignature(r.holder, r.message, signature)
		if err != nil {
			return r, err
		}
		envelope, err := fabric.Seal(r.unsigned, signature)
		if err != nil {
			return r, err
		}
		r.State, r.envelope, r.unsigned, r.message = Submitted, envelope.Bytes, nil, nil
		if err := o.save(ctx, &r); err != nil {
			return r, fmt.Errorf("keep the signed transaction, which was not sent: %w", err)
		}
		o.fail(AfterStoring)
		f.publish(r)
		outcome, err := o.deliver(ctx, r, false)
		if err != nil {
			return r, err
		}
		return o.conclude(ctx, f, r, outcome, 1)
	})
	return r.Entry, err
}

// signed works on the entry whose current transaction has the id.
func (o *Outbox) signed(ctx context.Context, account ledger.Account, txID string, w func(context.Context, *flight, row) (row, error)) (row, error) {
	r, err := o.find(ctx, account, txID)
	if err != nil {
		return r, err
	}
	n := name{account, r.Key}
	return o.do(ctx, n, func(ctx context.Context, f *flight) (row, error) {
		r, found, err := o.load(ctx, n)
		switch {
		case err != nil:
			return r, err
		case !found:
			return r, ErrNone
		case r.TxID != txID || r.holder == nil:
			return r, ErrOutOfTurn
		}
		return w(ctx, f, r)
	})
}
