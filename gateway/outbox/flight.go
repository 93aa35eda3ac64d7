package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// errClosed is the answer while the gateway shuts down.
var errClosed = errors.New("the gateway is shutting down; ask again with the same key")

// flight is work on one entry. There is at most one for each entry at a time, and it goes on when its caller leaves.
type flight struct {
	known chan struct{} // closed when the row is
	done  chan struct{}

	mutex sync.Mutex
	row   row
	err   error
}

func newFlight() *flight {
	return &flight{known: make(chan struct{}), done: make(chan struct{}), err: errClosed}
}

// publish tells what callers who leave may know.
func (f *flight) publish(r row) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.row.State == "" {
		close(f.known)
	}
	f.row = r
}

// land stores how the work ended.
func (f *flight) land(r row, err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.row, f.err = r, err
}

// wait returns how the work ended, or what is known when the context ends. One whose time is over waits a little more for
// the transaction's id.
func (f *flight) wait(ctx context.Context) (row, error) {
	select {
	case <-f.done:
		return f.row, f.err
	case <-ctx.Done():
		return f.soFar(ctx)
	}
}

func (f *flight) soFar(ctx context.Context) (row, error) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		timer := time.NewTimer(courtesy)
		defer timer.Stop()
		select {
		case <-f.known:
		case <-f.done:
			return f.row, f.err
		case <-timer.C:
		}
	}
	select {
	case <-f.known:
		f.mutex.Lock()
		defer f.mutex.Unlock()
		return f.row, nil
	default:
		return row{}, fmt.Errorf("%w (%w)", ErrPending, ctx.Err())
	}
}

// work brings an entry further, on the outbox's own context. It publishes what callers who leave may know.
type work func(ctx context.Context, f *flight) (row, error)

// do waits for the work that is under way on an entry, then does its own, and returns what is known when the context
// ends first.
func (o *Outbox) do(ctx context.Context, n name, w work) (row, error) {
	for {
		o.mutex.Lock()
		if o.ctx.Err() != nil {
			o.mutex.Unlock()
			return row{}, errClosed
		}
		current, busy := o.flights[n]
		if !busy {
			f := newFlight()
			o.flights[n] = f
			o.running.Add(1)
			o.mutex.Unlock()
			go o.fly(n, f, w)
			return f.wait(ctx)
		}
		o.mutex.Unlock()
		select {
		case <-current.done:
		case <-ctx.Done():
			return current.soFar(ctx)
		}
	}
}

func (o *Outbox) fly(n name, f *flight, w work) {
	defer o.running.Done()
	defer func() {
		o.mutex.Lock()
		delete(o.flights, n)
		o.mutex.Unlock()
		close(f.done)
	}()
	f.land(w(o.ctx, f))
}

// Submit brings a request to the ledger, with a key that the gateway keeps, and waits for the outcome until the context
// ends. Then the entry is in state [Submitted] and the work goes on. An entry that is [Failed] changed nothing. The error
// is [ErrConflictingKey], [ErrPending], or why nothing was submitted: that of Options.Signer, a failure of timing (see
// [fabric.Again]), a [*ledger.Fault] that is a defect of the chaincode.
func (o *Outbox) Submit(ctx context.Context, req Request) (Entry, error) {
	r, err := o.request(ctx, req, func(ctx context.Context, f *flight, r row, begun bool) (row, error) {
		if begun {
			return o.finish(ctx, f, r)
		}
		r.document, r.Function, r.holder, r.unsigned = req.Document, req.Function, nil, nil
		return o.transact(ctx, f, r)
	})
	return r.Entry, err
}

// request works at the entry of a request. It is begun if it has been submitted already, with an outcome or not, and
// then says that it is a repetition; otherwise it may be new.
func (o *Outbox) request(ctx context.Context, req Request, w func(ctx context.Context, f *flight, r row, begun bool) (row, error)) (row, error) {
	if err := req.validate(); err != nil {
		return row{}, err
	}
	r, err := o.do(ctx, req.name(), func(ctx context.Context, f *flight) (row, error) {
		r, found, err := o.load(ctx, req.name())
		if err != nil {
			return r, err
		}
		if !found {
			return w(ctx, f, o.newRow(req), false)
		}
		if r.digest != req.digest() {
			return r, ErrConflictingKey
		}
		begun := r.Final() || r.State == Submitted
		r.Repeated = begun
		return w(ctx, f, r, begun)
	})
	if err == nil && r.digest != req.digest() { // what another request's work had to say when our time was over
		return row{}, ErrConflictingKey
	}
	return r, err
}

// finish brings an entry that has an envelope to its end.
func (o *Outbox) finish(ctx context.Context, f *flight, r row) (row, error) {
	if r.State != Submitted {
		return r, nil
	}
	f.publish(r)
	outcome, err := o.deliver(ctx, r, true)
	if err != nil {
		return r, err
	}
	return o.conclude(ctx, f, r, outcome, 1)
}

// transact has the request endorsed, stores the envelope and delivers it.
func (o *Outbox) transact(ctx context.Context, f *flight, r row) (row, error) {
	return o.again(ctx, f, r, 1)
}

