package serving

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"net/http"
	"strconv"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// exchange is one request and its answer.
type exchange struct {
	h       *Host
	w       http.ResponseWriter
	control *http.ResponseController
	r       *http.Request
	path    string
	kind    openai.Kind
	body    []byte
	request *openai.Request
	prompt  [][]byte
	in      uint64 // tokens of the prompt
	model   *served
	session *session // nil for a model that costs nothing
	ask     openai.Ask
	stream  *openai.Writer
	gone    bool // the client is
}

// Answer answers a request for a model: with a voucher, or without one for a model that costs nothing, which is for the
// gateways of members. It returns the fault that it has told, for the log.
func (h *Host) Answer(w http.ResponseWriter, r *http.Request, member bool) *openai.Error {
	x := &exchange{h: h, w: w, r: r, control: http.NewResponseController(w), path: r.URL.Path}
	err := x.read()
	if err == nil {
		if header := r.Header.Values(openai.VoucherHeader); len(header) > 0 {
			err = x.paid(header)
		} else {
			err = x.free(member)
		}
	}
	if err == nil {
		return nil
	}
	fault := Fault(err)
	if fault.Code == openai.CodeInternal {
		h.Log.Error("a request for a model failed", "error", err)
	}
	name := ""
	if x.model != nil {
		name = x.model.name
	}
	h.metrics.answers.WithLabelValues(name, string(fault.Code)).Inc()
	x.tell(fault)
	return fault
}

// tell sends a fault, at the end of the stream if it has begun.
func (x *exchange) tell(fault *openai.Error) {
	if x.gone {
		return
	}
	if err := x.control.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
		return // the client is gone
	}
	if x.stream != nil && x.stream.Begun() {
		_ = x.stream.Fail(fault) // a client that is gone does not read it
		return
	}
	x.w.Header().Del("Content-Type")
	fault.Write(x.w)
}

// read reads the body.
func (x *exchange) read() (err error) {
	if x.kind, err = openai.KindOf(x.path); err != nil {
		return err
	}
	if err := x.control.SetReadDeadline(time.Now().Add(x.h.BodyTimeout)); err != nil {
		return fmt.Errorf("bound the time to read the body: %w", err)
	}
	size := min(max(x.r.ContentLength, 0), openai.MaxBody)
	x.body = make([]byte, 0, size+1)
	body := http.MaxBytesReader(x.w, x.r.Body, openai.MaxBody)
	for {
		n, err := body.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		if err == io.EOF {
			break
		}
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return openai.Refuse(openai.CodeTooLarge, "", "a body has at most %d bytes", openai.MaxBody)
		}
		if err != nil {
			return openai.Refuse(openai.CodeInvalid, "", "the body could not be read to its end")
		}
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
	}
	// What comes takes as long as it takes.
	return errors.Join(x.control.SetReadDeadline(time.Time{}), x.control.SetWriteDeadline(time.Time{}))
}

// parse reads what is asked for.
func (x *exchange) parse() (err error) {
	if x.request, err = openai.Parse(x.kind, x.body); err != nil {
		return err
	}
	x.prompt = x.request.Prompt()
	x.in = evidence.Tokens(x.prompt...)
	return nil
}

// paid answers a request that a session pays for.
func (x *exchange) paid(header []string) (err error) {
	if len(header) > 1 {
		return openai.Refuse(openai.CodeVoucher, "", "the header %s is given more than once", openai.VoucherHeader)
	}
	if x.ask, err = openai.DecodeAsk(header[0]); err != nil {
		return openai.Refuse(openai.CodeVoucher, "", "the header %s cannot be read: %v", openai.VoucherHeader, err)
	}
	if sha256.Sum256(x.body) != x.ask.Request.Body {
		return openai.Refuse(openai.CodeVoucher, "", "the signed request is for another body")
	}
	if x.session, err = x.h.session(x.r.Context(), x.ask.Voucher.Session); err != nil {
		return err
	}
	x.model = x.session.model
	stored, err := x.h.Meter.Admit(x.h.Now(), meter.Ask(x.ask))
	if err != nil {
		return err
	}
	answered := stored != nil
	defer func() {
		if !answered {
			err = errors.Join(err, x.h.Meter.Abort(x.session.id, x.ask.Request.Number))
		}
	}()
	if err := x.parse(); err != nil {
		return err
	}
	if x.request.Model != x.model.name {
		return openai.Refuse(openai.CodeNotFound, "model", "the session is for the model %s", x.model.name)
	}
	if stored != nil {
		return x.again(stored)
	}
	limit, err := x.limit()
	if err != nil {
		return err
	}
	output, err := x.run(limit)
	if err != nil {
		return err
	}
	place, leaf, receipt, nonces, err := x.commit(output)
	if err != nil {
		return err
	}
	answered = true
	d, err := openai.NewDatanet(place, leaf, x.ask, receipt, nonces)
	if err != nil {
		return err
	}
	x.count("answered", leaf.In, leaf.Out)
	return x.finish(output, d, x.h.Now())
}

