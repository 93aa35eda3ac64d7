package paying

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// Stored is an answer as its host keeps it for the consumer.
type Stored struct {
	Place   uint64          `json:"place"`
	Path    string          `json:"path"` // of the request
	Body    []byte          `json:"body"` // of the request
	Output  []byte          `json:"output"`
	Datanet *openai.Datanet `json:"datanet"`
}

// AnswersPath is where a host gives the stored answers of a session.
func AnswersPath(session string, from uint64, most int) string {
	return fmt.Sprintf("/v1/serving/sessions/%s/answers?from=%d&most=%d", session, from, most)
}

// VouchersPath is where a host takes a voucher that comes alone.
const VouchersPath = "/v1/serving/vouchers"

// rest is how long nothing is accepted in a session before its voucher is handed in alone.
const rest = 2 * time.Second

// maxStored bounds a page of stored answers, in bytes.
const maxStored = fetchMost * 2 * (openai.MaxBody + openai.MaxAnswer)

// fetch accepts what the host has of a session from the next place on, at least up to before a place.
func (c *Consumer) fetch(ctx context.Context, p *prepaid, before uint64) error {
	p.mending.Lock()
	defer p.mending.Unlock()
	for {
		standing, err := c.options.Wallet.Session(p.sid)
		if err != nil {
			return err
		}
		list, err := c.stored(ctx, p, standing.N)
		if err != nil {
			return err
		}
		for _, s := range list {
			if err := c.take(p, s); err != nil && !errors.Is(err, wallet.ErrSigned) {
				return err
			}
		}
		if len(list) < fetchMost {
			if standing.N+uint64(len(list)) < before {
				return openai.Refuse(openai.CodeInternal, "", "the host withholds answers of the session that lie before this one")
			}
			return nil
		}
	}
}

// stored asks the host for answers from a place on.
func (c *Consumer) stored(ctx context.Context, p *prepaid, from uint64) ([]Stored, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.Host.MSP()+AnswersPath(p.sid.String(), from, fetchMost), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := readAll(response, maxStored)
	if err != nil {
		return nil, fmt.Errorf("read the host's stored answers: %w", err)
	}
	return readStored(raw)
}

func readStored(raw []byte) ([]Stored, error) {
	var list []Stored
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read the host's stored answers: %w", err)
	}
	return list, nil
}

// take checks a stored answer and accepts it. It is held against the body that was sent where that is known, and else
// against the one whose digest was signed.
func (c *Consumer) take(p *prepaid, s Stored) error {
	if s.Datanet == nil || s.Datanet.Place != s.Place {
		return c.wrong(p, s.Place, "the host keeps it without its leaf")
	}
	leaf, ask, err := s.Datanet.Paid()
	if err != nil {
		return c.wrong(p, s.Place, "its leaf: %v", err)
	}
	if leaf.Session != p.sid {
		return c.wrong(p, s.Place, "it is a leaf of session %s", leaf.Session)
	}
	hash, err := leaf.Hash()
	if err != nil {
		return c.wrong(p, s.Place, "its leaf: %v", err)
	}
	f, path, body := p.asked(ask.Request)
	if f == nil {
		path, body = s.Path, s.Body
	}
	if err := c.accept(p, s.Place, leaf, ask, evidenceOf(path, body, s.Output, s.Datanet)); err != nil {
		return err
	}
	if f != nil {
		f.accept(hash)
	}
	return nil
}

// asked is the request under way that was signed as r, with what it was sent to and with. It is nil for any other, as of a
// copy of the wallet that has used the same number; the host refuses the request that has it here, then.
func (p *prepaid) asked(r use.Request) (f *flight, path string, body []byte) {
	p.mutex.Lock()
	if f = p.flights[r.Number]; f != nil { // it may land, which takes its request off, as soon as the mutex is free
		path, body = f.request.Kind.Path(), f.body
	}
	p.mutex.Unlock()
	if f == nil || r.Body != sha256.Sum256(body) {
		return nil, "", nil
	}
	return f, path, body
}

// recover learns, without a client, what became of the requests that a crash has left: what a host has answered is
// accepted, also when the crash has lost the record of the request, and what it has not is given up. Should it answer
// later all the same, the answer is fetched with the next one.
func (c *Consumer) recover() {
	left := c.sessions()
	c.behind(func(background context.Context) {
		for pause := firstPause; len(left) > 0; pause = min(2*pause, 10*longestPause) {
			var later []*prepaid
			for _, p := range left {
				if err := c.catchUp(background, p); err != nil {
					c.options.Log.Warn("answers of a session cannot be fetched", "session", p.sid, "host", p.Host, "error", err)
					later = append(later, p)
				}
			}
			left = later
			if len(left) > 0 && sleep(background, pause) != nil {
				return
			}
		}
	})
}

// catchUp fetches what the host has of a session and gives up former requests that nobody waits for. A session that nothing more
// is signed in has nothing to catch up with.
func (c *Consumer) catchUp(ctx context.Context, p *prepaid) error {
	standing, err := c.options.Wallet.Session(p.sid)
	if err != nil || standing.Stopped != "" || standing.Ended {
		return nil
	}
	err = c.fetch(ctx, p, 0)
	var refusal *openai.Error
	switch {
	case err == nil, errors.Is(err, wallet.ErrStopped), errors.Is(err, wallet.ErrEnded), errors.Is(err, wallet.ErrUnknown):
	case errors.As(err, &refusal) && (refusal.Code == openai.CodeHost || refusal.Code == openai.CodeSettled):
	default:
		return err
	}
	for _, r := range p.former {
		p.mutex.Lock()
		wanted := p.flights[r.Number] != nil
		p.mutex.Unlock()
		if wanted {
			continue
		}
		if err := c.options.Wallet.Drop(p.sid, r.Number); err != nil && !errors.Is(err, wallet.ErrWaiting) && !errors.Is(err, wallet.ErrUnknown) {
			return err
		}
		p.line.room()
	}
	return nil
}

// vouch hands in a voucher alone for what was accepted in sessions that rest: their host has nothing more to wait for.
func (c *Consumer) vouch(ctx context.Context) {
	for ctx.Err() == nil {
		for _, p := range c.sessions() {
			n, at := p.accepted.Load(), p.at.Load()
			if n <= p.covered.Load() || time.Since(time.Unix(0, at)) < rest {
				continue
			}
			if err := c.handIn(ctx, p); err != nil && ctx.Err() == nil {
				c.options.Log.Warn("a voucher cannot be handed in", "session", p.sid, "host", p.Host, "error", err)
				p.at.Store(time.Now().Add(10 * rest).UnixNano()) // and is tried again then
			}
		}
		if sleep(ctx, rest) != nil {
			return
		}
	}
}

func (c *Consumer) handIn(ctx context.Context, p *prepaid) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Patience)
	defer cancel()
	v, signature, err := c.options.Wallet.Voucher(p.sid, p.key)
	if err != nil {
		return err
	}
	header, err := openai.EncodeVoucherHeader(v, signature)
	if err != nil {
		return err
	}
	response, err := c.post(ctx, p.Host.MSP(), VouchersPath, header, nil)
	if err != nil {
		return err
	}
	p.cover(v.N)
	return response.Body.Close()
}

// cover notes that the host has a voucher for so many answers.
func (p *prepaid) cover(n uint64) {
	for {
		known := p.covered.Load()
		if n <= known || p.covered.CompareAndSwap(known, n) {
			return
		}
	}
}

// behind does something without a client, until the role is closed.
func (c *Consumer) behind(do func(context.Context)) {
	if c.background.Err() != nil {
		return
	}
	c.work.Go(func() { do(c.background) })
}
