package paying

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

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
	p.mutex.Lock()
	f := p.flights[leaf.Number]
	p.mutex.Unlock()
	path, body := s.Path, s.Body
	if f != nil {
		path, body = f.request.Kind.Path(), f.body
	}
	if err := c.accept(p, s.Place, leaf, ask, evidenceOf(path, body, s.Output, s.Datanet)); err != nil {
		return err
	}
	if f != nil {
		f.accept(hash)
	}
	return nil
}

// recover learns, without a client, what became of the requests of a session that nobody waits for: those that a crash
// has left. What the host has answered is accepted, and what it has not is given up; should it answer later all the
// same, the answer is fetched with the next one.
func (c *Consumer) recover(ctx context.Context, p *prepaid) {
	standing, err := c.options.Wallet.Session(p.sid)
	if err != nil || standing.Stopped != "" || standing.Ended || len(standing.Waiting) == 0 {
		return
	}
	var lost []uint64
	p.mutex.Lock()
	for _, r := range standing.Waiting {
		if p.flights[r.Number] == nil {
			lost = append(lost, r.Number)
		}
	}
	p.mutex.Unlock()
	if len(lost) == 0 {
		return
	}
	c.behind(func(background context.Context) {
		pause := firstPause
		for {
			err := c.fetch(background, p, 0)
			var refusal *openai.Error
			if err == nil || errors.Is(err, wallet.ErrStopped) || errors.Is(err, wallet.ErrEnded) || errors.Is(err, wallet.ErrUnknown) ||
				errors.As(err, &refusal) && refusal.Code == openai.CodeHost {
				break
			}
			c.options.Log.Warn("answers of a session cannot be fetched", "session", p.sid, "host", p.Host, "error", err)
			if sleep(background, pause) != nil {
				return
			}
			pause = min(2*pause, 10*longestPause)
		}
		for _, number := range lost {
			if err := c.options.Wallet.Drop(p.sid, number); err == nil {
				p.line.room()
			} else if !errors.Is(err, wallet.ErrWaiting) && !errors.Is(err, wallet.ErrUnknown) {
				c.options.Log.Error("give up a request", "session", p.sid, "error", err)
			}
		}
	})
}

// behind does something without a client, until the role is closed.
func (c *Consumer) behind(do func(context.Context)) {
	if c.background.Err() != nil {
		return
	}
	c.work.Go(func() { do(c.background) })
}