// free answers a request for a model that costs nothing: there is a receipt, and no leaf.
func (x *exchange) free(member bool) error {
	if !member {
		return openai.Refuse(openai.CodeUnauthorized, "", "without a voucher this is for the gateways of members")
	}
	if err := x.parse(); err != nil {
		return err
	}
	x.h.mutex.RLock()
	card, published := x.h.offers[x.request.Model]
	model := x.h.models[x.request.Model]
	x.h.mutex.RUnlock()
	switch {
	case !published || model == nil:
		return openai.Refuse(openai.CodeNotFound, "model", "this gateway serves no model of that name")
	case !card.Free():
		return openai.Refuse(openai.CodeVoucher, "", "the model is paid for: open a session and send a voucher")
	}
	x.model = model
	output, err := x.run(x.most())
	if err != nil {
		return err
	}
	id, receipt, nonces, err := x.receipt(output)
	if err != nil {
		return err
	}
	if err := x.h.receipts.add(x.r.Context(), id, receipt); err != nil {
		return err
	}
	x.count("free", x.in, output.tokens())
	return x.finish(output, openai.FreeDatanet(id, receipt, nonces), x.h.Now())
}

func (x *exchange) count(outcome string, in, out uint64) {
	m := x.h.metrics
	m.answers.WithLabelValues(x.model.name, outcome).Inc()
	m.tokens.WithLabelValues(x.model.name, "in").Add(float64(in))
	m.tokens.WithLabelValues(x.model.name, "out").Add(float64(out))
}

// errLost is a session that this gateway served before its books were lost, or restored from an earlier state.
var errLost = openai.Refuse(openai.CodeVoucher, "", "uses of this session are settled that this gateway has no books of any more: open another session")

// session finds a session, and waits a little for one that the index may be about to show.
func (h *Host) session(ctx context.Context, id merkle.Hash) (*session, error) {
	h.mutex.RLock()
	s := h.sessions[id]
	h.mutex.RUnlock()
	if s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.waiting >= sessionWaiters {
		return nil, meter.ErrUnknown
	}
	h.waiting++
	defer func() { h.waiting-- }()
	for {
		if s := h.sessions[id]; s != nil {
			return s, nil
		}
		if h.lost[id] {
			return nil, errLost
		}
		appeared := h.appeared
		h.mutex.Unlock()
		select {
		case <-appeared:
		case <-ctx.Done():
		}
		h.mutex.Lock()
		if ctx.Err() != nil {
			return nil, meter.ErrUnknown
		}
	}
}

// most is how many tokens the answer may have, its fee aside.
func (x *exchange) most() uint64 {
	if x.request.MaxTokens == 0 {
		return x.h.Tokens
	}
	return min(x.request.MaxTokens, x.h.Tokens)
}

// limit is how many tokens the answer may have within the request's cap.
func (x *exchange) limit() (uint64, error) {
	priceIn, priceOut := uint64(x.session.card.PriceIn), uint64(x.session.card.PriceOut)
	n, ok := Within(x.ask.Request.Cap, x.in, priceIn, priceOut)
	if !ok || n == 0 {
		return 0, openai.Refuse(openai.CodeCap, "max_tokens", "the prompt's %d tokens and one of an answer cost more than the request's cap of %d micro-credits", x.in, x.ask.Request.Cap)
	}
	return min(n, x.most()), nil
}

