package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// Stream reads an answer of any length as it comes. The caller closes it, and begins anew when it breaks, which is an
// *[UnreachableError].
func (c *Client) Stream(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	response, err := c.send(ctx, &call{method: http.MethodGet, path: path, query: query, header: http.Header{}})
	if err != nil {
		return nil, err
	}
	return &streamed{response.Body, ctx, c}, nil
}

type streamed struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
}

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case s.ctx.Err() != nil:
		err = s.ctx.Err()
	default:
		err = s.client.unreachable(err)
	}
	return n, err
}
