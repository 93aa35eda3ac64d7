package openai

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// MaxAnswer is the largest answer that is read, in bytes.
const MaxAnswer = 8 << 20

// Why an answer ends.
const (
	FinishStop   = "stop"   // by itself, or at a stop text
	FinishLength = "length" // at a limit: of tokens, or of the fee
)

// Usage counts canonical tokens, the units that are billed.
type Usage struct {
	PromptTokens     uint64 `json:"prompt_tokens"`
	CompletionTokens uint64 `json:"completion_tokens"`
	TotalTokens      uint64 `json:"total_tokens"`
}

// NewUsage counts those of a prompt and of an output.
func NewUsage(in, out uint64) Usage { return Usage{in, out, in + out} }

// Head is what every part of an answer repeats.
type Head struct {
	Kind    Kind
	ID      string
	Created int64 // Unix seconds
	Model   string
}

// Answer is a whole answer.
type Answer struct {
	Head
	Text    string
	Finish  string
	Usage   Usage
	Datanet *Datanet // nil when a server that knows no datanet gave it
}

// The shapes of answers and chunks.
type wireAnswer struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []wireChoice `json:"choices"`
	Usage   *Usage       `json:"usage,omitzero"`
	Datanet *Datanet     `json:"datanet,omitzero"`
}

type wireChoice struct {
	Index   int          `json:"index"`
	Message *wireMessage `json:"message,omitzero"` // of a chat
	Delta   *wireDelta   `json:"delta,omitzero"`   // of a chat's stream
	Text    *string      `json:"text,omitzero"`    // of a completion
	Finish  *string      `json:"finish_reason"`
}

type wireMessage struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

type wireDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitzero"`
}

// The objects of the two kinds.
const (
	chatObject  = "chat.completion"
	chunkObject = "chat.completion.chunk"
	textObject  = "text_completion"
)

func (h Head) wire(object string, choices ...wireChoice) wireAnswer {
	if choices == nil {
		choices = []wireChoice{}
	}
	if h.Kind == Text {
		object = textObject
	}
	return wireAnswer{ID: h.ID, Object: object, Created: h.Created, Model: h.Model, Choices: choices}
}

// Encode is the answer's body. It fails for a text that is not UTF-8.
func (a *Answer) Encode() ([]byte, error) {
	choice := wireChoice{Finish: &a.Finish}
	if a.Kind == Text {
		choice.Text = &a.Text
	} else {
		choice.Message = &wireMessage{Role: "assistant", Content: &a.Text}
	}
	w := a.wire(chatObject, choice)
	w.Usage, w.Datanet = &a.Usage, a.Datanet
	b, err := json.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b, nil
}

// ReadAnswer reads an answer that is no stream.
func ReadAnswer(kind Kind, body []byte) (*Answer, error) {
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("read answer: it has %d bytes, at most %d are read", len(body), MaxAnswer)
	}
	var w wireAnswer
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(w.Choices) != 1 {
		return nil, fmt.Errorf("read answer: it has %d choices, not one", len(w.Choices))
	}
	c := w.Choices[0]
	a := &Answer{Head: Head{Kind: kind, ID: w.ID, Created: w.Created, Model: w.Model}, Datanet: w.Datanet}
	switch {
	case kind == Text && c.Text != nil:
		a.Text = *c.Text
	case kind == Chat && c.Message != nil && c.Message.Content != nil:
		a.Text = *c.Message.Content
	default:
		return nil, errors.New("read answer: it has no text")
	}
	if c.Finish != nil {
		a.Finish = *c.Finish
	}
	if w.Usage != nil {
		a.Usage = *w.Usage
	}
	return a, nil
}

// Model is an entry of the list of models.
type Model struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// EncodeModels is the list of models.
func EncodeModels(list []Model) ([]byte, error) {
	type entry struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	out := struct {
		Object string  `json:"object"`
		Data   []entry `json:"data"`
	}{Object: "list", Data: make([]entry, len(list))}
	for i, m := range list {
		out.Data[i] = entry{m.ID, "model", m.Created, m.OwnedBy}
	}
	return json.Marshal(&out)
}

// EncodeModel is one model, as it is asked for by name.
func EncodeModel(m Model) ([]byte, error) {
	return json.Marshal(&struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}{m.ID, "model", m.Created, m.OwnedBy})
}
