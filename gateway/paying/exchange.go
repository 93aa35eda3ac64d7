package paying

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

const (
	// firstPause and longestPause bound the wait before a host is asked again.
	firstPause, longestPause = 20 * time.Millisecond, time.Second
	// longest bounds one attempt of a host to answer.
	longest = 10 * time.Minute
	// orderly is how long an answer waits for those before it until they are fetched.
	orderly = time.Second
	// mend bounds how long is tried to learn what became of a request whose client is gone.
	mend = 5 * time.Minute
	// fetchMost is how many answers are fetched at once.
	fetchMost = 16
)

// flight is a request on its way.
type flight struct {
	p       *prepaid
	request *openai.Request
	body    []byte
	header  string // the signed request, as it was last sent
	number  uint64
	vouched uint64      // answers that the header has a voucher for
	leaf    merkle.Hash // hash of the accepted leaf, zeros before
	// former is a flight that began before the gateway restarted: whether it was accepted then, and which leaf it had, is
	// not known any more. refused tells that its number was given up, or that nothing more is signed in its session.
	former, refused bool
}

// part notes that the host's books have the session otherwise, and tells the client what to do.
func (p *prepaid) part(refusal *openai.Error) error {
	p.apart.Store(true)
	p.line.wake()
	return openai.Refuse(refusal.Code, "", "session %s: %v (the host: %s)", p.Name, errApart, refusal.Message)
}

// busy tells whether a request is on its way.
func (p *prepaid) busy() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return len(p.flights) > 0
}

func (f *flight) accept(leaf merkle.Hash) {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	f.leaf = leaf
}

// giveUp notes that the flight's answer will never be paid for, unless it was accepted, as one of a former run may be.
func (f *flight) giveUp() {
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	f.refused = !f.former && f.leaf == merkle.Hash{}
}

// accepted is the hash of the leaf that was accepted for the flight, by itself or by a fetch, which notes it after.
func (f *flight) accepted() merkle.Hash {
	f.p.mending.Lock()
	defer f.p.mending.Unlock()
	f.p.mutex.Lock()
	defer f.p.mutex.Unlock()
	return f.leaf
}

// sink takes an answer as it comes. Its errors mean that the client is gone.
type sink interface {
	// text takes a part of a stream.
	text(head openai.Head, part string) error
	// end takes the whole answer once it is accepted: raw as the host sent it, if it was no stream.
	end(a *openai.Answer, raw []byte) error
}

// nobody is a client that is gone.
type nobody struct{}

func (nobody) text(openai.Head, string) error   { return nil }
func (nobody) end(*openai.Answer, []byte) error { return nil }

// errGone is a client that went away.
var errGone = errors.New("the client is gone")

// fly sends a flight to its host until it is answered and accepted, or cannot be. What the sink has got of an answer
// that broke off is not sent again. The error for the client is an [*openai.Error].
func (c *Consumer) fly(ctx context.Context, f *flight, out sink) error {
	relay := &relay{sink: out}
	pause, failed := firstPause, time.Time{}
	for {
		err := c.attempt(ctx, f, relay)
		var refusal *openai.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refusal) && refusal.Code == openai.CodeHost:
			f.giveUp()
			return err
		case errors.Is(err, errGone):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", errGone, err)
		case errors.Is(err, wallet.ErrStopped):
			f.giveUp()
			return openai.Refuse(openai.CodeHost, "", "%v", err)
		case errors.Is(err, wallet.ErrEnded), errors.Is(err, wallet.ErrUnknown):
			f.giveUp()
			return openai.Refuse(openai.CodeSessionExpired, "", "the session %s has ended", f.p.Name)
		case errors.As(err, &refusal) && !worthwhile(refusal.Code):
			if refusal.Code == openai.CodeConflict || refusal.Code == openai.CodeVoucher {
				c.options.Log.Error("a host contradicts what was signed in a session", "session", f.p.sid, "host", f.p.Host, "code", refusal.Code, "error", refusal.Message)
			}
			c.drop(f)
			if refusal.Code == openai.CodeVoucher {
				return f.p.part(refusal)
			}
			if refusal.Code == openai.CodeConflict {
				return openai.Refuse(openai.CodeConflict, "", "the host knows another request under this number of session %s: the gateway's folder was restored from an earlier state, "+
					"or a copy of it uses the session too. This request costs nothing; it may be sent again, or open another session with datanet session open, and let one gateway alone use a folder", f.p.Name)
			}
			return refusal
		}
		if failed.IsZero() {
			failed = time.Now()
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("%w: %w", errGone, err)
		}
		if time.Since(failed) > c.options.Patience {
			if refusal != nil && refusal.Code == openai.CodeSessionUnknown {
				c.options.Log.Error("a host does not know a session", "session", f.p.sid, "host", f.p.Host)
				return f.p.part(refusal)
			}
			if refusal != nil {
				return refusal
			}
			c.options.Log.Warn("a host cannot be reached", "host", f.p.Host, "session", f.p.sid, "error", err)
			return openai.Refuse(openai.CodeUpstream, "", "the gateway of the model's host does not answer; what it may have answered is paid for and can be had with the same Idempotency-Key")
		}
		pause = min(2*pause, longestPause)
		if again, err := c.options.Wallet.Again(f.p.sid, f.number, f.p.key); err == nil {
			if f.header, err = (openai.Ask(again)).Encode(); err != nil {
				return err
			}
			f.vouched = again.Voucher.N
		} else if !errors.Is(err, wallet.ErrWaiting) { // accepted meanwhile: the same header gets the stored answer
			return openai.Refuse(openai.CodeHost, "", "%v", err)
		}
	}
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// worthwhile tells of a host's refusal that goes by: the index of the host is behind, vouchers are on their way, another
// attempt is being answered, or an upstream restarts.
func worthwhile(code openai.Code) bool {
	switch code {
	case openai.CodeSessionUnknown, openai.CodeWindow, openai.CodeFunds, openai.CodeExposure, openai.CodeBusy, openai.CodeInProgress,
		openai.CodeInternal, openai.CodeRate:
		return true
	}
	return false
}