// Within is the largest number of tokens of an output whose fee is no more than a cap; ok is false when the prompt alone
// costs more.
func Within(cap, in, priceIn, priceOut uint64) (tokens uint64, ok bool) {
	// ⌈(in·priceIn + out·priceOut)/1000⌉ ≤ cap means in·priceIn + out·priceOut ≤ 1000·cap.
	allHi, allLo := bits.Mul64(cap, 1000)
	inHi, inLo := bits.Mul64(in, priceIn)
	lo, borrow := bits.Sub64(allLo, inLo, 0)
	hi, borrow := bits.Sub64(allHi, inHi, borrow)
	if borrow != 0 {
		return 0, false
	}
	if priceOut == 0 || hi >= priceOut {
		return math.MaxUint64, true
	}
	tokens, _ = bits.Div64(hi, lo, priceOut)
	return tokens, true
}

// run has the answer written, of so many tokens at most. What it returns without an error is to be committed.
func (x *exchange) run(limit uint64) (*output, error) {
	begun := time.Now()
	defer func() { x.h.metrics.seconds.WithLabelValues(x.model.name).Observe(time.Since(begun).Seconds()) }()
	runner, _ := x.model.ready()
	if runner == nil {
		return nil, openai.Refuse(openai.CodeUpstream, "model", "the model's artifact is not here yet: try again")
	}
	if !x.model.corpus.there() {
		return nil, errNoCorpus
	}
	select {
	case x.model.slots <- struct{}{}:
		defer func() { <-x.model.slots }()
	default:
		return nil, openai.Refuse(openai.CodeBusy, "model", "as many requests for the model are being answered as this host takes: try again")
	}
	ctx := x.r.Context()
	output := &output{limit: limit, stops: x.request.Stop}
	if x.request.Stream {
		output.emit = x.emit
		x.stream = openai.NewWriter(x.w, x.flush, x.head(x.h.Now()))
	} else {
		// Nobody has seen a part of it: it is finished, and stored.
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, x.h.Timeout)
	defer cancel()
	finish, err := runner.run(ctx, job{Request: x.request, tokens: limit, seed: x.seed(), corpus: &x.model.corpus}, output.write)
	switch {
	case err == nil:
		if finish != openai.FinishLength {
			finish = openai.FinishStop
		}
		if err = output.end(finish); err != nil && !x.gone {
			return nil, err
		}
	case errors.Is(err, errFull):
	case x.gone || x.request.Stream && x.r.Context().Err() != nil:
		x.gone = true
		output.finish = openai.FinishLength
	case ctx.Err() != nil:
		return nil, openai.Refuse(openai.CodeUpstream, "model", "the answer took longer than %v: ask for less", x.h.Timeout)
	default:
		return nil, err
	}
	if len(output.text) == 0 {
		return nil, errNoText
	}
	return output, nil
}