// again is transact after some tries.
func (o *Outbox) again(ctx context.Context, f *flight, r row, tries int) (row, error) {
	o.fail(BeforeEndorsing)
	envelope, err := o.endorse(ctx, r)
	fault := new(ledger.Fault)
	switch {
	case errors.As(err, &fault) && fault.Code != ledger.CodeInternal:
		r.State, r.Fault, r.Code = Failed, fault, ""
		return r, o.save(ctx, &r)
	case err != nil && ctx.Err() != nil:
		return r, errClosed
	case err != nil && r.State == Submitted: // its last transaction is known to be invalid
		o.options.Log.Warn("a transaction that lost against another one was not repeated", "function", r.Function, "transaction", r.TxID, "error", err)
		r.State = Failed
		return r, o.save(ctx, &r)
	case err != nil:
		return r, err
	}
	o.fail(AfterEndorsing)
	r.State, r.TxID, r.envelope, r.Block, r.Code = Submitted, envelope.TxID, envelope.Bytes, 0, ""
	r.Attempt++
	if err := o.save(ctx, &r); err != nil {
		return r, fmt.Errorf("keep the signed transaction, which was not sent: %w", err)
	}
	o.fail(AfterStoring)
	f.publish(r)
	outcome, err := o.deliver(ctx, r, false)
	if err != nil {
		return r, err
	}
	return o.conclude(ctx, f, r, outcome, tries)
}

// conclude stores an outcome, or begins again when another transaction came first.
func (o *Outbox) conclude(ctx context.Context, f *flight, r row, out outcome, tries int) (row, error) {
	o.fail(AfterOutcome)
	r.Block = out.block
	if out.code == "" {
		envelope, err := fabric.ParseEnvelope(r.envelope)
		if err != nil {
			return r, err
		}
		r.State, r.Response = Committed, envelope.Response
	} else {
		r.Code = out.code
		if out.conflict && tries < attempts && r.holder == nil {
			if err := rest(ctx, tries); err != nil {
				return r, errClosed
			}
			return o.again(ctx, f, r, tries+1)
		}
		r.State = Failed
	}
	if err := o.save(ctx, &r); err != nil {
		// The outcome stands all the same; who asks again finds it on the ledger.
		o.options.Log.Error("the outcome of a transaction could not be stored", "transaction", r.TxID, "error", err)
	}
	o.fail(AfterRecording)
	return r, nil
}

// endorse asks again, within bounds, where the failure is one of timing.
func (o *Outbox) endorse(ctx context.Context, r row) (fabric.Envelope, error) {
	if o.options.Signer == nil {
		return fabric.Envelope{}, errors.New("this gateway signs for nobody")
	}
	signer, err := o.options.Signer(ctx, r.Account)
	if err != nil {
		return fabric.Envelope{}, err
	}
	return retry(ctx, func(ctx context.Context) (fabric.Envelope, error) {
		return signer.Envelope(ctx, fabric.Call{Function: r.Function, Request: r.document})
	})
}

func retry[T any](ctx context.Context, endorse func(context.Context) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		limited, cancel := context.WithTimeout(ctx, endorsing)
		answer, err := endorse(limited)
		cancel()
		if err == nil || !fabric.Again(err) || attempt == attempts || rest(ctx, attempt) != nil {
			return answer, err
		}
	}
}

// outcome is what became of an envelope. code is "" for a valid transaction.
type outcome struct {
	block    uint64
	code     string
	conflict bool
}

// deliver sends an envelope until its outcome is known. sent tells whether it may have been sent before. The error is
// that the outbox closes, or that the envelope cannot be sent at all.
func (o *Outbox) deliver(ctx context.Context, r row, sent bool) (outcome, error) {
	envelope := fabric.Envelope{TxID: r.TxID, Bytes: r.envelope}
	for attempt := 1; ; attempt++ {
		if sent { // as after a restart
			if out, known := o.await(ctx, r.TxID, o.glance); known {
				return out, nil
			}
		}
		err := o.options.Service.Send(ctx, envelope)
		o.fail(AfterSending)
		refused, unknown := new(fabric.RefusedError), new(fabric.UnknownError)
		switch {
		case err == nil || errors.As(err, &unknown):
		case errors.As(err, &refused):
			if !sent {
				return outcome{code: CodeRefused}, nil
			}
		default:
			return outcome{}, err
		}
		out, known := o.await(ctx, r.TxID, o.doubt)
		switch {
		case known:
			return out, nil
		case errors.As(err, &refused): // and an earlier copy would have come by now
			return outcome{code: CodeRefused}, nil
		}
		sent = true
		o.options.Log.Warn("the outcome of a transaction is not known; it is sent again", "transaction", r.TxID, "attempt", attempt, "error", err)
		if rest(ctx, min(4*attempt, 100)) != nil {
			return outcome{}, errClosed
		}
	}
}

func (o *Outbox) await(ctx context.Context, txID string, wait time.Duration) (out outcome, known bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	block, err := o.options.Service.Await(ctx, txID)
	invalid := new(fabric.InvalidError)
	switch {
	case err == nil:
		return outcome{block: block}, true
	case errors.As(err, &invalid):
		return outcome{block: invalid.Block, code: invalid.Code.String(), conflict: invalid.Conflict()}, true
	}
	return outcome{}, false
}

// rest waits a random time that grows with the attempts.
func rest(ctx context.Context, attempt int) error {
	timer := time.NewTimer(rand.N(time.Duration(attempt) * pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