// drop gives up a request that the host has refused.
func (c *Consumer) drop(f *flight) {
	if err := c.options.Wallet.Drop(f.p.sid, f.number); err != nil && !errors.Is(err, wallet.ErrWaiting) && !errors.Is(err, wallet.ErrUnknown) {
		c.options.Log.Error("give up a request", "session", f.p.sid, "error", err)
	}
	f.p.mutex.Lock()
	f.refused = true
	f.p.mutex.Unlock()
	f.p.line.room()
}

// attempt sends a flight once and takes in the answer.
func (c *Consumer) attempt(ctx context.Context, f *flight, out *relay) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	response, err := c.post(ctx, f.p.Host.MSP(), f.request.Kind.Path(), f.header, f.body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	f.p.cover(f.vouched)
	answer, raw, err := out.read(f.request, response)
	if err != nil {
		return err
	}
	if answer.Datanet == nil {
		return c.wrong(f.p, 0, "an answer without leaf and receipt")
	}
	if err := c.settle(ctx, f, answer); err != nil {
		return err
	}
	if err := out.sink.end(answer, raw); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// post sends a body to a path of an organisation's gateway; an answer other than 200 is an [*openai.Error].
func (c *Consumer) post(ctx context.Context, msp, path, voucher string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+msp+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header["Content-Type"] = jsonHeader
	if voucher != "" {
		request.Header[openai.VoucherHeader] = []string{voucher}
	}
	return c.do(request)
}

var jsonHeader = []string{"application/json"}

func (c *Consumer) do(request *http.Request) (*http.Response, error) {
	response, err := c.options.Host.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway of %s: %w", request.URL.Host, err)
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusNoContent {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFault))
	if err != nil {
		return nil, fmt.Errorf("read the refusal of the gateway of %s: %w", request.URL.Host, err)
	}
	return nil, openai.ReadError(response.StatusCode, text)
}

// maxFault bounds the body of a host's refusal, in bytes.
const maxFault = 64 << 10

// relay hands an answer on, part by part, across attempts: the same text never twice, and never another one.
type relay struct {
	sink sink
	sent strings.Builder
}

// read takes in an answer to its end, and hands on the parts of a stream.
func (o *relay) read(r *openai.Request, response *http.Response) (*openai.Answer, []byte, error) {
	if r.Stream != strings.HasPrefix(response.Header.Get("Content-Type"), openai.StreamType) {
		return nil, nil, openai.Refuse(openai.CodeHost, "", "the host answered with %q", response.Header.Get("Content-Type"))
	}
	if r.Stream {
		answer, err := o.stream(r.Kind, response.Body)
		return answer, nil, err
	}
	raw, err := readAll(response, openai.MaxAnswer)
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	answer, err := openai.ReadAnswer(r.Kind, raw)
	if err != nil {
		return nil, nil, openai.Refuse(openai.CodeHost, "", "%v", err)
	}
	return answer, raw, nil
}

