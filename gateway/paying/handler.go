package paying

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// Headers of requests, besides those of package openai.
const (
	// SessionHeader names the session to pay from; without it any of the account's for the model is.
	SessionHeader = "Datanet-Session"
	// RepeatHeader is a client's key under which the same request may be sent again.
	RepeatHeader = "Idempotency-Key"
)

// sendLimit bounds how long a client may take for a part of an answer.
const sendLimit = 30 * time.Second

// Caller is who asks, and pays.
type Caller struct {
	Account ledger.Account
	Key     string  // the API key's id, "" with a certificate or a login
	Budget  *uint64 // of the key, in micro-credits; nil: no limit
}

// purse is what the wallet counts the caller's fees to.
func (c Caller) purse() string {
	if c.Key != "" {
		return "key " + c.Key
	}
	return "account " + string(c.Account)
}

func (c Caller) budget() wallet.Budget {
	limit := uint64(use.MaxAmount)
	if c.Budget != nil {
		limit = *c.Budget
	}
	return wallet.Budget{Total: limit, Request: limit}
}

// Complete answers a request to one of the endpoints. It returns the fault that it has told, for the log.
func (c *Consumer) Complete(w http.ResponseWriter, r *http.Request, caller Caller) *openai.Error {
	out := &client{w: w, control: http.NewResponseController(w)}
	err := c.complete(out, r, caller)
	if err == nil || errors.Is(err, errGone) {
		return nil
	}
	fault := faultOf(err)
	if fault.Code == openai.CodeInternal {
		c.options.Log.Error("answer a request", "account", caller.Account, "error", err)
	}
	c.metrics.refused.WithLabelValues(string(fault.Code)).Inc()
	out.fail(fault)
	return fault
}

// faultOf is a failure as the client sees it.
func faultOf(err error) *openai.Error {
	var fault *openai.Error
	switch {
	case errors.As(err, &fault):
		if fault.Status == 0 { // it came in a stream
			return openai.Refuse(fault.Code, fault.Param, "%s", fault.Message)
		}
		return fault
	case errors.Is(err, errNone), errors.Is(err, errApart), errors.Is(err, wallet.ErrFunds):
		return openai.Refuse(openai.CodeQuota, "", "%v", err)
	case errors.Is(err, wallet.ErrBudget), errors.Is(err, wallet.ErrLimit):
		return openai.Refuse(openai.CodeBudget, "", "%v", err)
	case errors.Is(err, wallet.ErrWindow):
		return openai.Refuse(openai.CodeRate, "", "%v: send fewer at once, or open more sessions", err)
	case errors.Is(err, wallet.ErrEnded), errors.Is(err, wallet.ErrUnknown), errors.Is(err, wallet.ErrStopped):
		return openai.Refuse(openai.CodeQuota, "", "%v: open another one with datanet session open", err)
	}
	return openai.Refuse(openai.CodeInternal, "", "the gateway's log says more")
}

// known are the offer of a model and the caller's sessions for it, nil for what there is not.
func (c *Consumer) known(model string, caller Caller) (*offer, *line) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.offers[model], c.lines[lineKey{caller.Account, model}]
}

