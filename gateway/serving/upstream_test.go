package serving_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// server is a server of OpenAI's interface that can be told how to behave.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	do    func(w http.ResponseWriter, r *http.Request, asked map[string]any)
	asked []map[string]any
	auth  []string
	dead  bool
}

func newServer(t *testing.T, do func(http.ResponseWriter, *http.Request, map[string]any)) *server {
	s := &server{do: do}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		do, dead := s.do, s.dead
		s.mu.Unlock()
		if dead {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"object":"list","data":[]}`)
			return
		}
		var asked map[string]any
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.asked, s.auth = append(s.asked, asked), append(s.auth, r.Header.Get("Authorization"))
		s.mu.Unlock()
		do(w, r, asked)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) behave(do func(http.ResponseWriter, *http.Request, map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

func (s *server) die(dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = dead
}

func (s *server) requests() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// chunk writes a part of a stream; an empty reason is none yet.
func chunk(w http.ResponseWriter, text, reason string) {
	finish := "null"
	if reason != "" {
		finish = fmt.Sprintf("%q", reason)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"text\":%q,\"finish_reason\":%s}]}\n\n", text, text, finish)
	w.(http.Flusher).Flush()
}

func says(parts ...string) func(http.ResponseWriter, *http.Request, map[string]any) {
	return func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
		for _, p := range parts {
			chunk(w, p, "")
		}
		chunk(w, "", "stop")
		fmt.Fprint(w, "data: [DONE]\n\n")
	}
}

func behind(servers ...*server) func(*serving.Options) {
	return func(o *serving.Options) {
		u := serving.Upstream{Model: "adapter-7", Key: "a-secret-key", System: "Answer as a bard."}
		for _, s := range servers {
			u.URLs = append(u.URLs, s.URL+"/v1")
		}
		o.Upstreams = map[string]serving.Upstream{"AMSP/verse@1": u}
	}
}

func TestAnUpstreamsAnswerIsPassedOnAndItsContextCommittedTo(t *testing.T) {
	s := newServer(t, says("we happy", " few, we", " band of brothers"))
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	for _, stream := range []string{"", `,"stream":true`} {
		body := chat(h.model(), "Who are we?", `,"temperature":0.5,"max_tokens":30,"seed":9`+stream)
		got := p.post(p.ask(body, 200_000), openai.ChatPath, body)
		require.Equal(t, http.StatusOK, got.status, "%+v", got.fault)
		require.Equal(t, "we happy few, we band of brothers", got.text)
		require.Equal(t, openai.FinishStop, got.finish)
		require.EqualValues(t, 7, got.usage.CompletionTokens)
		require.EqualValues(t, 3, got.usage.PromptTokens, "what the host adds is not billed")
		require.NoError(t, p.take(openai.ChatPath, got.text, got.paid))
		r, err := receipt.Decode(got.paid.Receipt)
		require.NoError(t, err)
		require.NotEmpty(t, r.Spans)
		answers, err := h.meter.Answers(p.session.ID, got.paid.Place, 1)
		require.NoError(t, err)
		e, err := h.host.Evidence(t.Context(), answers[0])
		require.NoError(t, err)
		require.Equal(t, [][]byte{[]byte("Answer as a bard.")}, e.Context)
	}
	asked := s.requests()[0]
	require.Equal(t, "adapter-7", asked["model"])
	require.Equal(t, []any{map[string]any{"role": "system", "content": "Answer as a bard."}, map[string]any{"role": "user", "content": "Who are we?"}}, asked["messages"])
	require.Equal(t, 0.5, asked["temperature"])
	require.Equal(t, 9.0, asked["seed"])
	require.Equal(t, true, asked["stream"])
	require.Equal(t, "Bearer a-secret-key", s.auth[0])
	require.NotContains(t, h.logs.String(), "a-secret-key")

	body := fmt.Sprintf(`{"model":%q,"prompt":"once"}`, h.model())
	got := p.post(p.ask(body, 200_000), openai.TextPath, body)
	require.Equal(t, http.StatusOK, got.status, "%+v", got.fault)
	require.Equal(t, "Answer as a bard.\nonce", s.requests()[2]["prompt"])
}

func TestAnUpstreamIsStoppedBeforeTheFeePassesTheCap(t *testing.T) {
	stopped := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
		defer close(stopped)
		for r.Context().Err() == nil {
			chunk(w, "word ", "")
		}
	})
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "talk", `,"stream":true`)
	got := p.post(p.ask(body, 1_000+7*5_000), openai.ChatPath, body)
	require.Equal(t, http.StatusOK, got.status, "%+v", got.fault)
	require.EqualValues(t, 7, got.usage.CompletionTokens)
	require.Equal(t, strings.TrimSpace(strings.Repeat("word ", 7)), strings.TrimSpace(got.text))
	require.Equal(t, openai.FinishLength, got.finish)
	require.NoError(t, p.take(openai.ChatPath, got.text, got.paid))
	<-stopped
}

func TestAnotherServerTakesOverAsLongAsNothingWasPassedOn(t *testing.T) {
	first, second := newServer(t, nil), newServer(t, says("from the second"))
	for claim, do := range map[string]func(http.ResponseWriter, *http.Request, map[string]any){
		"it breaks off": func(http.ResponseWriter, *http.Request, map[string]any) { panic(http.ErrAbortHandler) },
		"it fails":      func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { w.WriteHeader(http.StatusBadGateway) },
		"it is too busy": func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"its key is not known": func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { w.WriteHeader(http.StatusUnauthorized) },
		"it gives no JSON":     func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { fmt.Fprint(w, "<html>") },
		"its stream ends early": func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			chunk(w, "", "")
		},
	} {
		first.behave(do)
		h := newHouse(t, behind(first, second))
		p := h.payer(credits, nil)
		body := chat(h.model(), "x", `,"stream":true`)
		got := p.post(p.ask(body, 100_000), openai.ChatPath, body)
		require.Equal(t, http.StatusOK, got.status, "%s: %+v", claim, got.fault)
		require.Equal(t, "from the second", got.text, claim)
	}
}

func TestAServerThatIsDeadIsLeftOutUntilItIsWell(t *testing.T) {
	first, second := newServer(t, says("one")), newServer(t, says("two"))
	first.die(true)
	h := newHouse(t, behind(first, second))
	p := h.payer(1<<39, nil)
	body := chat(h.model(), "x", "")
	once := func() string {
		got := p.post(p.ask(body, 10_000), openai.ChatPath, body)
		require.Equal(t, http.StatusOK, got.status, "%+v", got.fault)
		require.NoError(t, p.take(openai.ChatPath, got.text, got.paid))
		return got.text
	}
	require.Equal(t, "two", once())
	first.die(false)
	require.Eventually(t, func() bool { return once() == "one" }, time.Minute, 100*time.Millisecond)
	first.die(true)
	second.die(true)
	a := p.ask(body, 10_000)
	header, err := a.Encode()
	require.NoError(t, err)
	got, err := h.send(t.Context(), openai.ChatPath, body, openai.VoucherHeader, header)
	require.NoError(t, err)
	require.Equal(t, openai.CodeUpstream, got.fault.Code)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.Zero(t, funds.Unfinished, "it is the host's fault: nothing is due")
	second.die(false)
	require.Equal(t, http.StatusOK, p.post(a, openai.ChatPath, body).status, "the same request may come again")
}

func TestAStreamThatBreaksOffBehindTheHostHasNoLeaf(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
		chunk(w, "we happy few ", "")
		panic(http.ErrAbortHandler)
	})
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", `,"stream":true`)
	a := p.ask(body, 100_000)
	got := p.post(a, openai.ChatPath, body)
	require.Equal(t, openai.CodeUpstream, got.fault.Code)
	require.Equal(t, "we happy few ", got.text)
	funds, err := h.meter.Session(p.session.ID)
	require.NoError(t, err)
	require.Zero(t, funds.Uses)
	require.Zero(t, funds.Unfinished)
	s.behave(says("another text"))
	again := p.post(a, openai.ChatPath, body)
	require.Equal(t, "another text", again.text)
	require.NoError(t, p.take(openai.ChatPath, again.text, again.paid))
}

func TestWhatAClientThatGoesAwayWasSentIsCommitted(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
		chunk(w, "we happy few, ", "")
		<-r.Context().Done()
	})
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", `,"stream":true`)
	a := p.ask(body, 100_000)
	header, err := a.Encode()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.server.URL+openai.ChatPath, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set(openai.VoucherHeader, header)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			continue // the corpus is not open yet
		}
		line, err := bufio.NewReader(response.Body).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "we happy few")
		break
	}
	// Meanwhile the same request is told to wait.
	got, err := h.send(t.Context(), openai.ChatPath, body, openai.VoucherHeader, header)
	require.NoError(t, err)
	require.Equal(t, openai.CodeInProgress, got.fault.Code)
	require.Equal(t, http.StatusConflict, got.status)
	cancel()
	soon(t, func() bool {
		funds, err := h.meter.Session(p.session.ID)
		require.NoError(t, err)
		return funds.Uses == 1
	})
	got = p.post(a, openai.ChatPath, body)
	require.Equal(t, "we happy few, ", got.text)
	require.NoError(t, p.take(openai.ChatPath, got.text, got.paid))
}

func TestAnAnswerThatIsNoStreamIsFinishedWithoutItsClient(t *testing.T) {
	reached, finish := make(chan struct{}), make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
		chunk(w, "we happy few, ", "")
		close(reached)
		<-finish
		says("we band of brothers")(w, r, nil)
	})
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", "")
	a := p.ask(body, 100_000)
	header, err := a.Encode()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		for {
			got, err := h.send(ctx, openai.ChatPath, body, openai.VoucherHeader, header)
			if err != nil || got.status == http.StatusOK {
				left <- err
				return
			}
		}
	}()
	<-reached
	cancel()
	require.True(t, errors.Is(<-left, context.Canceled))
	close(finish)
	soon(t, func() bool {
		funds, err := h.meter.Session(p.session.ID)
		require.NoError(t, err)
		return funds.Uses == 1
	})
	got := p.post(a, openai.ChatPath, body)
	require.Equal(t, "we happy few, we band of brothers", got.text)
}

func TestNoTextIsNoUse(t *testing.T) {
	s := newServer(t, says(""))
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", "")
	a := p.ask(body, 100_000)
	got := p.post(a, openai.ChatPath, body)
	require.Equal(t, openai.CodeUpstream, got.fault.Code)
	_, err := h.meter.Answers(p.session.ID, 0, 1)
	require.NoError(t, err)
	_, err = h.meter.Commit(time.Now(), p.session.ID, a.Request.Number, 1, 1, p.session.ID, nil)
	require.ErrorIs(t, err, meter.ErrNoRequest)
}

func TestARequestThatTheServerRefusesIsTheClientsAffair(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
		openai.Refuse(openai.CodeInvalid, "messages", "the context is too long").Write(w)
	})
	h := newHouse(t, behind(s))
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", "")
	got := p.post(p.ask(body, 100_000), openai.ChatPath, body)
	require.Equal(t, openai.CodeInvalid, got.fault.Code)
	require.Contains(t, got.fault.Message, "the context is too long")
}

func TestAsManyRequestsAsAHostTakesAreAnsweredAtATime(t *testing.T) {
	held := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
		<-held
		says("x")(w, r, nil)
	})
	h := newHouse(t, func(o *serving.Options) { behind(s)(o); o.Abreast = 1 })
	p := h.payer(credits, nil)
	body := chat(h.model(), "x", "")
	first := p.ask(body, 10_000)
	done := make(chan said, 1)
	go func() { done <- p.post(first, openai.ChatPath, body) }()
	soon(t, func() bool { return len(s.requests()) == 1 })
	got, err := h.send(t.Context(), openai.ChatPath, body, openai.VoucherHeader, must(p.ask(body, 10_000).Encode()))
	require.NoError(t, err)
	require.Equal(t, openai.CodeBusy, got.fault.Code)
	close(held)
	require.Equal(t, http.StatusOK, (<-done).status)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