// readAll reads a body of at most so many bytes, at once where its length is told.
func readAll(response *http.Response, most int64) ([]byte, error) {
	if n := response.ContentLength; n > most {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", n, most)
	} else if n >= 0 {
		raw := make([]byte, n)
		_, err := io.ReadFull(response.Body, raw)
		return raw, err
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return raw, err
}

func (o *relay) stream(kind openai.Kind, body io.Reader) (*openai.Answer, error) {
	reader := openai.NewReader(kind, body)
	answer := &openai.Answer{Head: openai.Head{Kind: kind}}
	var text strings.Builder
	for {
		event, err := reader.Next()
		if err == io.EOF {
			answer.Text = text.String()
			if text.Len() < o.sent.Len() {
				return nil, openai.Refuse(openai.CodeHost, "", "the host repeated its answer with less text")
			}
			return answer, nil
		}
		if err != nil {
			return nil, err
		}
		answer.Take(event)
		if event.Text == "" {
			continue
		}
		if text.Len()+len(event.Text) > openai.MaxAnswer {
			return nil, openai.Refuse(openai.CodeHost, "", "the host's answer is longer than %d bytes", openai.MaxAnswer)
		}
		text.WriteString(event.Text)
		if err := o.hand(answer.Head, text.String()); err != nil {
			return nil, err
		}
	}
}

// hand hands on what is new of a text.
func (o *relay) hand(head openai.Head, text string) error {
	known := min(o.sent.Len(), len(text))
	if o.sent.String()[:known] != text[:known] {
		return openai.Refuse(openai.CodeHost, "", "the host repeated its answer with another text")
	}
	fresh := text[known:]
	if fresh == "" {
		return nil
	}
	o.sent.WriteString(fresh)
	if err := o.sink.text(head, fresh); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// wrong stops a session because of what its host says.
func (c *Consumer) wrong(p *prepaid, place uint64, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	c.metrics.wrong.Inc()
	c.options.Log.Error("a host gave a wrong answer: nothing more is signed in the session", "session", p.sid, "account", p.Account, "host", p.Host, "place", place, "reason", reason)
	if err := c.options.Wallet.Stop(p.sid, place, reason); err != nil {
		return fmt.Errorf("stop session %s: %w", p.sid, err)
	}
	p.line.wake()
	return openai.Refuse(openai.CodeHost, "", "the host's answer is wrong, and nothing more is signed in session %s: %s", p.Name, reason)
}

// settle checks the answer of a flight and accepts it, after those before it.
func (c *Consumer) settle(ctx context.Context, f *flight, answer *openai.Answer) error {
	leaf, ask, err := answer.Datanet.Paid()
	if err != nil {
		return c.wrong(f.p, answer.Datanet.Place, "its leaf: %v", err)
	}
	if leaf.Session != f.p.sid || leaf.Number != f.number {
		return c.wrong(f.p, answer.Datanet.Place, "it is the leaf of request %d of session %s, not of request %d", leaf.Number, leaf.Session, f.number)
	}
	hash, err := leaf.Hash()
	if err != nil {
		return c.wrong(f.p, answer.Datanet.Place, "its leaf: %v", err)
	}
	e := evidenceOf(f.request.Kind.Path(), f.body, []byte(answer.Text), answer.Datanet)
	e.Asked(f.request.Prompt())
	for {
		err := c.accept(f.p, answer.Datanet.Place, leaf, ask, e)
		switch {
		case err == nil:
			f.accept(hash)
			return nil
		case errors.Is(err, wallet.ErrSigned):
			if known := f.accepted(); known != hash && (!f.former || known != merkle.Hash{}) {
				return c.wrong(f.p, answer.Datanet.Place, "it has another leaf than was accepted for the request")
			}
			// It was accepted as it lies in the host's log; now it is held against what the client has seen.
			if err := e.Check(leaf, f.p.offer.subject); err != nil {
				return c.wrong(f.p, answer.Datanet.Place, "%v", err)
			}
			f.accept(hash)
			return nil
		case !errors.Is(err, wallet.ErrEarlier):
			return err
		}
		if err := c.await(ctx, f.p, answer.Datanet.Place); err != nil {
			return err
		}
	}
}

func evidenceOf(path string, body, output []byte, d *openai.Datanet) *evidence.Evidence {
	return &evidence.Evidence{Receipt: d.Receipt, Path: path, Body: body, Output: output, Nonces: d.Nonces()}
}

// accept has the wallet check and accept an answer. One that is wrong stops the session.
func (c *Consumer) accept(p *prepaid, place uint64, leaf use.Leaf, ask openai.Ask, e *evidence.Evidence) error {
	err := c.options.Wallet.Accept(wallet.Answer{Place: place, Leaf: leaf, Ask: wallet.Ask(ask)},
		wallet.CheckFunc(func(r use.Request, l use.Leaf, _ []byte) error {
			if merkle.Hash(sha256.Sum256(e.Body)) != r.Body {
				return errors.New("the request that it shows had another body")
			}
			return e.Check(l, p.offer.subject)
		}))
	var wrong *wallet.WrongError
	switch {
	case err == nil:
		p.accepted.Add(1)
		p.at.Store(time.Now().UnixNano())
		p.apart.Store(false)
		c.metrics.accepted.Inc()
		c.metrics.fees.Add(float64(leaf.Fee))
		p.line.room()
	case errors.As(err, &wrong):
		return c.wrong(p, wrong.Place, "%s", wrong.Reason)
	}
	return err
}

// await waits until everything before a place is accepted. What stays away is fetched.
func (c *Consumer) await(ctx context.Context, p *prepaid, place uint64) error {
	soon, cancel := context.WithTimeout(ctx, orderly)
	defer cancel()
	err := c.options.Wallet.Await(soon, p.sid, place)
	if !errors.Is(err, wallet.ErrEarlier) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errGone, ctx.Err())
	}
	return c.fetch(ctx, p, place)
}