func (c *Consumer) complete(out *client, r *http.Request, caller Caller) error {
	kind, err := openai.KindOf(r.URL.Path)
	if err != nil {
		return err
	}
	body, err := readBody(out, r)
	if err != nil {
		return err
	}
	request, err := openai.Parse(kind, body)
	if err != nil {
		return err
	}
	out.usage = request.Usage
	o, l := c.known(request.Model, caller)
	if o == nil || l == nil && !o.card.Free() {
		limited, cancel := context.WithTimeout(r.Context(), c.options.Patience)
		err := c.current(limited)
		cancel()
		if err != nil {
			return fmt.Errorf("look for the session: %w", err)
		}
		o, l = c.known(request.Model, caller)
	}
	switch {
	case o == nil && l == nil:
		return openai.Refuse(openai.CodeNotFound, "model", "no rate card in force offers the model %s", ledger.Clip(request.Model))
	case o != nil && o.card.Free():
		return c.free(r.Context(), o, request, body, out)
	case l == nil:
		return errNone
	}
	key := r.Header.Get(RepeatHeader)
	if key == "" {
		f, _, err := c.begin(r.Context(), l, r.Header.Get(SessionHeader), caller, request, body)
		if err != nil {
			return err
		}
		_, err = c.run(r.Context(), f, out)
		return err
	}
	again, err := c.repeats.begin(caller.Account, key, r.URL.Path, body)
	if err != nil {
		return err
	}
	if again.flight == nil && again.numbered() {
		if err := c.resume(r.Context(), again); err != nil {
			return errors.Join(err, c.repeats.end(again, true))
		}
	}
	if again.flight == nil {
		f, asked, err := c.begin(r.Context(), l, r.Header.Get(SessionHeader), caller, request, body)
		if err != nil {
			return errors.Join(err, c.repeats.end(again, false))
		}
		if err := errors.Join(c.options.Wallet.Flush(), c.repeats.number(again, f, asked)); err != nil {
			c.drop(f)
			return errors.Join(err, c.repeats.end(again, false))
		}
	}
	again.flight.request, again.flight.body = request, body
	ended, err := c.run(r.Context(), again.flight, out)
	select {
	case kept := <-ended:
		return errors.Join(err, c.repeats.end(again, kept))
	default:
		c.behind(func(context.Context) {
			if err := c.repeats.end(again, <-ended); err != nil {
				c.options.Log.Error("end a request with an idempotency key", "error", err)
			}
		})
		return err
	}
}

// resume makes the flight of a request that was sent before the gateway restarted: its host gives the stored answer, or
// answers.
func (c *Consumer) resume(ctx context.Context, again *repeat) error {
	p := c.session(again.session)
	if p == nil {
		limited, cancel := context.WithTimeout(ctx, c.options.Patience)
		defer cancel()
		if err := c.current(limited); err != nil {
			return fmt.Errorf("look for the session: %w", err)
		}
		p = c.session(again.session)
	}
	if p == nil {
		return openai.Refuse(openai.CodeSettled, "", "the session that the request with this Idempotency-Key was sent in has ended, and its answer is not kept; another key asks anew")
	}
	f := &flight{p: p, number: again.request.Number, former: true}
	ask, err := c.options.Wallet.Again(p.sid, f.number, p.key)
	if errors.Is(err, wallet.ErrWaiting) {
		ask, err = c.options.Wallet.Repeat(p.sid, again.request, p.key)
	}
	if err != nil {
		return err
	}
	f.vouched = ask.Voucher.N
	if f.header, err = (openai.Ask(ask)).Encode(); err == nil {
		again.flight = f
	}
	return err
}

func readBody(out *client, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(out.w, r.Body, openai.MaxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, openai.Refuse(openai.CodeTooLarge, "", "the body has more than %d bytes", openai.MaxBody)
	}
	if err != nil {
		return nil, openai.Refuse(openai.CodeInvalid, "", "the body could not be read to its end")
	}
	// The answer takes as long as it takes.
	if err := errors.Join(out.control.SetReadDeadline(time.Time{}), out.control.SetWriteDeadline(time.Now().Add(longest+sendLimit))); err != nil {
		return nil, fmt.Errorf("set the time to answer: %w", err)
	}
	return body, nil
}

