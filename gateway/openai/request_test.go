package openai_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/openai"
)

func TestARequestIsReadAsThePromptThatIsBilled(t *testing.T) {
	for claim, c := range map[string]struct {
		kind   openai.Kind
		body   string
		prompt []string
	}{
		"each message is a record": {openai.Chat, `{"model":"M/a@1","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hello"}]}`, []string{"be brief", "hello"}},
		"parts are one text":       {openai.Chat, `{"model":"M/a@1","messages":[{"role":"user","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}]}`, []string{"a b"}},
		"escapes are resolved":     {openai.Chat, `{"model":"M/a@1","messages":[{"role":"user","content":"\u062f\u0631\u062f \ud83d\ude00"}]}`, []string{"درد 😀"}},
		"an empty message counts":  {openai.Chat, `{"model":"M/a@1","messages":[{"role":"user","content":""},{"role":"user","content":"x"}]}`, []string{"", "x"}},
		"a prompt":                 {openai.Text, `{"model":"M/a@1","prompt":"once"}`, []string{"once"}},
		"a list of one prompt":     {openai.Text, `{"model":"M/a@1","prompt":["once"]}`, []string{"once"}},
		"what changes nothing":     {openai.Chat, `{"model":"M/a@1","messages":[{"role":"user","content":"x","name":"n"}],"user":"u","metadata":{"a":"b"},"store":true,"n":1,"tools":[],"logprobs":false,"response_format":{"type":"text"},"tool_choice":"none","audio":null,"service_tier":"auto"}`, []string{"x"}},
	} {
		r, err := openai.Parse(c.kind, []byte(c.body))
		require.NoError(t, err, claim)
		var prompt []string
		for _, p := range r.Prompt() {
			prompt = append(prompt, string(p))
		}
		require.Equal(t, c.prompt, prompt, claim)
		require.Equal(t, "M/a@1", r.Model)
	}
}

