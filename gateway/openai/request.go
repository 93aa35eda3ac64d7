// Package openai is the part of OpenAI's interface that this network speaks: chat completions, completions, and models,
// with what a paid answer carries beside the text.
//
// Life of a request: a client sends its body to its own organisation's gateway, which reads it with [Parse] to know the
// texts that are billed and what they may cost. The same bytes go on to the host's gateway with a signed request in the
// header [VoucherHeader], and are read there with the same Parse: both know the same prompt records. The host answers
// with an [Answer], or a stream of chunks by [Writer], which the other side reads with [Reader]. Faults have OpenAI's
// shape, [Error].
//
// Parsing is strict where a text, a limit or a price depends on it: names are matched exactly, none stands twice, texts
// are valid UTF-8, and what cannot be done is refused and not left out. What changes nothing here, such as user or
// metadata, is ignored. The package is pure.
package openai

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Kind is which of the two endpoints a body is for.
type Kind int

const (
	Chat Kind = iota
	Text
)

// Paths of the endpoints, below a gateway's address.
const (
	ChatPath   = "/openai/v1/chat/completions"
	TextPath   = "/openai/v1/completions"
	ModelsPath = "/openai/v1/models"
)

// Path is where requests of the kind are sent.
func (k Kind) Path() string {
	if k == Text {
		return TextPath
	}
	return ChatPath
}

// KindOf is the kind of an endpoint.
func KindOf(path string) (Kind, error) {
	switch path {
	case ChatPath:
		return Chat, nil
	case TextPath:
		return Text, nil
	}
	return 0, fmt.Errorf("%q is no endpoint that answers", path)
}

// Bounds of a request.
const (
	// MaxBody is the largest body, in bytes.
	MaxBody = 1 << 20
	// MaxMessages is how many messages a chat has at most.
	MaxMessages = 2048
	maxStops    = 4
	maxStop     = 256 // bytes
	maxModel    = 256 // bytes
	maxTokens   = math.MaxInt32
)

// Message is one of a chat.
type Message struct {
	Role    string `json:"role"` // system, developer, user or assistant
	Content string `json:"content"`
}

// Request is what a body asks for.
type Request struct {
	Kind     Kind
	Model    string    // name@version
	Messages []Message // of a chat
	Text     string    // of a completion
	// MaxTokens is the most tokens of the answer, 0 when the body does not say.
	MaxTokens uint64
	Stream    bool
	// Usage tells whether the client of a stream asked for a last chunk with the usage.
	Usage bool
	Seed  *int64
	Stop  []string
	// Sampling parameters, nil when the body does not say.
	Temperature, TopP, Presence, Frequency *float64
}

// Prompt is what is billed and committed to: the texts of the messages, or the one text.
func (r *Request) Prompt() [][]byte {
	if r.Kind == Text {
		return [][]byte{[]byte(r.Text)}
	}
	records := make([][]byte, len(r.Messages))
	for i, m := range r.Messages {
		records[i] = []byte(m.Content)
	}
	return records
}