// seed is the request's, or drawn.
func (x *exchange) seed() uint64 {
	if x.request.Seed != nil {
		return uint64(*x.request.Seed)
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// emit passes a part of the text on.
func (x *exchange) emit(part string) error {
	if !x.stream.Begun() {
		header := x.w.Header()
		header.Set("Content-Type", openai.StreamType)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Accel-Buffering", "no")
		x.w.WriteHeader(http.StatusOK)
	}
	if err := x.control.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
		x.gone = true
		return err
	}
	if err := x.stream.Write(part); err != nil {
		x.gone = true
		return err
	}
	return nil
}

func (x *exchange) flush() error { return x.control.Flush() }

// receipt makes the answer's receipt over the corpus as it is now.
func (x *exchange) receipt(o *output) (id merkle.Hash, encoded []byte, nonces attribution.Nonces, err error) {
	begun := time.Now()
	rand.Read(nonces.Prompt[:])
	rand.Read(nonces.Context[:])
	rand.Read(nonces.Output[:])
	held, err := x.model.corpus.await(x.h.stopping)
	if err != nil {
		return id, nil, nonces, err
	}
	defer x.model.corpus.release()
	runner, artifact := x.model.ready()
	r, err := held.engine.Receipt(attribution.Answer{Roots: held.Roots, Model: x.model.name, Artifact: artifact, Prompt: x.prompt,
		Context: runner.context(), Output: o.text, Nonces: nonces, Tau: uint8(x.model.model.Due.Tau)})
	if err != nil {
		return id, nil, nonces, fmt.Errorf("make the receipt: %w", err)
	}
	if encoded, err = r.Encode(); err != nil {
		return id, nil, nonces, fmt.Errorf("make the receipt: %w", err)
	}
	hash := sha256.Sum256(encoded)
	x.h.metrics.receipt.Observe(time.Since(begun).Seconds())
	return merkle.Hash(hash), encoded, nonces, nil
}

// commit makes the answer a leaf of its session. Nothing more is to be done for it to count.
func (x *exchange) commit(o *output) (place uint64, leaf use.Leaf, receipt []byte, nonces attribution.Nonces, err error) {
	id, receipt, nonces, err := x.receipt(o)
	if err != nil {
		return 0, leaf, nil, nonces, err
	}
	runner, _ := x.model.ready()
	kept := evidence.Evidence{Receipt: receipt, Path: x.path, Body: x.body, Context: runner.context(), Output: o.text, Nonces: nonces}
	encoded, err := kept.Encode()
	if err != nil {
		return 0, leaf, nil, nonces, err
	}
	sealed := x.session.sealer.Seal(x.session.id, id, encoded)
	begun := time.Now()
	a, err := x.h.Meter.Commit(x.h.Now(), x.session.id, x.ask.Request.Number, x.in, o.tokens(), id, sealed)
	if err != nil {
		return 0, leaf, nil, nonces, err
	}
	x.h.metrics.commit.Observe(time.Since(begun).Seconds())
	if err := x.h.receipts.add(context.WithoutCancel(x.r.Context()), id, receipt); err != nil {
		return 0, leaf, nil, nonces, err
	}
	return a.Place, a.Leaf, receipt, nonces, nil
}

// head is that of the answer. Its id stays the same however often the answer is asked for.
func (x *exchange) head(at time.Time) openai.Head {
	prefix, id := "chatcmpl-", ""
	if x.kind == openai.Text {
		prefix = "cmpl-"
	}
	if x.session != nil {
		id = x.session.id.String()[:16] + "-" + strconv.FormatUint(x.ask.Request.Number, 10)
	} else {
		id = rand.Text()
	}
	return openai.Head{Kind: x.kind, ID: prefix + id, Created: at.Unix(), Model: x.model.name}
}

// finish sends the end of an answer, or all of it.
func (x *exchange) finish(o *output, d *openai.Datanet, at time.Time) error {
	if x.gone {
		return nil
	}
	if err := x.control.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
		return nil // the client is gone
	}
	usage := openai.NewUsage(x.in, o.tokens())
	if x.request.Stream {
		_ = x.stream.End(o.finish, usage, d) // a client that is gone asks again
		return nil
	}
	a := openai.Answer{Head: x.head(at), Text: string(o.text), Finish: o.finish, Usage: usage, Datanet: d}
	body, err := a.Encode()
	if err != nil {
		return err
	}
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set(openai.ReceiptHeader, d.ReceiptID.String())
	header.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(body) // a client that is gone asks again
	return nil
}

// again sends an answer that was committed before.
func (x *exchange) again(a *meter.Answer) error {
	e, err := x.h.Evidence(x.r.Context(), *a)
	if err != nil {
		return err
	}
	d, err := openai.NewDatanet(a.Place, a.Leaf, openai.Ask(a.Ask), e.Receipt, e.Nonces)
	if err != nil {
		return err
	}
	o := &output{text: e.Output, finish: openai.FinishStop}
	if limit, err := x.limit(); err == nil && a.Leaf.Out >= limit {
		o.finish = openai.FinishLength
	}
	x.h.metrics.answers.WithLabelValues(x.model.name, "stored").Inc()
	if x.request.Stream {
		x.stream = openai.NewWriter(x.w, x.flush, x.head(time.Unix(int64(a.At), 0)))
		if err := x.emit(string(o.text)); err != nil {
			return nil // the client is gone
		}
	}
	return x.finish(o, d, time.Unix(int64(a.At), 0))
}