func TestARequestSaysItsLimits(t *testing.T) {
	r, err := openai.Parse(openai.Chat, []byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":9,"max_completion_tokens":7,
		"stream":true,"stream_options":{"include_usage":true},"seed":-3,"stop":["a","b"],"temperature":0.5,"top_p":1,"presence_penalty":-2,"frequency_penalty":2}`))
	require.NoError(t, err)
	require.Equal(t, uint64(7), r.MaxTokens, "the newer name wins")
	require.True(t, r.Stream)
	require.True(t, r.Usage)
	require.Equal(t, int64(-3), *r.Seed)
	require.Equal(t, []string{"a", "b"}, r.Stop)
	require.Equal(t, 0.5, *r.Temperature)
	require.Equal(t, 1.0, *r.TopP)
	require.Equal(t, -2.0, *r.Presence)
	require.Equal(t, 2.0, *r.Frequency)
	r, err = openai.Parse(openai.Text, []byte(`{"model":"m","prompt":"x","max_tokens":9,"max_completion_tokens":7,"stop":"end"}`))
	require.NoError(t, err)
	require.Equal(t, uint64(9), r.MaxTokens, "completions know one name")
	require.Equal(t, []string{"end"}, r.Stop)
	require.False(t, r.Stream)
}

func TestWhatCannotBeDoneIsRefusedByName(t *testing.T) {
	chat := func(more string) string {
		return `{"model":"m","messages":[{"role":"user","content":"x"}]` + more + `}`
	}
	said := func(content string) string { return `{"model":"m","messages":[` + content + `]}` }
	for _, c := range []struct {
		kind  openai.Kind
		body  string
		code  openai.Code
		param string
	}{
		{openai.Chat, ``, openai.CodeInvalid, ""},
		{openai.Chat, `[]`, openai.CodeInvalid, ""},
		{openai.Chat, `{"model":"m"`, openai.CodeInvalid, ""},
		{openai.Chat, `{"messages":[{"role":"user","content":"x"}]}`, openai.CodeInvalid, "model"},
		{openai.Chat, `{"model":"` + strings.Repeat("m", 257) + `","messages":[{"role":"user","content":"x"}]}`, openai.CodeInvalid, "model"},
		{openai.Chat, `{"model":7,"messages":[]}`, openai.CodeInvalid, "model"},
		{openai.Chat, said(``), openai.CodeInvalid, "messages"},
		{openai.Chat, `{"model":"m","Messages":[{"role":"user","content":"x"}]}`, openai.CodeInvalid, "messages"},
		{openai.Chat, said(`{"role":"user","content":"x","content":"y"}`), openai.CodeInvalid, "messages.0.content"},
		{openai.Chat, said(`{"role":"tool","content":"x"}`), openai.CodeUnsupported, "messages.0.role"},
		{openai.Chat, said(`{"role":"user","content":null}`), openai.CodeInvalid, "messages.0.content"},
		{openai.Chat, said(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}`), openai.CodeUnsupported, "messages.0.content.0"},
		{openai.Chat, said(`{"role":"user","content":[1]}`), openai.CodeInvalid, "messages.0.content"},
		{openai.Chat, said(`{"role":"assistant","content":"x","tool_calls":[{}]}`), openai.CodeUnsupported, "messages.0"},
		{openai.Chat, said(`{"role":"user","content":"` + "\xff" + `"}`), openai.CodeInvalid, "messages.0.content"},
		{openai.Chat, said(`{"role":"user","content":"\ud800"}`), openai.CodeInvalid, "messages.0.content"},
		{openai.Chat, chat(`} {`), openai.CodeInvalid, ""},
		{openai.Chat, chat(`,"prompt":"x"`), openai.CodeInvalid, "prompt"},
		{openai.Chat, chat(`,"n":2`), openai.CodeUnsupported, "n"},
		{openai.Chat, chat(`,"tools":[{}]`), openai.CodeUnsupported, "tools"},
		{openai.Chat, chat(`,"functions":[{}]`), openai.CodeUnsupported, "functions"},
		{openai.Chat, chat(`,"tool_choice":"required"`), openai.CodeUnsupported, "tool_choice"},
		{openai.Chat, chat(`,"logprobs":true`), openai.CodeUnsupported, "logprobs"},
		{openai.Chat, chat(`,"top_logprobs":2`), openai.CodeUnsupported, "top_logprobs"},
		{openai.Chat, chat(`,"logit_bias":{"1":2}`), openai.CodeUnsupported, "logit_bias"},
		{openai.Chat, chat(`,"response_format":{"type":"json_object"}`), openai.CodeUnsupported, "response_format"},
		{openai.Chat, chat(`,"modalities":["text","audio"]`), openai.CodeUnsupported, "modalities"},
		{openai.Chat, chat(`,"audio":{}`), openai.CodeUnsupported, "audio"},
		{openai.Chat, chat(`,"prediction":{}`), openai.CodeUnsupported, "prediction"},
		{openai.Chat, chat(`,"max_tokens":0`), openai.CodeInvalid, "max_tokens"},
		{openai.Chat, chat(`,"max_completion_tokens":-1`), openai.CodeInvalid, "max_completion_tokens"},
		{openai.Chat, chat(`,"max_tokens":1.5`), openai.CodeInvalid, "max_tokens"},
		{openai.Chat, chat(`,"temperature":2.1`), openai.CodeInvalid, "temperature"},
		{openai.Chat, chat(`,"top_p":-1`), openai.CodeInvalid, "top_p"},
		{openai.Chat, chat(`,"stop":""`), openai.CodeInvalid, "stop"},
		{openai.Chat, chat(`,"stop":["a","b","c","d","e"]`), openai.CodeInvalid, "stop"},
		{openai.Chat, chat(`,"stop":7`), openai.CodeInvalid, "stop"},
		{openai.Chat, chat(`,"seed":1e30`), openai.CodeInvalid, "seed"},
		{openai.Chat, strings.Repeat(" ", openai.MaxBody) + chat(``), openai.CodeTooLarge, ""},
		{openai.Text, `{"model":"m"}`, openai.CodeInvalid, "prompt"},
		{openai.Text, `{"model":"m","prompt":["a","b"]}`, openai.CodeInvalid, "prompt"},
		{openai.Text, `{"model":"m","prompt":[1,2]}`, openai.CodeInvalid, "prompt"},
		{openai.Text, `{"model":"m","prompt":"x","best_of":2}`, openai.CodeUnsupported, "best_of"},
		{openai.Text, `{"model":"m","prompt":"x","echo":true}`, openai.CodeUnsupported, "echo"},
		{openai.Text, `{"model":"m","prompt":"x","suffix":"y"}`, openai.CodeUnsupported, "suffix"},
		{openai.Text, `{"model":"m","prompt":"x","logprobs":3}`, openai.CodeUnsupported, "logprobs"},
		{openai.Text, `{"model":"m","prompt":"x","messages":[{"role":"user","content":"x"}]}`, openai.CodeInvalid, "messages"},
	} {
		_, err := openai.Parse(c.kind, []byte(c.body))
		var fault *openai.Error
		require.ErrorAs(t, err, &fault, "%.200s", c.body)
		require.Equal(t, c.code, fault.Code, "%.200s: %v", c.body, err)
		require.Equal(t, c.param, fault.Param, "%.200s: %v", c.body, err)
		require.Contains(t, []int{400, 413}, fault.Status)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(0, []byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"stop":["a"]}`))
	f.Add(1, []byte(`{"model":"m","prompt":["x"],"max_tokens":3}`))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		r, err := openai.Parse(openai.Kind(kind&1), body)
		if err != nil {
			var fault *openai.Error
			require.True(t, errors.As(err, &fault), "%v", err)
			require.NotEmpty(t, fault.Encode())
			return
		}
		require.NotEmpty(t, r.Prompt())
		for _, record := range r.Prompt() {
			require.True(t, utf8.Valid(record))
		}
		again, err := openai.Parse(openai.Kind(kind&1), body)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
