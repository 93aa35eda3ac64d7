package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Stream reads an answer of any length as it comes. The caller closes it, and begins anew when it breaks.
func (c *Client) Stream(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	response, err := c.send(ctx, &call{method: http.MethodGet, path: path, query: query, header: http.Header{}})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
