package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// Upstream is what writes the answers of a model: a server of OpenAI's interface, or several that stand in for each other.
type Upstream struct {
	URLs     []string // of the interface, as http://127.0.0.1:8000/v1; the first one that is well is used
	Model    string   // the name of the model there, as that of a LoRA adapter
	Key      string   // its API key; "" for none
	System   string   // a text that is put before every prompt, and committed to as context; "" for none
	Artifact string   // the digest that receipts name, of the model's; "" is the first one
}

const (
	// checkEvery is how often an upstream is asked how it is, checkTimeout how long it may take to say so.
	checkEvery   = 5 * time.Second
	checkTimeout = 3 * time.Second
	// stall is how long an upstream may be silent.
	stall = 60 * time.Second
	// idleUpstreams bounds the connections that are kept to one upstream.
	idleUpstreams = 256
	// A canonical token is mostly a word, for which upstreams count several tokens of theirs: so many are asked for, and
	// the output is cut where it has to be.
	upstreamTokens = 6
	spareTokens    = 32
	maxRefusal     = 64 << 10 // bytes that are read of an upstream's refusal
)

func newUpstreamClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: stall,
		MaxIdleConnsPerHost: idleUpstreams, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type upstream struct {
	Upstream
	client    *http.Client
	log       *slog.Logger
	unwell    []atomic.Bool // by URL
	silence   time.Duration
	intervals time.Duration
}

func newUpstream(u Upstream, client *http.Client, log *slog.Logger) *upstream {
	return &upstream{Upstream: u, client: client, log: log, unwell: make([]atomic.Bool, len(u.URLs)), silence: stall, intervals: checkEvery}
}

func (u *upstream) context() [][]byte {
	if u.System == "" {
		return nil
	}
	return [][]byte{[]byte(u.System)}
}

// watch asks each server again and again how it is.
func (u *upstream) watch(ctx context.Context) {
	ticker := time.NewTicker(u.intervals)
	defer ticker.Stop()
	for {
		for i := range u.URLs {
			u.mark(i, u.check(ctx, u.URLs[i]))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// mark notes how a server is.
func (u *upstream) mark(i int, err error) {
	unwell := err != nil
	if u.unwell[i].Swap(unwell) == unwell {
		return
	}
	if unwell {
		u.log.Warn("a server behind a model is not well", "url", u.URLs[i], "model", u.Model, "error", err)
	} else {
		u.log.Info("a server behind a model is well again", "url", u.URLs[i], "model", u.Model)
	}
}

// well tells whether one of the servers is.
func (u *upstream) well() bool {
	for i := range u.unwell {
		if !u.unwell[i].Load() {
			return true
		}
	}
	return false
}

func (u *upstream) check(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := u.request(ctx, http.MethodGet, url+"/models", nil)
	if err != nil {
		return err
	}
	response, err := u.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, openai.MaxAnswer)); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}

func (u *upstream) request(ctx context.Context, method, url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if u.Key != "" {
		r.Header.Set("Authorization", "Bearer "+u.Key)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// question is the body that is sent.
type question struct {
	Model     string           `json:"model"`
	Messages  []openai.Message `json:"messages,omitzero"`
	Prompt    *string          `json:"prompt,omitzero"`
	MaxTokens uint64           `json:"max_tokens"`
	Stream    bool             `json:"stream"`
	Seed      int64            `json:"seed"`
	Stop      []string         `json:"stop,omitempty"`

	Temperature *float64 `json:"temperature,omitzero"`
	TopP        *float64 `json:"top_p,omitzero"`
	Presence    *float64 `json:"presence_penalty,omitzero"`
	Frequency   *float64 `json:"frequency_penalty,omitzero"`
}

func (u *upstream) question(j job) ([]byte, error) {
	q := question{Model: u.Model, MaxTokens: j.tokens*upstreamTokens + spareTokens, Stream: true, Seed: int64(j.seed &^ (1 << 63)), Stop: j.Stop,
		Temperature: j.Temperature, TopP: j.TopP, Presence: j.Presence, Frequency: j.Frequency}
	if j.Kind == openai.Text {
		text := j.Text
		if u.System != "" {
			text = u.System + "\n" + text
		}
		q.Prompt = &text
	} else {
		if u.System != "" {
			q.Messages = append(q.Messages, openai.Message{Role: "system", Content: u.System})
		}
		q.Messages = append(q.Messages, j.Messages...)
	}
	return json.Marshal(&q)
}

var (
	errUpstream = openai.Refuse(openai.CodeUpstream, "model", "no server behind the model answers: try again")
	// errSilent is a server that hangs.
	errSilent = errors.New("it is silent for too long")
)

// run asks the servers, those that are well first. As long as nothing of an answer was passed on the next one may take
// over.
func (u *upstream) run(ctx context.Context, j job, write func(string) error) (string, error) {
	body, err := u.question(j)
	if err != nil {
		return "", err
	}
	for _, wanted := range []bool{false, true} {
		for i := range u.URLs {
			if u.unwell[i].Load() != wanted {
				continue
			}
			finish, begun, err := u.ask(ctx, u.URLs[i], j, body, write)
			var failed *serverError
			if !errors.As(err, &failed) {
				return finish, err
			}
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			u.mark(i, failed.error)
			if begun {
				return "", errUpstream
			}
		}
	}
	return "", errUpstream
}

// serverError is a failure for which another server may make up.
type serverError struct{ error }

// ask asks one server; begun tells whether a part of its answer was passed on.
func (u *upstream) ask(ctx context.Context, url string, j job, body []byte, write func(string) error) (finish string, begun bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(u.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	failed := func(err error) (string, bool, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", begun, &serverError{err}
	}
	path := "/chat/completions"
	if j.Kind == openai.Text {
		path = "/completions"
	}
	r, err := u.request(ctx, http.MethodPost, url+path, body)
	if err != nil {
		return "", false, err
	}
	response, err := u.client.Do(r)
	if err != nil {
		return failed(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		refusal, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // what cannot be read says nothing
		if response.StatusCode == http.StatusBadRequest {
			said := openai.ReadError(response.StatusCode, refusal)
			return "", false, openai.Refuse(openai.CodeInvalid, said.Param, "the server behind the model refuses the request: %s", ledger.Clip(said.Message))
		}
		return failed(fmt.Errorf("it answers %s", response.Status))
	}
	pass := func(text string) error {
		if text == "" {
			return nil
		}
		begun = true
		return write(text)
	}
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != openai.StreamType {
		whole, err := io.ReadAll(io.LimitReader(response.Body, openai.MaxAnswer+1))
		if err != nil {
			return failed(err)
		}
		a, err := openai.ReadAnswer(j.Kind, whole)
		if err != nil {
			return failed(err)
		}
		return a.Finish, begun, pass(a.Text)
	}
	stream := openai.NewReader(j.Kind, response.Body)
	for {
		part, err := stream.Next()
		switch {
		case err == io.EOF && finish == "":
			return failed(io.ErrUnexpectedEOF)
		case err == io.EOF:
			return finish, begun, nil
		case err != nil:
			return failed(err)
		}
		silence.Reset(u.silence)
		if part.Finish != "" {
			finish = part.Finish
		}
		if err := pass(part.Text); err != nil {
			return "", begun, err
		}
	}
}