// body is a request as it comes. Fields that are raw are refused unless they say the usual.
type body struct {
	Model               *string        `json:"model"`
	Messages            []message      `json:"messages"`
	Prompt              jsontext.Value `json:"prompt"`
	MaxTokens           *int64         `json:"max_tokens"`
	MaxCompletionTokens *int64         `json:"max_completion_tokens"`
	N                   *int64         `json:"n"`
	BestOf              *int64         `json:"best_of"`
	Stream              *bool          `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage *bool `json:"include_usage"`
	} `json:"stream_options"`
	Seed             *int64         `json:"seed"`
	Stop             jsontext.Value `json:"stop"`
	Temperature      *float64       `json:"temperature"`
	TopP             *float64       `json:"top_p"`
	PresencePenalty  *float64       `json:"presence_penalty"`
	FrequencyPenalty *float64       `json:"frequency_penalty"`
	ResponseFormat   *struct {
		Type string `json:"type"`
	} `json:"response_format"`
	Modalities       []string       `json:"modalities"`
	LogitBias        map[string]any `json:"logit_bias"`
	Logprobs         jsontext.Value `json:"logprobs"`
	TopLogprobs      *int64         `json:"top_logprobs"`
	Echo             *bool          `json:"echo"`
	Suffix           *string        `json:"suffix"`
	Tools            []any          `json:"tools"`
	Functions        []any          `json:"functions"`
	ToolChoice       jsontext.Value `json:"tool_choice"`
	FunctionCall     jsontext.Value `json:"function_call"`
	Audio            jsontext.Value `json:"audio"`
	Prediction       jsontext.Value `json:"prediction"`
	WebSearchOptions jsontext.Value `json:"web_search_options"`
}

type message struct {
	Role         string         `json:"role"`
	Content      jsontext.Value `json:"content"`
	ToolCalls    []any          `json:"tool_calls"`
	FunctionCall jsontext.Value `json:"function_call"`
	Audio        jsontext.Value `json:"audio"`
}

// Parse reads the body of a request. What it refuses is an [*Error].
func Parse(kind Kind, raw []byte) (*Request, error) {
	if len(raw) > MaxBody {
		return nil, Refuse(CodeTooLarge, "", "the body has %d bytes, at most %d are read", len(raw), MaxBody)
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, unreadable(err)
	}
	r := &Request{Kind: kind, Seed: b.Seed, Temperature: b.Temperature, TopP: b.TopP, Presence: b.PresencePenalty, Frequency: b.FrequencyPenalty}
	if b.Model == nil || *b.Model == "" || len(*b.Model) > maxModel {
		return nil, Refuse(CodeInvalid, "model", "name a model, as name@version")
	}
	r.Model = *b.Model
	if err := b.refuse(kind); err != nil {
		return nil, err
	}
	var err error
	if kind == Chat {
		r.Messages, err = messages(b.Messages)
	} else {
		r.Text, err = prompt(b.Prompt)
	}
	if err != nil {
		return nil, err
	}
	if r.Stop, err = stops(b.Stop); err != nil {
		return nil, err
	}
	if r.MaxTokens, err = b.limit(kind); err != nil {
		return nil, err
	}
	r.Stream = b.Stream != nil && *b.Stream
	if o := b.StreamOptions; o != nil && o.IncludeUsage != nil {
		r.Usage = *o.IncludeUsage
	}
	return r, r.checkSampling()
}

// unreadable is the refusal of a body that does not decode.
func unreadable(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		param := path(semantic.JSONPointer)
		if param == "" {
			return Refuse(CodeInvalid, "", "the body must be a JSON object")
		}
		return Refuse(CodeInvalid, param, "%s has a value of the wrong type or range", param)
	case errors.As(err, &syntactic):
		return Refuse(CodeInvalid, path(syntactic.JSONPointer), "the body is not valid JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
	}
	return Refuse(CodeInvalid, "", "the body is not valid JSON")
}

// path writes a pointer to a member as OpenAI's errors do.
func path(p jsontext.Pointer) string {
	out := ""
	for token := range p.Tokens() {
		if len(out)+len(token) > 128 {
			return out
		}
		if out != "" {
			out += "."
		}
		out += token
	}
	return out
}

// given tells whether a raw member is there and not null.
func given(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// refuse refuses what this network cannot do, rather than answer as if it had not been asked for.
func (b *body) refuse(kind Kind) error {
	cannot := func(param string) error {
		return Refuse(CodeUnsupported, param, "%s cannot be used with the models of this network", param)
	}
	none := func(v jsontext.Value, usual string) bool {
		return !given(v) || string(v) == usual
	}
	switch {
	case b.N != nil && *b.N != 1:
		return Refuse(CodeUnsupported, "n", "n must be 1: every answer is a use of its own")
	case b.BestOf != nil && *b.BestOf != 1:
		return Refuse(CodeUnsupported, "best_of", "best_of must be 1: every answer is a use of its own")
	case len(b.Tools) > 0:
		return cannot("tools")
	case len(b.Functions) > 0:
		return cannot("functions")
	case !none(b.ToolChoice, `"none"`) && string(b.ToolChoice) != `"auto"`:
		return cannot("tool_choice")
	case !none(b.FunctionCall, `"none"`) && string(b.FunctionCall) != `"auto"`:
		return cannot("function_call")
	case !none(b.Logprobs, "false"):
		return cannot("logprobs")
	case b.TopLogprobs != nil && *b.TopLogprobs != 0:
		return cannot("top_logprobs")
	case len(b.LogitBias) > 0:
		return cannot("logit_bias")
	case b.ResponseFormat != nil && b.ResponseFormat.Type != "text":
		return cannot("response_format")
	case slices.ContainsFunc(b.Modalities, func(m string) bool { return m != "text" }):
		return cannot("modalities")
	case given(b.Audio):
		return cannot("audio")
	case given(b.Prediction):
		return cannot("prediction")
	case given(b.WebSearchOptions):
		return cannot("web_search_options")
	case b.Echo != nil && *b.Echo:
		return cannot("echo")
	case b.Suffix != nil && *b.Suffix != "":
		return cannot("suffix")
	case kind == Chat && given(b.Prompt):
		return Refuse(CodeInvalid, "prompt", "a chat has messages and no prompt")
	case kind == Text && len(b.Messages) > 0:
		return Refuse(CodeInvalid, "messages", "a completion has a prompt and no messages")
	}
	return nil
}

func messages(list []message) ([]Message, error) {
	if len(list) == 0 || len(list) > MaxMessages {
		return nil, Refuse(CodeInvalid, "messages", "a chat has 1 to %d messages", MaxMessages)
	}
	out := make([]Message, len(list))
	for i, m := range list {
		param := fmt.Sprintf("messages.%d", i)
		switch m.Role {
		case "system", "developer", "user", "assistant":
		default:
			return nil, Refuse(CodeUnsupported, param+".role", "a message is by system, developer, user or assistant")
		}
		if len(m.ToolCalls) > 0 || given(m.FunctionCall) || given(m.Audio) {
			return nil, Refuse(CodeUnsupported, param, "messages with calls of tools or with audio cannot be used with the models of this network")
		}
		text, err := content(m.Content, param+".content")
		if err != nil {
			return nil, err
		}
		out[i] = Message{Role: m.Role, Content: text}
	}
	return out, nil
}

// content is a text, or the texts of its parts one after the other.
func content(v jsontext.Value, param string) (text string, err error) {
	switch v.Kind() {
	case '"':
		return text, json.Unmarshal(v, &text)
	case '[':
		var parts []struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(v, &parts); err != nil {
			return "", Refuse(CodeInvalid, param, "the parts of a message are objects with a type and a text")
		}
		for i, p := range parts {
			if p.Type != "text" || p.Text == nil {
				return "", Refuse(CodeUnsupported, fmt.Sprintf("%s.%d", param, i), "only parts of type text can be used with the models of this network")
			}
			text += *p.Text
		}
		return text, nil
	}
	return "", Refuse(CodeInvalid, param, "a message has a text, or a list of parts of type text")
}

// prompt is a string, or a list with one.
func prompt(v jsontext.Value) (text string, err error) {
	switch v.Kind() {
	case '"':
		return text, json.Unmarshal(v, &text)
	case '[':
		var list []string
		if err := json.Unmarshal(v, &list); err == nil && len(list) == 1 {
			return list[0], nil
		}
	}
	return "", Refuse(CodeInvalid, "prompt", "a completion has a prompt: a text, or a list with one text")
}

func stops(v jsontext.Value) (list []string, err error) {
	if !given(v) {
		return nil, nil
	}
	if v.Kind() == '"' {
		list = make([]string, 1)
		err = json.Unmarshal(v, &list[0])
	} else {
		err = json.Unmarshal(v, &list)
	}
	wrong := func(s string) bool { return s == "" || len(s) > maxStop }
	if err != nil || len(list) > maxStops || slices.ContainsFunc(list, wrong) {
		return nil, Refuse(CodeInvalid, "stop", "stop is a text or up to %d texts, each of 1 to %d bytes", maxStops, maxStop)
	}
	return list, nil
}

// limit is how many tokens may be written. Of a chat's two names the newer one wins.
func (b *body) limit(kind Kind) (uint64, error) {
	n, param := b.MaxTokens, "max_tokens"
	if kind == Chat && b.MaxCompletionTokens != nil {
		n, param = b.MaxCompletionTokens, "max_completion_tokens"
	}
	if n == nil {
		return 0, nil
	}
	if *n < 1 || *n > maxTokens {
		return 0, Refuse(CodeInvalid, param, "%s must be from 1 to %d", param, maxTokens)
	}
	return uint64(*n), nil
}

func (r *Request) checkSampling() error {
	for _, p := range []struct {
		param       string
		value       *float64
		least, most float64
	}{{"temperature", r.Temperature, 0, 2}, {"top_p", r.TopP, 0, 1}, {"presence_penalty", r.Presence, -2, 2}, {"frequency_penalty", r.Frequency, -2, 2}} {
		if p.value != nil && (*p.value < p.least || *p.value > p.most) {
			return Refuse(CodeInvalid, p.param, "%s must be from %g to %g", p.param, p.least, p.most)
		}
	}
	return nil
}
