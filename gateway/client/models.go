package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/datanet-consortium/datanet/gateway/openai"
)

// maxFault bounds a fault of OpenAI's shape, in bytes.
const maxFault = 1 << 20

// Complete sends a body to one of OpenAI's endpoints of the gateway, which pays for the answer, and returns it once it has
// ended. Parts of a stream go to part as they come. A refusal is an [*openai.Error]. It is sent once: who wants to send it
// again gives it an Idempotency-Key.
func (c *Client) Complete(ctx context.Context, kind openai.Kind, body []byte, header http.Header, part func(string) error) (*openai.Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String()+kind.Path(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask a model: %w", err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxFault))
		if err != nil {
			return nil, c.unreachable(err)
		}
		return nil, openai.ReadError(response.StatusCode, text)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), openai.StreamType) {
		return c.parts(kind, response.Body, part)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, openai.MaxAnswer+1))
	if err != nil {
		return nil, c.unreachable(err)
	}
	return openai.ReadAnswer(kind, raw)
}

func (c *Client) parts(kind openai.Kind, body io.Reader, part func(string) error) (*openai.Answer, error) {
	reader := openai.NewReader(kind, body)
	answer := &openai.Answer{}
	var text strings.Builder
	for {
		event, err := reader.Next()
		var fault *openai.Error
		switch {
		case err == io.EOF:
			answer.Text = text.String()
			return answer, nil
		case errors.As(err, &fault):
			return nil, fault
		case err != nil:
			return nil, c.unreachable(fmt.Errorf("read the answer: %w", err))
		}
		answer.Take(event)
		if event.Text == "" {
			continue
		}
		text.WriteString(event.Text)
		if err := part(event.Text); err != nil {
			return nil, err
		}
	}
}