// begin numbers and signs a request in a session of the line that has room.
func (c *Consumer) begin(ctx context.Context, l *line, name string, caller Caller, request *openai.Request, body []byte) (*flight, use.Request, error) {
	if err := c.options.Wallet.SetBudget(caller.purse(), caller.budget()); err != nil {
		return nil, use.Request{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Patience)
	defer cancel()
	digest, in, out := merkle.Hash(sha256.Sum256(body)), evidence.Tokens(request.Prompt()...), request.MaxTokens
	if out == 0 {
		out = c.options.DefaultTokens
	}
	p, ask, err := l.take(ctx, name, func(p *prepaid) (wallet.Ask, error) {
		prices := p.offer.prices()
		limit, err := use.Fee(in, out, prices.In, prices.Out)
		if err != nil {
			return wallet.Ask{}, wallet.ErrFunds
		}
		return c.options.Wallet.Ask(time.Now(), p.sid, caller.purse(), limit, digest, p.key)
	})
	if err != nil {
		return nil, use.Request{}, err
	}
	f := &flight{p: p, request: request, body: body, number: ask.Request.Number, vouched: ask.Voucher.N}
	f.header, err = (openai.Ask(ask)).Encode()
	return f, ask.Request, err
}

// run answers a client by a flight. When the client goes away, or the host does not answer in time, the flight goes on
// without it. ended then tells whether its number stands for an answer.
func (c *Consumer) run(ctx context.Context, f *flight, out sink) (ended <-chan bool, err error) {
	f.p.mutex.Lock()
	f.p.flights[f.number] = f
	f.p.mutex.Unlock()
	done := make(chan bool, 1)
	if err = c.fly(ctx, f, out); err == nil || !c.waits(f) {
		done <- c.land(f)
		return done, err
	}
	if c.background.Err() != nil {
		done <- true
		return done, err
	}
	c.behind(func(background context.Context) {
		background, cancel := context.WithTimeout(background, mend)
		defer cancel()
		if err := c.fly(background, f, nobody{}); err != nil {
			c.options.Log.Warn("a request without a client has no answer", "session", f.p.sid, "host", f.p.Host, "error", err)
		}
		done <- c.land(f)
	})
	return done, err
}

// waits tells whether a flight has neither been accepted nor given up.
func (c *Consumer) waits(f *flight) bool {
	_, err := c.options.Wallet.Again(f.p.sid, f.number, f.p.key)
	return err == nil
}

// land ends a flight and tells whether its number stands for an answer, or may.
func (c *Consumer) land(f *flight) bool {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	delete(f.p.flights, f.number)
	f.request, f.body = nil, nil
	return !f.refused
}

// free answers a request to a model that costs nothing.
func (c *Consumer) free(ctx context.Context, o *offer, request *openai.Request, body []byte, out sink) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	response, err := c.post(ctx, o.card.Host.MSP(), request.Kind.Path(), "", body)
	if err == nil {
		defer response.Body.Close()
		var answer *openai.Answer
		var raw []byte
		if answer, raw, err = (&relay{sink: out}).read(request, response); err == nil {
			if answer.Datanet == nil {
				return openai.Refuse(openai.CodeHost, "", "the host answered without a receipt")
			}
			if err := evidenceOf(request.Kind.Path(), body, []byte(answer.Text), answer.Datanet).CheckFree(o.subject); err != nil {
				return openai.Refuse(openai.CodeHost, "", "the host's answer is wrong: %v", err)
			}
			return out.end(answer, raw)
		}
	}
	var refusal *openai.Error
	if !errors.As(err, &refusal) && !errors.Is(err, errGone) && ctx.Err() == nil {
		c.options.Log.Warn("a host cannot be reached", "host", o.card.Host, "error", err)
		return openai.Refuse(openai.CodeUpstream, "", "the gateway of the model's host does not answer")
	}
	return err
}

// client is who gets an answer.
type client struct {
	w       http.ResponseWriter
	control *http.ResponseController
	usage   bool // asked for the usage of a stream
	stream  *openai.Writer
}

func (o *client) begin(head openai.Head) {
	h := o.w.Header()
	h.Set("Content-Type", openai.StreamType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	o.w.WriteHeader(http.StatusOK)
	o.stream = openai.NewWriter(o.w, o.control.Flush, head)
}

func (o *client) text(head openai.Head, part string) error {
	if o.stream == nil {
		o.begin(head)
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	return o.stream.Write(part)
}

func (o *client) end(a *openai.Answer, raw []byte) error {
	if raw != nil {
		h := o.w.Header()
		h["Content-Type"] = jsonHeader
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", strconv.Itoa(len(raw)))
		h.Set(openai.ReceiptHeader, a.Datanet.ReceiptID.String())
		o.w.WriteHeader(http.StatusOK)
		_, err := o.w.Write(raw)
		return err
	}
	if o.stream == nil {
		o.begin(a.Head)
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	if o.usage {
		return o.stream.End(a.Finish, a.Usage, a.Datanet)
	}
	return o.stream.EndTogether(a.Finish, a.Usage, a.Datanet)
}

// fail sends a fault; in a stream that was begun, as its last event.
func (o *client) fail(e *openai.Error) {
	if o.stream == nil {
		e.Write(o.w)
		return
	}
	_ = o.control.SetWriteDeadline(time.Now().Add(sendLimit)) // a client that is gone
	_ = o.stream.Fail(e)                                      // does not read it
}
